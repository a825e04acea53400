//! Labelled images of any sizes: what training reads.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::augment::{Evaluation, Transform};
use crate::decode::Header;
use crate::dims::ImageDims;
use crate::error::{DataError, FilePart};
use crate::image_set::{ClassCounts, ImageSet, LeftOut, count_classes, transformed_dims};
use crate::input::image_len;
use crate::picture::Picture;
use crate::storage::{Identity, InMemory, PixelLayout, PixelStorage};

/// Records with up to so many bytes of pixels are read into memory at opening, so that samples need no disk access:
/// CIFAR-10 and CIFAR-100 have 147 MiB.
const READ_AT_ONCE: usize = 256 << 20;

/// Labelled images in the order of their source, each of its own size. Every source has at least one.
///
/// Several threads may read at once.
pub struct PictureSet {
    /// `[N]`, class indices from 0.
    pub labels: Vec<usize>,
    /// Class names by label, where the source names its classes.
    pub names: Option<Vec<String>>,
    /// Of every image: 3 for PNG and JPEG files, also grey ones, whose values are repeated; that of the records else.
    pub(crate) channels: usize,
    /// Images of the whole source with each label, where these are a part of it and the others' labels are known.
    pub(crate) whole: Option<ClassCounts>,
    /// Where each image is in `pixels`; in the same order where absent.
    pub(crate) order: Option<Vec<usize>>,
    /// Files of the source that are no images.
    pub(crate) left_out: Option<LeftOut>,
    pub(crate) pixels: PixelStorage,
}

impl PictureSet {
    /// Images of one size, whose records are read into memory where they are few.
    pub(crate) fn from_image_set(set: ImageSet, path: &Path) -> Result<Self, DataError> {
        let refuse =
            |found: String, wanted: &str| Err(DataError::format(path, FilePart::Whole, found, wanted));
        if matches!(&set.pixels, PixelStorage::InMemory(array) if !array.has_bytes()) {
            return refuse("images of f32".to_owned(), "u8 for training: augmentation works on bytes");
        }
        let ImageDims { channels, .. } = set.dims;
        if !matches!(channels, 1 | 3) {
            return refuse(format!("images of {channels} channels"), "1 or 3 channels");
        }
        let bytes = set.count().saturating_mul(set.pixels_per_image());
        let pixels = match set.pixels {
            PixelStorage::Records(records) if bytes <= READ_AT_ONCE => {
                let mut bytes = Vec::with_capacity(bytes);
                for image in 0..set.labels.len() {
                    bytes.extend_from_slice(records.picture(image)?.bytes());
                }
                PixelStorage::InMemory(InMemory::from_bytes(
                    bytes,
                    set.dims,
                    PixelLayout::ChannelsLast { channels },
                ))
            }
            pixels => pixels,
        };
        Ok(Self {
            labels: set.labels,
            names: set.names,
            channels,
            whole: set.whole,
            order: set.order,
            left_out: set.left_out,
            pixels,
        })
    }

    /// Images in the set, `N`.
    pub fn count(&self) -> usize {
        self.labels.len()
    }

    /// Channels of every image, 1 or 3.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Reads one image, counted from 0.
    ///
    /// # Errors
    /// When there is no such image, and when its file cannot be read or decoded.
    pub fn read_rgb(&self, image: usize) -> Result<Picture, DataError> {
        self.pixels.picture(self.place(image)?)
    }

    /// What tells one image from others.
    pub(crate) fn identity(&self, image: usize) -> Result<Identity, DataError> {
        self.pixels.identity(self.place(image)?)
    }

    /// Where an image is in the storage.
    fn place(&self, image: usize) -> Result<usize, DataError> {
        let Some(order) = &self.order else { return Ok(image) };
        order.get(image).copied().ok_or(DataError::NoSuchImage { image, count: order.len() })
    }

    /// The images at those places, in that order.
    pub(crate) fn select(&mut self, images: &[usize]) {
        self.whole = Some(count_classes(&self.labels));
        self.labels = images.iter().filter_map(|image| self.labels.get(*image).copied()).collect();
        self.order = Some(images.to_vec());
    }

