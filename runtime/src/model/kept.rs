//! Models that are used again: opening a session of a large model takes as long as many calls of it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Classifier, Differentiable, FeatureModel, Loss, ModelError, ModelSource};

/// A source whose models can be given back. Whoever asks next gets one of these before another is made.
pub struct KeptModels<'m> {
    source: &'m dyn ModelSource,
    idle: Mutex<Idle>,
}

/// What was given back.
#[derive(Default)]
struct Idle {
    classifiers: Vec<Box<dyn Classifier>>,
    search: Vec<Box<dyn Classifier>>,
    gradients: BTreeMap<Loss, Vec<Box<dyn Differentiable>>>,
    features: Vec<Box<dyn FeatureModel>>,
}

impl<'m> KeptModels<'m> {
    /// Nothing was given back.
    pub fn new(source: &'m dyn ModelSource) -> Self {
        Self { source, idle: Mutex::default() }
    }

    /// Takes a model of [`ModelSource::classifier`].
    pub fn keep_classifier(&self, classifier: Box<dyn Classifier>) {
        self.idle().classifiers.push(classifier);
    }

    /// Takes a model of [`ModelSource::search_classifier`].
    pub fn keep_search_classifier(&self, classifier: Box<dyn Classifier>) {
        self.idle().search.push(classifier);
    }

    /// Takes a model of [`ModelSource::differentiable`] for that loss.
    pub fn keep_differentiable(&self, loss: Loss, graph: Box<dyn Differentiable>) {
        self.idle().gradients.entry(loss).or_default().push(graph);
    }

    /// Takes a model of [`ModelSource::feature_model`].
    pub fn keep_feature_model(&self, model: Box<dyn FeatureModel>) {
        self.idle().features.push(model);
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ModelSource for KeptModels<'_> {
    fn classifier(&self) -> Result<Box<dyn Classifier>, ModelError> {
        let kept = self.idle().classifiers.pop();
        kept.map_or_else(|| self.source.classifier(), Ok)
    }

    fn search_classifier(&self) -> Result<Box<dyn Classifier>, ModelError> {
        let kept = self.idle().search.pop();
        kept.map_or_else(|| self.source.search_classifier(), Ok)
    }

    fn doubt(&self) -> f32 {
        self.source.doubt()
    }

    fn differentiable(&self, loss: Loss) -> Result<Box<dyn Differentiable>, ModelError> {
        let kept = self.idle().gradients.get_mut(&loss).and_then(Vec::pop);
        kept.map_or_else(|| self.source.differentiable(loss), Ok)
    }

    fn surrogate(&self) -> Option<&dyn ModelSource> {
        self.source.surrogate()
    }

    fn feature_model(&self) -> Result<Box<dyn FeatureModel>, ModelError> {
        let kept = self.idle().features.pop();
        kept.map_or_else(|| self.source.feature_model(), Ok)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use mimir_bundle::ImageShape;
    use ndarray::array;

    use super::*;
    use crate::linear::LinearClassifier;

    /// Counts what it makes.
    struct Counting(LinearClassifier, AtomicUsize);

    impl Counting {
        fn count(&self) -> &LinearClassifier {
            self.1.fetch_add(1, Ordering::Relaxed);
            &self.0
        }
    }

    impl ModelSource for Counting {
        fn classifier(&self) -> Result<Box<dyn Classifier>, ModelError> {
            self.count().classifier()
        }

        fn search_classifier(&self) -> Result<Box<dyn Classifier>, ModelError> {
            self.count().search_classifier()
        }

        fn differentiable(&self, loss: Loss) -> Result<Box<dyn Differentiable>, ModelError> {
            self.count().differentiable(loss)
        }

        fn feature_model(&self) -> Result<Box<dyn FeatureModel>, ModelError> {
            self.count().feature_model()
        }
    }

    #[test]
    fn what_was_given_back_is_handed_out_once() {
        let shape = ImageShape { channels: 1, height: 1, width: 1 };
        let linear = LinearClassifier::new(array![[1.0], [-1.0]], array![0.0, 0.0], shape, 2);
        let source = Counting(linear, AtomicUsize::new(0));
        let made = || source.1.load(Ordering::Relaxed);
        let kept = KeptModels::new(&source);
        kept.keep_classifier(kept.classifier().unwrap());
        kept.keep_search_classifier(kept.search_classifier().unwrap());
        kept.keep_differentiable(Loss::Dlr, kept.differentiable(Loss::Dlr).unwrap());
        kept.keep_feature_model(kept.feature_model().unwrap());
        assert_eq!(made(), 4);
        drop((
            kept.classifier(),
            kept.search_classifier(),
            kept.differentiable(Loss::Dlr),
            kept.feature_model(),
        ));
        assert_eq!(made(), 4);
        drop((
            kept.classifier(),
            kept.search_classifier(),
            kept.differentiable(Loss::Dlr),
            kept.feature_model(),
        ));
        drop(kept.differentiable(Loss::Margin));
        assert_eq!(made(), 9);
    }
}
