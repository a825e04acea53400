//! Why an evaluation stopped. None of these may be read as "robust".

use super::set::SetError;
use mimir_bundle::attack::SpecError;

use crate::ball::RadiusError;
use crate::model::ModelError;
use crate::verify::VerifyError;

/// Why an evaluation stopped.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// The engine failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A number that is not finite.
    #[error(transparent)]
    NonFinite(#[from] NonFinite),
    /// The images or labels cannot be evaluated.
    #[error(transparent)]
    Set(#[from] SetError),
    /// The plan cannot be carried out.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A counterexample that the original model does not confirm: a defect of this program, or of the engine.
    #[error("internal error: {0}")]
    Verification(#[from] VerifyError),
    /// A worker panicked: a defect of this program.
    #[error("internal error: a worker panicked: {0}")]
    WorkerPanicked(String),
}

/// A model that returned NaN or an infinity: nothing can be said about the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "image {image}: the model returned a {quantity} that is not finite; the image can count neither as robust nor as broken"
)]
pub struct NonFinite {
    /// Position in the evaluation set.
    pub image: usize,
    /// Which of its answers.
    pub quantity: Quantity,
}

/// An answer of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// A logit.
    Logits,
    /// The loss.
    Loss,
    /// A derivative of the loss.
    Gradient,
}

impl std::fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Logits => "logit",
            Self::Loss => "loss",
            Self::Gradient => "gradient entry",
        })
    }
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
    /// Nobody to do the work.
    #[error("workers is 0, must be at least 1")]
    NoWorkers,
}
