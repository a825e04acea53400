//! The training set: real images, or some of them, and optional generated images.

use std::sync::Arc;

use crate::error::{DataError, FilePart};
use crate::picture::Picture;
use crate::picture_set::PictureSet;
use crate::random::{Key, Stream};
use crate::storage::Identity;

/// Real images and, optionally, generated ones that fill a share of each batch.
///
/// Sample ids are unique: that of a real image is its position in its set, also where only some of the set are trained
/// on; the ids of generated images follow those of the whole real set.
#[derive(Debug)]
pub struct TrainingSet {
    real: Arc<PictureSet>,
    /// Positions in `real`.
    chosen: Vec<u32>,
    generated: Option<Generated>,
}

#[derive(Debug)]
struct Generated {
    set: Arc<PictureSet>,
    share: f64,
}

/// One image that is trained on: its position among the real or among the generated ones that are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SampleIndex {
    Real(u32),
    Generated(u32),
}

impl TrainingSet {
    /// All images of a set.
    ///
    /// # Errors
    /// Where there are 2³² images or more.
    pub fn new(real: Arc<PictureSet>) -> Result<Self, DataError> {
        let count = count(&real)?;
        Ok(Self { real, chosen: (0..count).collect(), generated: None })
    }

    /// Some images of a set, by their positions: the training part of [`split_held_out`].
    ///
    /// # Errors
    /// Where there are none, or one that the set does not have.
    pub fn subset(real: Arc<PictureSet>, positions: &[usize]) -> Result<Self, DataError> {
        let count = count(&real)?;
        if positions.is_empty() {
            return Err(DataError::format("training set", FilePart::Whole, "no images", "at least one"));
        }
        let chosen = |position: &usize| {
            let fits = u32::try_from(*position).ok().filter(|position| *position < count);
            fits.ok_or(DataError::NoSuchImage { image: *position, count: count as usize })
        };
        Ok(Self { chosen: positions.iter().map(chosen).collect::<Result<_, _>>()?, real, generated: None })
    }

    /// Fills that share of each batch with generated images, rounded to whole images.
    ///
    /// # Errors
    /// Where the share is not in `(0, 1)`, or the generated images have other channels or classes than the real ones.
    pub fn with_generated(self, set: Arc<PictureSet>, share: f64) -> Result<Self, DataError> {
        if !(share > 0.0 && share < 1.0) {
            let (found, wanted) = (share.to_string(), "above 0 and below 1".to_owned());
            return Err(DataError::InvalidParameter { name: "generated_share", found, wanted });
        }
        count(&set)?;
        if set.channels() != self.real.channels() {
            let (found, wanted) = (set.channels().to_string(), self.real.channels().to_string());
            return Err(DataError::InvalidParameter { name: "channels of generated images", found, wanted });
        }
        set.check_labels(self.classes())?;
        Ok(Self { generated: Some(Generated { set, share }), ..self })
    }

    /// Number of classes: of the class names, or the largest label plus one.
    pub fn classes(&self) -> usize {
        let largest = || self.real.labels.iter().max().map_or(0, |label| label.saturating_add(1));
        self.real.names.as_ref().map_or_else(largest, Vec::len)
    }

    /// Real images that are trained on.
    pub fn count(&self) -> usize {
        self.chosen.len()
    }

    /// Channels of every image, 1 or 3.
    pub fn channels(&self) -> usize {
        self.real.channels()
    }

    /// Generated images and their share, 0 and 0 without.
    pub(crate) fn generated(&self) -> (usize, f64) {
        self.generated.as_ref().map_or((0, 0.0), |generated| (generated.set.count(), generated.share))
    }

