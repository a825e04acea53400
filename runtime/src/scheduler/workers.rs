//! Threads, each with its own sessions, working side by side.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::stop_signal::StopSignal;
use super::surrogate::SurrogateGraph;
use crate::error::EvaluateError;
use crate::model::{Classifier, Differentiable, FeatureModel, GradientBatch, Loss, ModelError, ModelSource};

/// One thread's models. They live as long as the evaluation, so that sessions are built once, when first needed.
pub(crate) struct Worker<'s> {
    source: &'s dyn ModelSource,
    original: Box<dyn Classifier>,
    search: Option<Box<dyn Classifier>>,
    gradients: BTreeMap<Loss, Box<dyn Differentiable>>,
    surrogates: BTreeMap<Loss, SurrogateGraph>,
    features: Option<Box<dyn FeatureModel>>,
}

impl<'s> Worker<'s> {
    /// That many workers, at least one.
    pub(crate) fn create(source: &'s dyn ModelSource, count: usize) -> Result<Vec<Self>, ModelError> {
        let worker = || {
            let (original, gradients, surrogates) = (source.classifier()?, BTreeMap::new(), BTreeMap::new());
            Ok(Self { source, original, search: None, gradients, surrogates, features: None })
        };
        (0..count.max(1)).map(|_| worker()).collect()
    }

    /// The original model: it decides what is broken.
    pub(crate) fn original(&mut self) -> &mut dyn Classifier {
        self.original.as_mut()
    }

    /// The model that answers queries without gradient.
    pub(super) fn search_classifier(&mut self) -> Result<&mut dyn Classifier, ModelError> {
        if self.search.is_none() {
            self.search = Some(self.source.search_classifier()?);
        }
        Ok(self.search.as_mut().expect("just made").as_mut())
    }

    /// The gradient graph of that loss.
    pub(super) fn gradient(&mut self, loss: Loss) -> Result<&mut dyn Differentiable, ModelError> {
        if !self.gradients.contains_key(&loss) {
            self.gradients.insert(loss, self.source.differentiable(loss)?);
        }
        Ok(self.gradients.get_mut(&loss).expect("just made").as_mut())
    }

    /// The gradient graph of that loss, of the surrogate.
    pub(super) fn surrogate(&mut self, loss: Loss) -> Result<&mut SurrogateGraph, ModelError> {
        if !self.surrogates.contains_key(&loss) {
            let Self { original, source, .. } = self;
            let (rows, pixels) = (original.batch(), original.image_shape().pixels());
            let answers = GradientBatch::zeros(rows, original.classes(), pixels);
            self.surrogates.insert(loss, SurrogateGraph::new(*source, loss, answers)?);
        }
        Ok(self.surrogates.get_mut(&loss).expect("just made"))
    }

    /// The model cut open at the tensor of the attacks on features.
    pub(crate) fn feature_model(&mut self) -> Result<&mut dyn FeatureModel, ModelError> {
        if self.features.is_none() {
            self.features = Some(self.source.feature_model()?);
        }
        Ok(self.features.as_mut().expect("just made").as_mut())
    }
}

/// Lets every worker do the same work at the same time; the first that fails or panics stops all.
///
/// The result lists what they return in the order of the workers. Of several errors, the first worker's is returned.
pub(crate) fn run_on_all<'s, Output: Send>(
    workers: &mut [Worker<'s>],
    stop: &StopSignal,
    work: impl Fn(&mut Worker<'s>) -> Result<Output, EvaluateError> + Sync,
) -> Result<Vec<Output>, EvaluateError> {
    let guarded = |worker: &mut Worker<'s>| {
        // Nothing of a worker is used after it panicked: the evaluation ends with an error.
        let result = catch_unwind(AssertUnwindSafe(|| work(worker)))
            .unwrap_or_else(|panic| Err(EvaluateError::WorkerPanicked(panic_message(panic.as_ref()))));
        if result.is_err() {
            stop.fail();
        }
        result
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = workers.iter_mut().map(|worker| scope.spawn(|| guarded(worker))).collect();
        threads.into_iter().map(|thread| thread.join().expect("panics are caught inside")).collect()
    })
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}
