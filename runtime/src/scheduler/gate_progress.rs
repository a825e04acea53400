//! Stops the attacks once the answer of a gate is certain.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use super::stop_signal::StopSignal;
use crate::requirement::{Conclusion, Known, Requirements};

/// Counts towards the requirements while the attacks run, as the report does at the end.
#[derive(Debug)]
pub(crate) struct GateProgress {
    requirements: Requirements,
    images: usize,
    clean_correct: usize,
    /// Images that may still turn out robust.
    possible: AtomicUsize,
    /// Images that no attack broke.
    robust: AtomicUsize,
    /// One entry an image: whether a unit of any attack broke it by rounding only. Such an image does not count as
    /// robust, even if the last attack leaves it alone.
    fragile: Vec<AtomicBool>,
}

impl GateProgress {
    /// After the clean pass of so many images, of which `possible` may still be robust.
    pub(crate) fn new(
        requirements: Requirements,
        images: usize,
        clean_correct: usize,
        possible: usize,
    ) -> Self {
        Self {
            requirements,
            images,
            clean_correct,
            possible: AtomicUsize::new(possible),
            robust: AtomicUsize::new(0),
            fragile: (0..images).map(|_| AtomicBool::new(false)).collect(),
        }
    }

    /// Stops the work if nothing that is still open can change the answer.
    pub(crate) fn check(&self, stop: &StopSignal) {
        let known = Known {
            images: self.images,
            clean_correct: self.clean_correct,
            robust: self.robust.load(Relaxed),
            possible: self.possible.load(Relaxed),
            weakened: None,
            regressed: None,
        };
        match self.requirements.conclude(&known) {
            Conclusion::Open | Conclusion::NoRequirement => {}
            Conclusion::Holds | Conclusion::DoesNotHold | Conclusion::Inconclusive => stop.decide(),
        }
    }

    /// An image is broken, or its logits are not finite.
    pub(crate) fn image_out(&self, stop: &StopSignal) {
        self.possible.fetch_sub(1, Relaxed);
        self.check(stop);
    }

    /// A unit broke an image by rounding only.
    pub(crate) fn image_fragile(&self, image: usize) {
        self.fragile[image].store(true, Relaxed);
    }

    /// Every attack has spent its budget on an image.
    pub(crate) fn image_spent(&self, image: usize, stop: &StopSignal) {
        if self.fragile[image].load(Relaxed) {
            return self.image_out(stop);
        }
        self.robust.fetch_add(1, Relaxed);
        self.check(stop);
    }
}