    /// Hands over, in pieces, what makes this training set another than all others: for each image, real ones first, its
    /// label and its pixels; of an image that is a file, the name within the set and the length instead, so that a set of
    /// a million photographs needs no reading. Numbers are 8 bytes, little-endian.
    ///
    /// # Errors
    /// Images that cannot be read.
    pub fn identify(&self, mut take: impl FnMut(&[u8])) -> Result<(), DataError> {
        let positions = |count: usize| 0..count as u32;
        let real = positions(self.count()).map(SampleIndex::Real);
        let generated = positions(self.generated().0).map(SampleIndex::Generated);
        for index in real.chain(generated) {
            let (set, image) = self.find(index)?;
            let mut number = |number: usize| take(&(number as u64).to_le_bytes());
            number(set.labels.get(image).copied().unwrap_or_default());
            match set.identity(image)? {
                Identity::Pixels(picture) => {
                    [picture.height(), picture.width(), picture.channels()].into_iter().for_each(number);
                    take(picture.bytes());
                }
                Identity::File { name, bytes } => {
                    [bytes as usize, name.len()].into_iter().for_each(number);
                    take(name.as_bytes());
                }
            }
        }
        Ok(())
    }

    /// The sample id of an image.
    pub(crate) fn id(&self, index: SampleIndex) -> u64 {
        match index {
            SampleIndex::Real(position) => {
                self.chosen.get(position as usize).map_or(0, |image| u64::from(*image))
            }
            SampleIndex::Generated(position) => self.real.count() as u64 + u64::from(position),
        }
    }

    /// Label and pixels of an image.
    pub(crate) fn read(&self, index: SampleIndex) -> Result<(usize, Picture), DataError> {
        let (set, image) = self.find(index)?;
        let label = set.labels.get(image).copied().unwrap_or_default();
        Ok((label, set.read_rgb(image)?))
    }

    /// The file of an image.
    pub(crate) fn location(&self, index: SampleIndex) -> String {
        self.find(index).map_or_else(|_| format!("{index:?}"), |(set, image)| set.location(image))
    }

    fn find(&self, index: SampleIndex) -> Result<(&PictureSet, usize), DataError> {
        match (index, &self.generated) {
            (SampleIndex::Generated(position), Some(generated)) => Ok((&generated.set, position as usize)),
            (SampleIndex::Generated(position), None) => {
                Err(DataError::NoSuchImage { image: position as usize, count: 0 })
            }
            (SampleIndex::Real(position), _) => {
                let (image, count) = (position as usize, self.chosen.len());
                let chosen = self.chosen.get(image).ok_or(DataError::NoSuchImage { image, count })?;
                Ok((&self.real, *chosen as usize))
            }
        }
    }
}

fn count(set: &PictureSet) -> Result<u32, DataError> {
    u32::try_from(set.count()).map_err(|_| {
        let found = format!("{} images", set.count());
        DataError::format("training set", FilePart::Whole, found, "fewer than 2^32")
    })
}

