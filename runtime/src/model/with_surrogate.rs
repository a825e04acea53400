//! A model, and another one that attacks may take their way from.

use super::{Classifier, Differentiable, FeatureModel, Loss, ModelError, ModelSource};

/// The models of one source, with another as their surrogate.
pub struct WithSurrogate<'m> {
    model: &'m dyn ModelSource,
    surrogate: Option<&'m dyn ModelSource>,
}

impl<'m> WithSurrogate<'m> {
    /// The surrogate takes the same images and has the same classes.
    pub fn new(model: &'m dyn ModelSource, surrogate: Option<&'m dyn ModelSource>) -> Self {
        Self { model, surrogate }
    }
}

impl ModelSource for WithSurrogate<'_> {
    fn classifier(&self) -> Result<Box<dyn Classifier>, ModelError> {
        self.model.classifier()
    }

    fn search_classifier(&self) -> Result<Box<dyn Classifier>, ModelError> {
        self.model.search_classifier()
    }

    fn doubt(&self) -> f32 {
        self.model.doubt()
    }

    fn differentiable(&self, loss: Loss) -> Result<Box<dyn Differentiable>, ModelError> {
        self.model.differentiable(loss)
    }

    fn feature_model(&self) -> Result<Box<dyn FeatureModel>, ModelError> {
        self.model.feature_model()
    }

    fn surrogate(&self) -> Option<&dyn ModelSource> {
        self.surrogate
    }
}
