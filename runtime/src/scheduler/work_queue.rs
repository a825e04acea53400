//! The units of one attack: which are to be done, and which no longer matter.

use std::collections::HashSet;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};

use crate::journal::{Outcome, Record};

/// No unit has broken the image.
const NONE: u32 = u32::MAX;

/// Units of work that a worker takes even where others have less: a smaller batch would be padded.
const FEWEST: f64 = 2.0;

/// One search: a unit of an attack on one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WorkItem {
    /// Position in [`WorkQueue::images`].
    position: usize,
    /// Position in the evaluation set.
    pub(super) image: usize,
    pub(super) unit: u32,
}

/// How the end of a unit changes what is known of its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ImageStatus {
    /// Other units of it are open, or it was known to be out.
    Unchanged,
    /// It is out, and was not before.
    Out,
    /// Its last unit has ended, and none took it out.
    Spent,
}

/// Units of all images, taken in the order unit by unit: the first of every image, then the second of those still in.
///
/// An image is out by the *lowest* unit that broke it. Higher units of it are dropped; lower ones that are under way go
/// on, so that what is reported never depends on which of them was faster.
#[derive(Debug)]
pub(super) struct WorkQueue<'a> {
    images: &'a [usize],
    units: u32,
    next: AtomicUsize,
    /// Units that are handed out and have not ended or been dropped.
    under_way: AtomicUsize,
    /// Passes that these have taken.
    spent: AtomicU64,
    /// Passes of a unit that does not end early, at least 1.
    passes: u64,
    /// What an earlier run has finished.
    finished: HashSet<(usize, u32)>,
    states: Vec<ImageProgress>,
}

/// The open units of one image.
#[derive(Debug)]
struct ImageProgress {
    /// The lowest unit that took it out, or [`NONE`].
    out_by: AtomicU32,
    /// Units that have not ended.
    open: AtomicU32,
}

impl<'a> WorkQueue<'a> {
    /// The units `0..units` of those images, each of so many passes at most, without what the records say is done.
    pub(super) fn new(images: &'a [usize], units: usize, passes: u64, finished: &[&Record]) -> Self {
        let units = units as u32;
        let state = || ImageProgress { out_by: AtomicU32::new(NONE), open: AtomicU32::new(units) };
        let mut queue = Self {
            images,
            units,
            next: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            spent: AtomicU64::new(0),
            passes: passes.max(1),
            finished: HashSet::new(),
            states: images.iter().map(|_| state()).collect(),
        };
        let positions: std::collections::HashMap<usize, usize> =
            images.iter().enumerate().map(|(position, image)| (*image, position)).collect();
        for record in finished {
            let image = record.image as usize;
            if let Some(position) = positions.get(&image).copied()
                && queue.finished.insert((image, record.unit))
            {
                queue.complete(WorkItem { position, image, unit: record.unit }, &record.outcome);
            }
        }
        queue
    }

    /// The next unit to search; `None` when all are handed out.
    pub(super) fn take(&self) -> Option<WorkItem> {
        let count = self.images.len();
        loop {
            let index = self.next.fetch_add(1, Relaxed);
            if index >= count * self.units as usize {
                return None;
            }
            let (unit, position) = ((index / count) as u32, index % count);
            let item = WorkItem { position, image: self.images[position], unit };
            if !self.is_dropped(item) && !self.finished.contains(&(item.image, unit)) {
                self.under_way.fetch_add(1, Relaxed);
                return Some(item);
            }
        }
    }

    /// Counts passes of units that are under way.
    pub(super) fn spend(&self, passes: u64) {
        self.spent.fetch_add(passes, Relaxed);
    }

    /// A unit that was taken and has spent so many passes is no longer under way.
    pub(super) fn release(&self, spent: u64) {
        self.under_way.fetch_sub(1, Relaxed);
        self.spent.fetch_sub(spent, Relaxed);
    }

    /// How much work each of so many workers should have, counted in whole units, so that none is left without while another
    /// has much. At least [`FEWEST`].
    pub(super) fn fair_share(&self, workers: usize) -> f64 {
        let all = self.images.len() * self.units as usize;
        let open = all.saturating_sub(self.next.load(Relaxed)) + self.under_way.load(Relaxed);
        (self.work(open, self.spent.load(Relaxed)) / workers as f64).max(FEWEST)
    }

    /// The work that is left of so many units, which have spent so many passes together, counted in whole units.
    pub(super) fn work(&self, units: usize, spent: u64) -> f64 {
        units as f64 - spent as f64 / self.passes as f64
    }

    /// Whether the outcome of a unit no longer matters.
    pub(super) fn is_dropped(&self, item: WorkItem) -> bool {
        self.states[item.position].out_by.load(Relaxed) < item.unit
    }

    /// Counts the end of a unit.
    ///
    /// An image is counted once, as out or as spent: a unit says that the image is out before it says that it has ended,
    /// so that whoever ends the last unit knows of all others.
    pub(super) fn complete(&self, item: WorkItem, outcome: &Outcome) -> ImageStatus {
        let state = &self.states[item.position];
        let before = outcome.ends_image().then(|| state.out_by.fetch_min(item.unit, Relaxed));
        let last = state.open.fetch_sub(1, AcqRel) == 1;
        match before {
            Some(NONE) => ImageStatus::Out,
            None if last && state.out_by.load(Relaxed) == NONE => ImageStatus::Spent,
            Some(_) | None => ImageStatus::Unchanged,
        }
    }