/// Divides the positions `0..total` of a training set into those to train on and `count` others to select models by,
/// so that the test set is not used for selection.
///
/// The held-out ones are a uniformly random subset that depends on the three arguments only, without regard to classes.
/// Both parts are ascending.
///
/// # Errors
/// Where `count` leaves nothing to train on, or the set has 2³² images or more.
pub fn split_held_out(total: usize, count: usize, seed: u64) -> Result<(Vec<usize>, Vec<usize>), DataError> {
    let positions = u32::try_from(total).ok().filter(|_| count < total);
    let Some(positions) = positions else {
        let wanted = format!("fewer than the {total} images of the training set, and those fewer than 2^32");
        return Err(DataError::InvalidParameter { name: "held_out", found: count.to_string(), wanted });
    };
    let order = Stream::new(&Key { seed, epoch: 0, sample: 0, purpose: "held out" }).permutation(positions);
    let mut is_held_out = vec![false; total];
    order.iter().take(count).for_each(|position| is_held_out[*position as usize] = true);
    Ok((0..total).partition(|position| !is_held_out[*position]))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::dims::ImageDims;
    use crate::image_set::ImageSet;
    use crate::storage::PixelStorage;
    use crate::storage::{InMemory, PixelLayout};
    use proptest::prelude::*;
    use std::path::Path;

    /// Images of 4 x 4 pixels filled with their position plus `first`; the label is the position modulo 10.
    pub(crate) fn plain(count: usize, first: usize, channels: usize) -> Arc<PictureSet> {
        let dims = ImageDims { channels, height: 4, width: 4 };
        let len = 16 * channels;
        let bytes = (0..count * len).map(|location| (first + location / len) as u8).collect();
        let pixels = PixelStorage::InMemory(InMemory::from_bytes(bytes, dims, PixelLayout::ChannelsFirst));
        let labels = (0..count).map(|image| image % 10).collect();
        let set = ImageSet::new(dims, labels, None, len, pixels);
        Arc::new(PictureSet::from_image_set(set, Path::new("plain")).unwrap())
    }

    #[test]
    fn ids_are_positions_and_generated_ones_follow() {
        let set = TrainingSet::subset(plain(20, 0, 3), &[3, 7, 19]).unwrap();
        let set = set.with_generated(plain(5, 100, 3), 0.5).unwrap();
        let found = |index| {
            let (label, picture) = set.read(index).unwrap();
            (set.id(index), label, picture.bytes()[0])
        };
        assert_eq!(found(SampleIndex::Real(1)), (7, 7, 7));
        assert_eq!(found(SampleIndex::Generated(4)), (24, 4, 104));
        assert!(set.read(SampleIndex::Real(3)).is_err() && set.read(SampleIndex::Generated(5)).is_err());
        assert_eq!((set.count(), set.generated(), set.classes()), (3, (5, 0.5), 10));
    }

    #[test]
    fn a_set_is_identified_by_its_images_labels_and_order() {
        let identity = |set: &TrainingSet| {
            let mut bytes = Vec::new();
            set.identify(|piece| bytes.extend_from_slice(piece)).unwrap();
            bytes
        };
        let part = |positions: &[usize]| TrainingSet::subset(plain(20, 0, 3), positions).unwrap();
        let wanted = identity(&part(&[3, 7]));
        assert_eq!(wanted.len(), 2 * (4 * 8 + 48));
        assert_eq!(wanted, identity(&part(&[3, 7])));
        let others = [
            identity(&part(&[7, 3])),
            identity(&part(&[3, 7, 19])),
            identity(&TrainingSet::subset(plain(20, 1, 3), &[3, 7]).unwrap()),
            identity(&TrainingSet::subset(plain(20, 0, 1), &[3, 7]).unwrap()),
            identity(&part(&[3, 7]).with_generated(plain(5, 100, 3), 0.5).unwrap()),
        ];
        assert!(others.iter().all(|other| *other != wanted));
    }

    #[test]
    fn sets_that_do_not_fit_are_refused() {
        let new = || TrainingSet::new(plain(5, 0, 3)).unwrap();
        for share in [0.0, 1.0, f64::NAN] {
            let error = new().with_generated(plain(5, 0, 3), share).unwrap_err().to_string();
            assert!(error.starts_with("parameter `generated_share`"), "{error}");
        }
        let error = new().with_generated(plain(5, 0, 1), 0.5).unwrap_err().to_string();
        assert_eq!(error, "parameter `channels of generated images`: found 1, wanted 3");
        let error = new().with_generated(plain(6, 0, 3), 0.5).unwrap_err().to_string();
        assert_eq!(error, "image 5: found label 5, wanted below 5");
        for positions in [&[][..], &[5]] {
            assert!(TrainingSet::subset(plain(5, 0, 3), positions).is_err());
        }
    }

    proptest! {
        #[test]
        fn a_split_divides_and_is_keyed(total in 1_usize..300, share in 0.0_f64..1.0, seed: u64) {
            let count = (total as f64 * share) as usize;
            let (train, held_out) = split_held_out(total, count, seed).unwrap();
            prop_assert_eq!(held_out.len(), count);
            prop_assert!(train.is_sorted() && held_out.is_sorted());
            let mut all = [train, held_out.clone()].concat();
            all.sort_unstable();
            prop_assert!(all.into_iter().eq(0..total));
            prop_assert_eq!(&split_held_out(total, count, seed).unwrap().1, &held_out);
        }
    }

    #[test]
    fn a_split_must_leave_something() {
        let held_out = |seed| split_held_out(1_000, 100, seed).unwrap().1;
        assert_ne!(held_out(0), held_out(1));
        for (total, count) in [(0, 0), (5, 5), (5, 6)] {
            let error = split_held_out(total, count, 0).unwrap_err().to_string();
            assert!(error.starts_with("parameter `held_out`"), "{error}");
        }
    }
}
