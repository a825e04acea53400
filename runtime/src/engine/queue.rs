//! Work that several workers take from.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// Items in order; each goes to one worker.
#[derive(Debug)]
pub(crate) struct Queue<'a> {
    items: &'a [usize],
    next: AtomicUsize,
    stopped: AtomicBool,
}

impl<'a> Queue<'a> {
    pub(crate) fn new(items: &'a [usize]) -> Self {
        Self { items, next: AtomicUsize::new(0), stopped: AtomicBool::new(false) }
    }

    /// The next item; `None` when there is none or the queue is stopped.
    pub(crate) fn take(&self) -> Option<usize> {
        if self.is_stopped() {
            return None;
        }
        self.items.get(self.next.fetch_add(1, Relaxed)).copied()
    }

    /// Tells every worker to leave its work: one of them has failed.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Relaxed);
    }

    /// Whether a worker has failed.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Relaxed)
    }
}
