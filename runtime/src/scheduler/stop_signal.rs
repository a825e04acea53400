//! Why workers leave their work before it is done.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What has stopped an evaluation, seen by all workers between two batches.
#[derive(Debug)]
pub(crate) struct StopSignal<'a> {
    /// Set from outside: by a signal.
    interrupted: &'a AtomicBool,
    failed: AtomicBool,
    decided: AtomicBool,
}

impl<'a> StopSignal<'a> {
    pub(crate) fn new(interrupted: &'a AtomicBool) -> Self {
        Self { interrupted, failed: AtomicBool::new(false), decided: AtomicBool::new(false) }
    }

    /// A worker has failed.
    pub(crate) fn fail(&self) {
        self.failed.store(true, Relaxed);
    }

    /// The open units cannot change the gate's answer.
    pub(crate) fn decide(&self) {
        self.decided.store(true, Relaxed);
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Relaxed)
    }

    pub(crate) fn is_decided(&self) -> bool {
        self.decided.load(Relaxed)
    }

    /// Whether workers should leave.
    pub(crate) fn is_set(&self) -> bool {
        self.failed.load(Relaxed) || self.is_decided() || self.is_interrupted()
    }
}
