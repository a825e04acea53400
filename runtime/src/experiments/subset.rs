//! Some images of a set, as a set.

use crate::evaluation_set::{EvaluationSet, Images};

/// Those images of a set.
pub(super) struct Subset<'a> {
    pub(super) set: &'a EvaluationSet<'a>,
    pub(super) images: &'a [usize],
}

impl Images for Subset<'_> {
    fn count(&self) -> usize {
        self.images.len()
    }

    fn pixels(&self) -> usize {
        self.set.pixels_per_image()
    }

    fn read(&self, image: usize, out: &mut [f32]) -> Result<(), String> {
        self.set.read(self.images[image], out).map_err(|error| error.to_string())
    }
}

/// At most so many of a list, spread evenly over it.
pub(super) fn spread(list: &[usize], most: usize) -> Vec<usize> {
    let count = list.len().min(most);
    (0..count).map(|position| list[position * list.len() / count]).collect()
}
