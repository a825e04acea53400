//! When the answer of a gate can no longer change.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::halt::Halt;

/// Counts towards a requirement on the number of robust images.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Robust images that the requirement needs.
    needed: usize,
    /// Images that may still turn out robust.
    possible: AtomicUsize,
    /// Images that every attack left alone.
    survived: AtomicUsize,
}

impl Gate {
    /// A requirement of so many robust images, where `possible` may still be.
    pub(crate) fn new(needed: usize, possible: usize) -> Self {
        Self { needed, possible: AtomicUsize::new(possible), survived: AtomicUsize::new(0) }
    }

    /// Stops the work if the requirement cannot hold any more, or already does.
    pub(crate) fn check(&self, halt: &Halt) {
        let fails = self.possible.load(Relaxed) < self.needed;
        let holds = self.survived.load(Relaxed) >= self.needed;
        if fails || holds {
            halt.decide();
        }
    }

    /// An image is out.
    pub(crate) fn lost(&self, halt: &Halt) {
        self.possible.fetch_sub(1, Relaxed);
        self.check(halt);
    }

    /// Every attack has spent its budget on an image.
    pub(crate) fn survived(&self, halt: &Halt) {
        self.survived.fetch_add(1, Relaxed);
        self.check(halt);
    }
}
