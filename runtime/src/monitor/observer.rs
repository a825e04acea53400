//! How an evaluation tells what it is doing.

use std::time::Duration;

/// What an evaluation is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Classifying the clean images.
    Clean,
    /// Running the attack of that name.
    Attack(&'static str),
    /// Searching the smallest distance of every image that is broken.
    Curve,
    /// Asking the original model about every counterexample once more.
    Verify,
    /// Measuring the margins of the clean images in float64.
    Float64Margins,
}

/// How far an evaluation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The current stage.
    pub stage: Stage,
    /// Images of the set.
    pub images: usize,
    /// Of those seen so far, images that are classified correctly.
    pub clean_correct: usize,
    /// Images that this stage works on.
    pub attacked: usize,
    /// Of them, images that this stage has finished.
    pub finished: usize,
    /// Images that count as robust at this moment: broken ones leave at once, unfinished ones are still in.
    pub still_robust: usize,
    /// Forward and backward passes in this stage, counted in images; those that confirm counterexamples apart.
    pub passes: u64,
    /// Passes that this stage may still take, at most: an image that breaks takes fewer.
    pub passes_left: u64,
    /// Passes that the stages after this one may take, at most, as many images as are robust now.
    pub later_passes: u64,
    /// Since the start of the evaluation.
    pub elapsed: Duration,
}

/// Watches an evaluation. Called by several workers, after each of their batches: implementations choose what to show.
pub trait Observer: Sync {
    /// Called with the state at this moment.
    fn progress(&self, progress: &Progress);

    /// Called with a sentence about a step of the program that is not progress: what was found, chosen or made. For
    /// people who want to see everything.
    fn detail(&self, text: &str) {
        let _ = text;
    }
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn progress(&self, _: &Progress) {}
}