    /// Reads one image as it is evaluated into `out`, `[C, S, S]` as bytes with `S` = [`Evaluation::crop`].
    ///
    /// # Errors
    /// As [`Self::read_rgb`], when the picture is too small, and when `out` has another length.
    pub fn read_evaluated(
        &self,
        image: usize,
        evaluation: &Evaluation,
        out: &mut [u8],
    ) -> Result<(), DataError> {
        let wanted = self.channels * evaluation.crop * evaluation.crop;
        if out.len() != wanted {
            return Err(DataError::WrongLength { found: out.len(), wanted });
        }
        let picture = self.read_rgb(image)?;
        let picture = evaluation.apply(&picture).map_err(|source| self.sample_error(image, source))?;
        picture.write_byte_planes(out);
        Ok(())
    }

    /// Reads these images as they are evaluated: `[N, C, S, S]` as bytes, in their order. That many threads share the
    /// work; no result depends on it.
    ///
    /// # Errors
    /// As [`Self::read_evaluated`], of the first image that has one.
    pub fn read_batch(
        &self,
        images: &[usize],
        evaluation: &Evaluation,
        threads: usize,
    ) -> Result<Vec<u8>, DataError> {
        let len = self.channels * evaluation.crop * evaluation.crop;
        let mut pixels = vec![0; images.len() * len];
        let share = images.len().div_ceil(threads.max(1)).max(1);
        let read = |images: &[usize], out: &mut [u8]| {
            let mut places = images.iter().zip(out.chunks_exact_mut(len.max(1)));
            places.try_for_each(|(image, out)| self.read_evaluated(*image, evaluation, out))
        };
        std::thread::scope(|scope| {
            let parts = images.chunks(share).zip(pixels.chunks_mut((share * len).max(1)));
            let threads: Vec<_> = parts.map(|(images, out)| scope.spawn(move || read(images, out))).collect();
            let panicked =
                || DataError::format("images", FilePart::Whole, "a panic", "pixels; this is a bug in Mimir");
            threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(panicked())))
        })?;
        Ok(pixels)
    }

    /// That every label is below `classes`.
    ///
    /// # Errors
    /// Naming the first image whose label is not.
    pub fn check_labels(&self, classes: usize) -> Result<(), DataError> {
        match self.labels.iter().position(|label| *label >= classes) {
            None => Ok(()),
            Some(image) => {
                let (found, wanted) = (format!("label {}", self.labels[image]), format!("below {classes}"));
                Err(DataError::format(self.location(image), FilePart::Whole, found, wanted))
            }
        }
    }

    /// The file of an image, or its index if the file is unknown.
    pub fn location(&self, image: usize) -> String {
        self.pixels.location(self.place(image).unwrap_or(image))
    }

    /// An error with the id and location of the image.
    pub(crate) fn sample_error(&self, image: usize, source: DataError) -> DataError {
        DataError::Sample { id: image as u64, location: self.location(image), source: Box::new(source) }
    }

    /// The same images if all headers have one size, after the transform where there is one.
    pub(crate) fn one_size(mut self, transform: Option<Transform>) -> Result<ImageSet, DataError> {
        let (mut alpha, mut grey, mut first) = (0, true, None);
        for image in 0..self.count() {
            let (dims, header) = self.header(image)?;
            alpha += usize::from(header.is_some_and(|header| header.alpha));
            grey &= header.map_or(dims.channels == 1, |header| header.grey);
            let dims = transform.map_or(dims, |transform| transformed_dims(transform, dims));
            let first = *first.get_or_insert(dims);
            if dims != first {
                return Err(DataError::MixedSizes {
                    first: PathBuf::from(self.location(0)),
                    first_dims: first,
                    other: PathBuf::from(self.location(image)),
                    other_dims: dims,
                });
            }
        }
        let dims = first.ok_or(DataError::NoSuchImage { image: 0, count: 0 })?;
        let pixels_per_image = image_len(Path::new(&self.location(0)), dims)?;
        let Self { labels, names, whole, order, left_out, pixels, .. } = self;
        let set = ImageSet::new(dims, labels, names, pixels_per_image, pixels);
        Ok(ImageSet { whole, alpha, grey, order, left_out, transform, ..set })
    }

    /// The dimensions of an image as it is decoded, and what the header of its file says.
    fn header(&mut self, image: usize) -> Result<(ImageDims, Option<Header>), DataError> {
        let place = self.place(image)?;
        let header = match &mut self.pixels {
            PixelStorage::ImageFiles(files) => files.read_header(place)?,
            PixelStorage::TarEntries(entries) => entries.header(place)?,
            PixelStorage::Prepared(prepared) => return Ok((prepared.dims(place)?, None)),
            pixels => return Ok((pixels.picture(place)?.dims(), None)),
        };
        let dims = ImageDims { channels: self.channels, height: header.height, width: header.width };
        Ok((dims, Some(header)))
    }
}

