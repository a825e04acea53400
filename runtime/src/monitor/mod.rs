//! Counts what the workers have done and shows it to the observer.

mod observer;

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

pub use observer::{Observer, Progress, Silent, Stage};

/// Shared by all workers. The counts are only shown: nothing is decided by them.
pub(crate) struct Monitor<'a> {
    observer: &'a dyn Observer,
    started: Instant,
    images: usize,
    /// The stage and how many images it works on.
    stage: Mutex<(Stage, usize)>,
    clean_correct: AtomicUsize,
    still_robust: AtomicUsize,
    finished: AtomicUsize,
    steps: AtomicU64,
}

impl<'a> Monitor<'a> {
    pub(crate) fn new(observer: &'a dyn Observer, images: usize) -> Self {
        Self {
            observer,
            started: Instant::now(),
            images,
            stage: Mutex::new((Stage::Clean, images)),
            clean_correct: AtomicUsize::new(0),
            still_robust: AtomicUsize::new(0),
            finished: AtomicUsize::new(0),
            steps: AtomicU64::new(0),
        }
    }

    /// Begins a stage over that many images.
    pub(crate) fn start(&self, stage: Stage, images: usize) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = (stage, images);
        self.finished.store(0, Relaxed);
        self.steps.store(0, Relaxed);
        self.show();
    }

    /// Clean images were classified, so many of them correctly.
    pub(crate) fn classified(&self, images: usize, correct: usize) {
        self.clean_correct.fetch_add(correct, Relaxed);
        self.still_robust.fetch_add(correct, Relaxed);
        self.finished.fetch_add(images, Relaxed);
        self.show();
    }

    /// The model was asked about so many iterates.
    pub(crate) fn stepped(&self, iterates: usize) {
        self.steps.fetch_add(iterates as u64, Relaxed);
        self.show();
    }

    /// A stage is done with one image.
    pub(crate) fn image_finished(&self) {
        self.finished.fetch_add(1, Relaxed);
    }

    /// An image is broken, or its logits are not finite.
    pub(crate) fn image_out(&self) {
        self.finished.fetch_add(1, Relaxed);
        self.still_robust.fetch_sub(1, Relaxed);
    }

    /// Tells the observer how things stand.
    pub(crate) fn show(&self) {
        let (stage, attacked) = *self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        self.observer.progress(&Progress {
            stage,
            images: self.images,
            clean_correct: self.clean_correct.load(Relaxed),
            attacked,
            finished: self.finished.load(Relaxed),
            still_robust: self.still_robust.load(Relaxed),
            steps: self.steps.load(Relaxed),
            elapsed: self.started.elapsed(),
        });
    }
}