    /// The images that are out, and those whose units have all ended without taking them out.
    pub(super) fn ended(&self) -> (Vec<usize>, Vec<usize>) {
        let is_out = |state: &ImageProgress| state.out_by.load(Relaxed) != NONE;
        let is_spent = |state: &ImageProgress| !is_out(state) && state.open.load(Relaxed) == 0;
        let images = |holds: &dyn Fn(&ImageProgress) -> bool| {
            let states = self.images.iter().zip(&self.states);
            states.filter(|(_, state)| holds(state)).map(|(image, _)| *image).collect()
        };
        (images(&is_out), images(&is_spent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROKEN: Outcome = Outcome::Broken {
        step: 3,
        prediction: 1,
        distance: 0.1,
        margin: -1.0,
        margin_float64: None,
        fragile: false,
        slot: None,
    };

    fn record(image: u32, unit: u32, outcome: Outcome) -> Record {
        Record {
            image,
            attack: 0,
            unit,
            outcome,
            forwards: 1,
            backwards: 1,
            zero_gradient: false,
            non_finite_gradient: false,
            closest: None,
            incomplete: false,
            rejected: false,
            trace: Vec::new(),
        }
    }

    fn taken(queue: &WorkQueue) -> Vec<(usize, u32)> {
        std::iter::from_fn(|| queue.take()).map(|item| (item.image, item.unit)).collect()
    }

    #[test]
    fn units_come_one_after_the_other_and_stop_for_images_that_are_out() {
        let queue = WorkQueue::new(&[4, 7], 3, 10, &[]);
        let first = queue.take().unwrap();
        assert_eq!((first.image, first.unit), (4, 0));
        assert_eq!(queue.complete(first, &BROKEN), ImageStatus::Out);
        assert_eq!(taken(&queue), [(7, 0), (7, 1), (7, 2)]);
        assert_eq!(queue.ended(), (vec![4], vec![]));
    }

    #[test]
    fn the_lowest_unit_counts_whichever_is_faster() {
        let queue = WorkQueue::new(&[4], 3, 10, &[]);
        let items: Vec<WorkItem> = std::iter::from_fn(|| queue.take()).collect();
        assert_eq!(queue.complete(items[1], &BROKEN), ImageStatus::Out);
        assert!(queue.is_dropped(items[2]) && !queue.is_dropped(items[1]) && !queue.is_dropped(items[0]));
        assert_eq!(queue.complete(items[0], &BROKEN), ImageStatus::Unchanged);
        assert!(queue.is_dropped(items[1]));
    }

    #[test]
    fn the_last_unit_decides_what_became_of_an_image() {
        for (outcomes, want) in [
            ([Outcome::Spent, Outcome::Spent], ImageStatus::Spent),
            ([BROKEN, Outcome::Spent], ImageStatus::Unchanged),
            ([Outcome::NonFinite { step: 0 }, Outcome::Spent], ImageStatus::Unchanged),
        ] {
            let queue = WorkQueue::new(&[4], 2, 10, &[]);
            let items: Vec<WorkItem> = std::iter::from_fn(|| queue.take()).collect();
            queue.complete(items[0], &outcomes[0]);
            assert_eq!(queue.complete(items[1], &outcomes[1]), want, "{outcomes:?}");
        }
    }

    #[test]
    fn an_image_that_only_rounding_broke_is_searched_on() {
        let fragile = Outcome::Broken {
            step: 3,
            prediction: 1,
            distance: 0.1,
            margin: 0.0,
            margin_float64: None,
            fragile: true,
            slot: None,
        };
        for (second, want) in [(Outcome::Spent, ImageStatus::Spent), (BROKEN, ImageStatus::Out)] {
            let queue = WorkQueue::new(&[4], 2, 10, &[]);
            let items: Vec<WorkItem> = std::iter::from_fn(|| queue.take()).collect();
            assert_eq!(queue.complete(items[0], &fragile), ImageStatus::Unchanged);
            assert!(!queue.is_dropped(items[1]));
            assert_eq!(queue.complete(items[1], &second), want);
        }
    }

    #[test]
    fn workers_share_what_is_left() {
        let queue = WorkQueue::new(&[4, 7, 9], 3, 10, &[]);
        assert_eq!([1, 2, 9].map(|workers| queue.fair_share(workers)), [9.0, 4.5, 2.0]);
        let taken: Vec<WorkItem> = std::iter::from_fn(|| queue.take()).collect();
        assert_eq!(queue.fair_share(2), 4.5);
        // What is half done counts half.
        queue.spend(5);
        assert_eq!((queue.fair_share(2), queue.work(3, 5)), (4.25, 2.5));
        queue.release(5);
        assert_eq!(queue.fair_share(2), 4.0);
        taken[1..].iter().for_each(|_| queue.release(0));
        assert_eq!(queue.fair_share(2), 2.0);
    }

    /// A lower unit than the one that broke the image may have been under way when the earlier run was killed.
    #[test]
    fn what_an_earlier_run_finished_is_not_given_out_again() {
        let records = [record(4, 1, BROKEN), record(7, 0, Outcome::Spent), record(7, 1, Outcome::Spent)];
        let finished: Vec<&Record> = records.iter().collect();
        let queue = WorkQueue::new(&[4, 7], 3, 10, &finished);
        assert_eq!(taken(&queue), [(4, 0), (7, 2)]);
        assert_eq!(queue.ended(), (vec![4], vec![]));
        queue.complete(WorkItem { position: 1, image: 7, unit: 2 }, &Outcome::Spent);
        assert_eq!(queue.ended(), (vec![4], vec![7]));
    }
}
