//! Stops the attacks once the answer of a gate is certain.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::stop_signal::StopSignal;

/// Counts towards a requirement on the number of robust images.
#[derive(Debug)]
pub(crate) struct GateProgress {
    /// Robust images that the requirement needs.
    needed: usize,
    /// Images that may still turn out robust.
    possible: AtomicUsize,
    /// Images that no attack broke.
    robust: AtomicUsize,
}

impl GateProgress {
    /// A requirement of so many robust images, where `possible` may still be.
    pub(crate) fn new(needed: usize, possible: usize) -> Self {
        Self { needed, possible: AtomicUsize::new(possible), robust: AtomicUsize::new(0) }
    }

    /// Stops the work if the requirement cannot hold any more, or already does.
    pub(crate) fn check(&self, stop: &StopSignal) {
        let fails = self.possible.load(Relaxed) < self.needed;
        let holds = self.robust.load(Relaxed) >= self.needed;
        if fails || holds {
            stop.decide();
        }
    }

    /// An image is broken, or its logits are not finite.
    pub(crate) fn image_out(&self, stop: &StopSignal) {
        self.possible.fetch_sub(1, Relaxed);
        self.check(stop);
    }

    /// Every attack has spent its budget on an image.
    pub(crate) fn image_robust(&self, stop: &StopSignal) {
        self.robust.fetch_add(1, Relaxed);
        self.check(stop);
    }
}