impl fmt::Debug for PictureSet {
    /// Without labels and pixels, which may be millions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PictureSet").field("count", &self.count()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::pixel;
    use crate::{ReadOptions, Split, open, open_pictures};

    fn cifar(folder: &Path) -> (crate::DataSource, ReadOptions) {
        let record = |label: u8| {
            std::iter::once(label).chain((0..3072_u32).map(move |i| (i * 7 + u32::from(label)) as u8))
        };
        let bytes: Vec<u8> = (0..10).flat_map(record).collect();
        std::fs::write(folder.join("test_batch.bin"), bytes).unwrap();
        let source = format!("cifar10:{}", folder.display()).parse().unwrap();
        (source, ReadOptions { split: Split::Test, first: None })
    }

    #[test]
    fn pictures_have_the_pixels_of_the_evaluation_set() {
        let folder = tempfile::tempdir().unwrap();
        let (source, options) = cifar(folder.path());
        let (set, pictures) = (open(&source, &options).unwrap(), open_pictures(&source, &options).unwrap());
        // Read at once, so that the file is no longer needed.
        std::fs::remove_file(folder.path().join("test_batch.bin")).unwrap();
        let mut out = vec![0; 3072];
        for image in 0..10 {
            pictures.read_evaluated(image, &Evaluation { resize: None, crop: 32 }, &mut out).unwrap();
            assert!(out.iter().copied().map(pixel).eq(set.row(image)), "image {image}");
        }
        assert_eq!((pictures.count(), pictures.channels()), (10, 3));
        assert_eq!(pictures.labels, set.labels);
        let error = pictures.read_rgb(10).unwrap_err();
        assert!(matches!(error, DataError::NoSuchImage { image: 10, count: 10 }), "{error}");
    }

    #[test]
    fn a_batch_is_its_images_whatever_the_threads() {
        let folder = tempfile::tempdir().unwrap();
        let (source, options) = cifar(folder.path());
        let (set, pictures) = (open(&source, &options).unwrap(), open_pictures(&source, &options).unwrap());
        let evaluation = Evaluation { resize: None, crop: 32 };
        let images = [7, 0, 3, 3, 9];
        let wanted: Vec<u8> = images
            .iter()
            .flat_map(|image| set.row(*image))
            .map(|pixel| (pixel * 255.0).round() as u8)
            .collect();
        for threads in [0, 1, 2, 5, 9] {
            assert!(pictures.read_batch(&images, &evaluation, threads).unwrap() == wanted, "{threads}");
            assert!(pictures.read_batch(&[], &evaluation, threads).unwrap().is_empty());
            let error = pictures.read_batch(&[1, 12, 11], &evaluation, threads).unwrap_err();
            assert!(matches!(error, DataError::NoSuchImage { image: 12, .. }), "{error}");
        }
    }

    #[test]
    fn labels_out_of_range_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (source, options) = cifar(folder.path());
        let pictures = open_pictures(&source, &options).unwrap();
        pictures.check_labels(10).unwrap();
        let error = pictures.check_labels(7).unwrap_err().to_string();
        assert_eq!(error, "image 7: found label 7, wanted below 7");
    }

    #[test]
    fn an_evaluation_that_does_not_fit_names_the_image() {
        let folder = tempfile::tempdir().unwrap();
        let (source, options) = cifar(folder.path());
        let pictures = open_pictures(&source, &options).unwrap();
        let evaluation = Evaluation { resize: None, crop: 33 };
        let error = pictures.read_evaluated(3, &evaluation, &mut [0; 3 * 33 * 33]).unwrap_err().to_string();
        assert_eq!(
            error,
            "sample 3 (image 3): found a picture of 32 x 32 pixels, wanted at least 33 on a side"
        );
        let error = pictures.read_evaluated(3, &evaluation, &mut [0; 5]).unwrap_err();
        assert!(matches!(error, DataError::WrongLength { found: 5, wanted: 3267 }), "{error}");
    }
}
