//! Why an evaluation stopped. None of these may be read as "robust".

use mimir_bundle::attack::SpecError;

use crate::archive::ArchiveError;
use crate::ball::RadiusError;
use crate::evaluation_set::SetError;
use crate::model::ModelError;
use crate::verify::VerifyError;

/// Why an evaluation stopped.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EvaluateError {
    /// The engine failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The logits of every clean image have a number that is not finite.
    #[error("the model returns non-finite logits for all {0} images: nothing can be evaluated")]
    NonFinite(usize),
    /// What was finished could not be kept.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A signal came before anything was known.
    #[error("interrupted before the clean images were classified")]
    Interrupted,
    /// The images or labels cannot be evaluated.
    #[error(transparent)]
    Set(#[from] SetError),
    /// The plan cannot be carried out.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A counterexample that the original model does not confirm: a defect of this program, or of the engine.
    #[error("internal error: {0}")]
    Verification(#[from] VerifyError),
    /// What the journal of an earlier run says is not so.
    #[error(
        "what an earlier run left in the journal does not hold: {0}; restore journal and counterexamples from a copy, or \
         delete them to start over"
    )]
    Resumed(VerifyError),
    /// The attacks stopped for a gate whose answer is not certain by what was counted: a defect of this program.
    #[error("internal error: the attacks stopped for the gate, but its answer is not certain")]
    Undecided,
    /// A worker panicked: a defect of this program.
    #[error("internal error: a worker panicked: {0}")]
    WorkerPanicked(String),
}

/// Why a plan cannot be carried out.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// No ball has that radius.
    #[error(transparent)]
    Radius(#[from] RadiusError),
    /// A parameter of an attack is out of its range.
    #[error(transparent)]
    Attack(#[from] SpecError),
    /// An attack that stands twice in the list: the second would find nothing new and cost as much.
    #[error("the attack {0} is listed twice; raise its `restarts` instead")]
    Duplicate(&'static str),
    /// An attack on features names no tensor.
    #[error("{0} names no tensor whose values it should move")]
    NoFeature(&'static str),
    /// Two attacks on features of one run name two tensors.
    #[error(
        "{attack} moves the tensor `{own}`, and another attack `{first}`: a run has one, name the same for both"
    )]
    TwoFeatures {
        /// The second.
        attack: &'static str,
        /// Its tensor.
        own: String,
        /// That of the first.
        first: String,
    },
    /// An attack whose loss is of several images names no others.
    #[error("{0} names no images that its penalty is computed with: draw some (`pgd_mi::reference_images`)")]
    NoReferences(&'static str),
    /// Such an image is not in the set.
    #[error(
        "{attack}: the reference image {image} is not in the set, which has {images} images, counted from 0"
    )]
    NoSuchReference {
        /// The attack.
        attack: &'static str,
        /// The image.
        image: usize,
        /// Images of the set.
        images: usize,
    },
    /// Nobody to do the work.
    #[error("workers is 0, must be at least 1")]
    NoWorkers,
}
