//! The two seams between attacks and models: ask for logits, ask for gradients.
//!
//! Both have two real sides: ONNX Runtime sessions ([`crate::session`]) and a linear classifier whose worst case is
//! known in closed form ([`crate::linear`]). Images are rows of `C·H·W` pixels in `[0, 1]`, channel-major. Answers
//! are borrowed from the model, which overwrites them at the next call: nothing is allocated in an attack's loop.

mod batches;
mod kept;
mod with_surrogate;

use mimir_bundle::ImageShape;
pub use mimir_bundle::Loss;
use ndarray::{Array1, Array2, ArrayView2};

use crate::logits::DOUBT;

pub(crate) use batches::Batches;
pub use kept::KeptModels;
pub use with_surrogate::WithSurrogate;

/// An error from evaluating a model: what the engine said, and about which model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{model}: {message}")]
pub struct ModelError {
    /// Which of the sessions, e.g. `original model` or `gradient graph`.
    pub model: String,
    /// What the engine said.
    pub message: String,
}

/// Maps a batch of images to logits.
pub trait Classifier: Send {
    /// Shape of one image.
    fn image_shape(&self) -> ImageShape;

    /// Number of classes, `K ≥ 2`.
    fn classes(&self) -> usize;

    /// Most rows that a call takes, `B ≥ 1`.
    fn batch(&self) -> usize;

    /// Logits `[B, K]` of images `[R, C·H·W]`, `1 ≤ R ≤ B`: the first `R` rows are theirs, the others mean nothing.
    ///
    /// A row comes out the same to the last bit for every `R ≥ 2`; for `R = 1` only where `B = 1`.
    ///
    /// # Errors
    /// When the engine fails; non-finite logits are not an error here, the caller knows the image.
    fn logits(&mut self, images: ArrayView2<f32>) -> Result<&Array2<f32>, ModelError>;

    /// Logits, and what the file returns `[B, K]` where that has equal scores and the logits do not: a search uses
    /// scores before a Clip or a Sigmoid.
    ///
    /// # Errors
    /// As [`Classifier::logits`].
    fn logits_and_returned(
        &mut self,
        images: ArrayView2<f32>,
    ) -> Result<(&Array2<f32>, Option<&Array2<f32>>), ModelError> {
        self.logits(images).map(|logits| (logits, None))
    }
}

/// The classes that the loss of one image refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelAndTarget {
    /// The true class, `y`.
    pub label: usize,
    /// The class that a targeted loss draws towards, `t`; untargeted losses have none.
    pub target: Option<usize>,
}

/// What one forward and one backward pass give for a batch.
#[derive(Debug, Clone)]
pub struct GradientBatch {
    /// `[B, K]`, from the gradient graph: may differ from the original model's in the last bits.
    pub logits: Array2<f32>,
    /// `[B]`, the loss that the attack maximises, one per image.
    pub loss: Array1<f32>,
    /// `[B, C·H·W]`, gradient of each image's own loss.
    pub gradient: Array2<f32>,
    /// `[B, K]`, what the file returns, as in [`Classifier::logits_and_returned`].
    pub returned: Option<Array2<f32>>,
}

impl GradientBatch {
    /// Room for the answers about `batch` images.
    pub fn zeros(batch: usize, classes: usize, pixels: usize) -> Self {
        Self {
            logits: Array2::zeros((batch, classes)),
            loss: Array1::zeros(batch),
            gradient: Array2::zeros((batch, pixels)),
            returned: None,
        }
    }
}

/// Maps a full batch of images to losses and input gradients.
pub trait Differentiable: Send {
    /// Most rows that a call takes, `B ≥ 1`.
    fn batch(&self) -> usize;

    /// For a relaxed loss: half the side of the box around each of the first rows of the next call, in pixels. Others
    /// have none.
    fn set_radii(&mut self, radii: &[f32]) {
        let _ = radii;
    }

    /// Logits, loss and input gradient of images `[R, C·H·W]` with labels and targets `[R]`, `1 ≤ R ≤ B`, in the first
    /// `R` rows.
    ///
    /// # Errors
    /// When the engine fails; non-finite values are not an error here, the caller knows the image.
    fn loss_gradient(
        &mut self,
        images: ArrayView2<f32>,
        pairs: &[LabelAndTarget],
    ) -> Result<&GradientBatch, ModelError>;
}

