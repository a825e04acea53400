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
    stage: Mutex<RunningStage>,
    clean_correct: AtomicUsize,
    still_robust: AtomicUsize,
    finished: AtomicUsize,
    passes: AtomicU64,
    /// Passes that the stage may still take, at most.
    passes_left: AtomicU64,
    /// Passes of the stage on each image of the set.
    spent: Vec<AtomicU64>,
}

/// What a stage works on.
#[derive(Debug, Clone, Copy)]
struct RunningStage {
    stage: Stage,
    /// Images that it works on.
    images: usize,
    most_passes: MostPasses,
}

/// What one image may cost, in passes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct MostPasses {
    /// In this stage.
    pub(crate) now: u64,
    /// In all stages after it, where nothing breaks the image.
    pub(crate) later: u64,
}

impl<'a> Monitor<'a> {
    pub(crate) fn new(observer: &'a dyn Observer, images: usize) -> Self {
        let most_passes = MostPasses::default();
        Self {
            observer,
            started: Instant::now(),
            images,
            stage: Mutex::new(RunningStage { stage: Stage::Clean, images, most_passes }),
            clean_correct: AtomicUsize::new(0),
            still_robust: AtomicUsize::new(0),
            finished: AtomicUsize::new(0),
            passes: AtomicU64::new(0),
            passes_left: AtomicU64::new(0),
            spent: (0..images).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Begins a stage over that many images.
    pub(crate) fn start(&self, stage: Stage, images: usize, most_passes: MostPasses) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) =
            RunningStage { stage, images, most_passes };
        self.finished.store(0, Relaxed);
        self.passes.store(0, Relaxed);
        self.passes_left.store(images as u64 * most_passes.now, Relaxed);
        self.spent.iter().for_each(|spent| spent.store(0, Relaxed));
        self.show();
    }

    /// Clean images were classified, so many of them correctly, by so many passes.
    pub(crate) fn classified(&self, images: usize, correct: usize, passes: u64) {
        self.clean_correct.fetch_add(correct, Relaxed);
        self.still_robust.fetch_add(correct, Relaxed);
        self.finished.fetch_add(images, Relaxed);
        self.passes.fetch_add(passes, Relaxed);
        self.lower_left(passes);
        self.show();
    }

    /// The model was asked about iterates of those images, by so many passes each.
    pub(crate) fn asked(&self, images: impl Iterator<Item = usize>, passes_each: u64) {
        let mut passes = 0;
        for image in images {
            self.spent[image].fetch_add(passes_each, Relaxed);
            passes += passes_each;
        }
        self.passes.fetch_add(passes, Relaxed);
        self.lower_left(passes);
        self.show();
    }

    /// A stage is done with one image.
    pub(crate) fn image_finished(&self, image: usize) {
        self.finished.fetch_add(1, Relaxed);
        let most = self.running().most_passes.now;
        self.lower_left(most.saturating_sub(self.spent[image].load(Relaxed)));
    }

    /// An image is broken, or its logits are not finite.
    pub(crate) fn image_out(&self, image: usize) {
        self.still_robust.fetch_sub(1, Relaxed);
        self.image_finished(image);
    }

    /// Tells the observer how things stand.
    pub(crate) fn show(&self) {
        let RunningStage { stage, images: attacked, most_passes } = self.running();
        let still_robust = self.still_robust.load(Relaxed);
        self.observer.progress(&Progress {
            stage,
            images: self.images,
            clean_correct: self.clean_correct.load(Relaxed),
            attacked,
            finished: self.finished.load(Relaxed),
            still_robust,
            passes: self.passes.load(Relaxed),
            passes_left: self.passes_left.load(Relaxed),
            later_passes: still_robust as u64 * most_passes.later,
            elapsed: self.started.elapsed(),
        });
    }

    fn running(&self) -> RunningStage {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Searches that were under way when their image went out were counted with it: never below 0.
    fn lower_left(&self, passes: u64) {
        let lower = |left: u64| Some(left.saturating_sub(passes));
        let _ = self.passes_left.fetch_update(Relaxed, Relaxed, lower);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps the last state.
    #[derive(Default)]
    struct Last(Mutex<Option<Progress>>);

    impl Observer for Last {
        fn progress(&self, progress: &Progress) {
            *self.0.lock().unwrap() = Some(*progress);
        }
    }

    #[test]
    fn passes_that_are_left_fall_with_every_pass_and_with_every_image_that_is_done() {
        let last = Last::default();
        let monitor = Monitor::new(&last, 4);
        let passes = || {
            let progress = last.0.lock().unwrap().unwrap();
            (progress.passes, progress.passes_left, progress.later_passes)
        };
        monitor.start(Stage::Clean, 4, MostPasses { now: 1, later: 300 });
        assert_eq!(passes(), (0, 4, 0));
        monitor.classified(4, 3, 4);
        assert_eq!(passes(), (4, 0, 900));
        monitor.start(Stage::Attack("apgd-ce"), 3, MostPasses { now: 200, later: 100 });
        assert_eq!(passes(), (0, 600, 300));
        monitor.asked([0, 1, 3].into_iter(), 2);
        assert_eq!(passes(), (6, 594, 300));
        monitor.image_out(1);
        monitor.show();
        assert_eq!(passes(), (6, 396, 200));
        monitor.asked([0, 3].into_iter(), 198);
        monitor.image_finished(0);
        monitor.image_finished(3);
        monitor.show();
        assert_eq!(passes(), (402, 0, 200));
        monitor.asked([1].into_iter(), 2);
        assert_eq!(passes(), (404, 0, 200), "a search that was under way when its image went out");
    }
}
