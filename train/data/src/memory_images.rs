//! Images that a program has in memory, as a source.

use std::path::Path;
use std::sync::Arc;

use crate::dims::ImageDims;
use crate::error::{DataError, FilePart};
use crate::image_set::{ImageSet, count_classes};
use crate::input::{count_to_read, image_len};
use crate::storage::{InMemory, PixelLayout, PixelStorage};

/// What stands for the path in messages and records.
pub(crate) const NAME: &str = "memory";

/// Labelled images, `[N, C, H, W]` with `N` at least 1, every value in `[0, 1]`.
#[derive(PartialEq)]
pub(crate) struct MemoryImages {
    dims: ImageDims,
    pixels: Arc<Vec<f32>>,
    labels: Vec<usize>,
}

impl MemoryImages {
    pub(crate) fn new(dims: ImageDims, pixels: Vec<f32>, labels: Vec<usize>) -> Result<Self, DataError> {
        let (path, part) = (Path::new(NAME), FilePart::Array("pixels"));
        let len = image_len(path, dims)?;
        let count = count_to_read(path, labels.len(), None)?;
        if len.checked_mul(count) != Some(pixels.len()) {
            let wanted = format!("{len} for each of {count} labels");
            return Err(DataError::format(path, part, format!("{} pixel values", pixels.len()), wanted));
        }
        // NaN is in no range.
        if let Some(place) = pixels.iter().position(|value| !(0.0..=1.0).contains(value)) {
            let found = format!("{} (value {} of image {})", pixels[place], place % len, place / len);
            return Err(DataError::format(path, part, found, "pixels in [0, 1]"));
        }
        Ok(Self { dims, pixels: Arc::new(pixels), labels })
    }

    /// The first images. Nothing but their labels is copied.
    pub(crate) fn open(&self, first: Option<usize>) -> Result<ImageSet, DataError> {
        let (path, Self { dims, pixels, labels }) = (Path::new(NAME), self);
        let (len, count) = (image_len(path, *dims)?, count_to_read(path, labels.len(), first)?);
        let storage = InMemory::from_floats(Arc::clone(pixels), *dims, PixelLayout::ChannelsFirst);
        let whole = (count < labels.len()).then(|| count_classes(labels));
        let labels = labels.iter().take(count).copied().collect();
        let set = ImageSet::new(*dims, labels, None, len, PixelStorage::InMemory(storage));
        Ok(ImageSet { whole, ..set })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::{Interpolation, Size, Transform};
    use crate::{DataSource, Preparation, ReadOptions, Sample, Split, open, open_pictures, open_prepared};

    const DIMS: ImageDims = ImageDims { channels: 1, height: 1, width: 2 };
    const ALL: ReadOptions = ReadOptions { split: Split::Test, first: None };

    fn source() -> DataSource {
        DataSource::in_memory(DIMS, vec![0.0, 0.25, 0.5, 1.0, 0.125, 0.75], vec![4, 0, 4]).unwrap()
    }

    #[test]
    fn images_are_read_as_they_are() {
        let set = open(&source(), &ALL).unwrap();
        assert_eq!((set.dims, &set.labels[..], set.is_decoded()), (DIMS, &[4, 0, 4][..], false));
        assert_eq!([0, 1, 2].map(|image| set.row(image)), [[0.0, 0.25], [0.5, 1.0], [0.125, 0.75]]);
        let first = open(&source(), &ReadOptions { first: Some(2), ..ALL }).unwrap();
        assert_eq!(
            (first.count(), first.row(1), first.whole),
            (2, vec![0.5, 1.0], Some([(0, 1), (4, 2)].into()))
        );
        let sample = Some(Sample { count: 1, seed: 1 });
        let one = open_prepared(&source(), &ALL, &Preparation { sample, ..Preparation::default() }).unwrap();
        let whole = open(&source(), &ALL).unwrap();
        assert!((0..3).any(|image| whole.row(image) == one.row(0) && whole.labels[image] == one.labels[0]));
    }

    #[test]
    fn opening_copies_no_pixels() {
        let images = MemoryImages::new(DIMS, vec![0.5; 4], vec![0, 1]).unwrap();
        let (one, two) = (images.open(None).unwrap(), images.open(Some(1)).unwrap());
        assert_eq!(Arc::strong_count(&images.pixels), 3);
        drop((one, two));
        assert_eq!(Arc::strong_count(&images.pixels), 1);
    }

    #[test]
    fn it_has_a_name_and_no_path() {
        let source = source();
        assert_eq!((source.to_string(), source.path()), ("memory".to_owned(), Path::new("memory")));
        assert!(!source.has_splits() && !source.has_pictures());
        assert_eq!(source.clone().relative_to(Path::new("/base")), source);
        assert_ne!(source, "npz:memory".parse().unwrap());
        // Nobody can type it.
        for text in ["memory", "memory:x"] {
            assert!(text.parse::<DataSource>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_set_of_images_is_refused() {
        let refused = |pixels: Vec<f32>, labels: Vec<usize>| {
            DataSource::in_memory(DIMS, pixels, labels).unwrap_err().to_string()
        };
        assert_eq!(refused(vec![], vec![]), "memory: found no images, wanted at least one image");
        assert_eq!(
            refused(vec![0.0; 5], vec![0, 1]),
            "memory, array `pixels`: found 5 pixel values, wanted 2 for each of 2 labels"
        );
        for value in [f32::NAN, f32::INFINITY, -0.001, 1.001] {
            let wanted = format!(
                "memory, array `pixels`: found {value} (value 1 of image 1), wanted pixels in [0, 1]"
            );
            assert_eq!(refused(vec![0.0, 1.0, -0.0, value], vec![0, 1]), wanted);
        }
        let empty = ImageDims { height: 0, ..DIMS };
        let error = DataSource::in_memory(empty, vec![], vec![0]).unwrap_err().to_string();
        assert_eq!(
            error,
            "memory, header: found images of 1x0x2 (channels x height x width), wanted no empty dimension"
        );
        let error = open(&source(), &ReadOptions { first: Some(4), ..ALL }).unwrap_err().to_string();
        assert_eq!(error, "memory: found 3 images, but 4 were asked for");
    }

    #[test]
    fn what_needs_bytes_is_refused() {
        let error = open_pictures(&source(), &ALL).unwrap_err().to_string();
        assert_eq!(error, "memory: found images of f32, wanted u8 for training: augmentation works on bytes");
        let crop = Some(Size { height: 1, width: 1 });
        let transform = Some(Transform { resize: None, crop, interpolation: Interpolation::Bilinear });
        let error = open_prepared(&source(), &ALL, &Preparation { transform, ..Preparation::default() });
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("memory: found images of f32, wanted u8: resizing"), "{error}");
    }
}