/// Derivatives of a loss by logits and features, for the first rows of a batch.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cotangents<'a> {
    /// `[R, K]`
    pub logits: &'a [f32],
    /// `[R, F]`
    pub features: &'a [f32],
}

/// What a model that is cut open at a tensor says about a batch. What was not asked for is what it was.
#[derive(Debug, Clone)]
pub struct FeatureBatch {
    /// `[B, K]`, equal to the original model's up to rounding.
    pub logits: Array2<f32>,
    /// `[B, F]`, the values of the tensor.
    pub features: Array2<f32>,
    /// `[B, C·H·W]`, the gradient of each image's own loss.
    pub gradient: Array2<f32>,
    /// `[B, K]`, what the file returns, as in [`Classifier::logits_and_returned`].
    pub returned: Option<Array2<f32>>,
}

impl FeatureBatch {
    /// Room for the answers about `batch` images.
    pub fn zeros(batch: usize, classes: usize, features: usize, pixels: usize) -> Self {
        Self {
            logits: Array2::zeros((batch, classes)),
            features: Array2::zeros((batch, features)),
            gradient: Array2::zeros((batch, pixels)),
            returned: None,
        }
    }
}

/// A model that is cut open at a tensor: it shows the values there, and a cotangent may enter there.
pub trait FeatureModel: Send {
    /// Most rows that a call takes, `B ≥ 1`.
    fn batch(&self) -> usize;

    /// Logits and features of images `[R, C·H·W]`, `1 ≤ R ≤ B`, in the first `R` rows.
    ///
    /// # Errors
    /// When the engine fails; non-finite values are not an error here.
    fn logits_and_features(&mut self, images: ArrayView2<f32>) -> Result<&FeatureBatch, ModelError>;

    /// Logits, and the gradient of `Σ_k a_k z_k + Σ_j b_j f_j` by the pixels of images `[R, C·H·W]` with the cotangents `a` of
    /// the logits `z` and `b` of the features `f`. Rows without cotangents have zeros.
    ///
    /// # Errors
    /// As [`FeatureModel::logits_and_features`].
    fn gradient(
        &mut self,
        images: ArrayView2<f32>,
        cotangents: Cotangents<'_>,
    ) -> Result<&FeatureBatch, ModelError>;
}

/// The margin of the label in float64, from the file's own numbers: it tells what of a verdict is rounding. Shared by all
/// workers.
pub trait Float64Margins: Sync {
    /// `z_y - max z_k` over the other classes for images `[R, C·H·W]` with labels `[R]`, each rounded once to float32; none
    /// where it is not a number. None at all where the model cannot be computed in float64.
    fn margins(&self, images: &[&[f32]], labels: &[usize]) -> Option<Vec<Option<f32>>>;

    /// Most images that a call takes.
    fn batch(&self) -> usize;
}

/// Makes the models of one worker thread. Two workers never share a session.
pub trait ModelSource: Sync {
    /// The original model, forward only: it alone decides whether an image is broken.
    ///
    /// # Errors
    /// When the engine refuses the model.
    fn classifier(&self) -> Result<Box<dyn Classifier>, ModelError>;

    /// The fastest form of the model, forward only: logits equal to the original's up to rounding. It answers the
    /// queries of attacks without gradients.
    ///
    /// # Errors
    /// When the engine refuses the model.
    fn search_classifier(&self) -> Result<Box<dyn Classifier>, ModelError>;

    /// How far the logits of searches may be from those of the original model, relative to the largest: within that of a tie the
    /// original model is asked.
    fn doubt(&self) -> f32 {
        DOUBT
    }

    /// The gradient graph with that loss.
    ///
    /// # Errors
    /// When there is no graph for that loss, or the engine refuses it.
    fn differentiable(&self, loss: Loss) -> Result<Box<dyn Differentiable>, ModelError>;

    /// Another model of the same images and classes, where attacks may ask one.
    fn surrogate(&self) -> Option<&dyn ModelSource> {
        None
    }

    /// The model cut open at the tensor of the attacks on features.
    ///
    /// # Errors
    /// When it was not asked for, or the engine refuses a graph.
    fn feature_model(&self) -> Result<Box<dyn FeatureModel>, ModelError> {
        let message = "the model is not cut open at any tensor".to_owned();
        Err(ModelError { model: "features".to_owned(), message })
    }
}
