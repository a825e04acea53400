//! Attacks: for one image each, a state machine that proposes iterates and learns from the model's answers.
//!
//! An [`Attack`] holds the parameters; [`Attack::search`] makes the [`Search`] for one image. The
//! [engine](crate::engine) owns the models: it gathers one proposal from each of many searches into a batch, asks the
//! model once, and hands each search its own row of the answer. A search therefore knows nothing of batches, sessions
//! or other images, and its outcome cannot depend on them. It also does not decide that an image is broken: the
//! engine looks at the logits of every proposal, asks the original model where they look broken, and drops the search
//! when the original model agrees.
//!
//! Restarts and targets are part of a search: it runs them one after the other and says [`Step::Done`] after the last.
//! `docs/adding-an-attack.md` has the steps to a new one; [`apgd`] is the file to copy.

pub mod apgd;
mod spec;

pub use apgd::ApgdSpec;
pub use spec::{AttackSpec, SpecError, UnknownAttack};

use crate::model::{Goal, Loss};

/// What an attack asks the model at each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query {
    /// Logits of the original model only; [`Answer::loss`] is 0 and [`Answer::gradient`] empty.
    Logits,
    /// Logits, loss and input gradient.
    Gradient(Loss),
}

/// One image to attack.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Position in the evaluation set.
    pub image: usize,
    /// `C·H·W` clean pixels, in `[0, 1]`.
    pub pixels: &'a [f32],
    /// True class.
    pub label: usize,
    /// `K` logits of the original model on the clean image; targets are ranked by them.
    pub clean_logits: &'a [f32],
}

/// What the model said about one proposal. Every number is finite: the engine stops the run otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// `K` logits.
    pub logits: &'a [f32],
    /// The loss that the attack maximises.
    pub loss: f32,
    /// `C·H·W` derivatives of the loss.
    pub gradient: &'a [f32],
}

/// Whether a search has more to propose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is a next proposal.
    Continue,
    /// The budget is spent.
    Done,
}

/// An attack with its parameters.
pub trait Attack: Sync {
    /// What it asks at every step.
    fn query(&self) -> Query;

    /// The search for an adversarial version of one image.
    fn search<'a>(&'a self, subject: Subject<'a>) -> Box<dyn Search + 'a>;
}

/// The state of an attack on one image.
pub trait Search: Send {
    /// What the loss of the next proposal refers to.
    fn goal(&self) -> Goal;

    /// Writes the next proposal: `C·H·W` pixels, inside the ball and the box.
    fn propose(&self, out: &mut [f32]);

    /// Learns the answer to the last proposal.
    fn observe(&mut self, answer: &Answer) -> Step;
}
