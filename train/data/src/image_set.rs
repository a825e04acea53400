//! Image sets of one size: labels in memory, pixels read on demand.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::augment::{Size, Transform};
use crate::class_map::ClassMap;
use crate::decode::Colour;
use crate::dims::ImageDims;
use crate::error::{DataError, FilePart};
use crate::input::image_len;
use crate::picture::Picture;
use crate::storage::PixelStorage;

/// Files of a source that are no images, and were left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// How many.
    pub count: usize,
    /// The first of them.
    pub first: String,
}

/// Images with each label.
pub type ClassCounts = BTreeMap<usize, usize>;

/// Labelled images in the order of their source, opened once and read image by image. There is at least one.
///
/// Several threads may read at once.
pub struct ImageSet {
    /// Dimensions that all images share. An NPZ of flat rows `[N, D]` has `1x1xD`.
    pub dims: ImageDims,
    /// `[N]`, class indices from 0. The largest is not checked against any model here.
    pub labels: Vec<usize>,
    /// Class names by label, where the source names its classes; empty for a label that no class has.
    pub names: Option<Vec<String>>,
    /// Images of the whole source with each label, where these are a part of it and the others' labels are known.
    pub whole: Option<ClassCounts>,
    /// Files with an alpha channel, which is dropped unless images have four channels.
    pub alpha: usize,
    /// Whether every file is grey, whatever it is decoded to.
    pub grey: bool,
    /// Files of the source that are no images.
    pub left_out: Option<LeftOut>,
    /// Whether a [`ClassMap`] gave the labels.
    pub mapped: bool,
    /// `C·H·W`, at least 1.
    pub(crate) pixels_per_image: usize,
    /// Where each image is in `pixels`; in the same order where absent.
    pub(crate) order: Option<Vec<usize>>,
    /// What is done to each picture.
    pub(crate) transform: Option<Transform>,
    pub(crate) pixels: PixelStorage,
}

impl ImageSet {
    /// All images of a source, as they are; `pixels_per_image` is that of `dims`.
    pub(crate) fn new(
        dims: ImageDims,
        labels: Vec<usize>,
        names: Option<Vec<String>>,
        pixels_per_image: usize,
        pixels: PixelStorage,
    ) -> Self {
        let (grey, whole, order, transform, left_out) = (dims.channels == 1, None, None, None, None);
        Self {
            dims,
            labels,
            names,
            whole,
            alpha: 0,
            mapped: false,
            grey,
            left_out,
            pixels_per_image,
            order,
            transform,
            pixels,
        }
    }

    /// Images in the set, `N`.
    pub fn count(&self) -> usize {
        self.labels.len()
    }

    /// Images with each label.
    pub fn class_counts(&self) -> ClassCounts {
        count_classes(&self.labels)
    }

    /// Whether images are decoded from PNG or JPEG data.
    pub fn is_decoded(&self) -> bool {
        matches!(self.pixels, PixelStorage::ImageFiles(_) | PixelStorage::TarEntries(_))
    }

    /// Values in one image, `C·H·W`.
    pub fn pixels_per_image(&self) -> usize {
        self.pixels_per_image
    }

    /// Reads one image, counted from 0, into `out`: `[C·H·W]`, channel-major (`C`, then `H`, then `W`), every value in
    /// `[0, 1]`.
    ///
    /// Allocates only to decode PNG and JPEG files.
    ///
    /// # Errors
    /// When `out` is not [`Self::pixels_per_image`] long, when there is no such image, and when a file can no longer be
    /// read, cannot be decoded or changed since the set was opened. The content of `out` is then unspecified.
    pub fn read(&self, image: usize, out: &mut [f32]) -> Result<(), DataError> {
        if out.len() != self.pixels_per_image {
            return Err(DataError::WrongLength { found: out.len(), wanted: self.pixels_per_image });
        }
        let place = self.place(image)?;
        match (&self.pixels, self.transform) {
            (PixelStorage::Records(records), None) => records.read(place, out),
            (PixelStorage::InMemory(array), None) => array.read(place, out),
            _ => {
                let picture = self.read_rgb(image)?;
                if picture.dims() != self.dims {
                    let (width, height, _) = picture.shape();
                    return Err(DataError::PictureSize { width, height, wanted: self.dims.to_string() });
                }
                picture.write_planes(out);
                Ok(())
            }
        }
    }

    /// Where an image is in the storage.
    fn place(&self, image: usize) -> Result<usize, DataError> {
        let Some(order) = &self.order else { return Ok(image) };
        order.get(image).copied().ok_or(DataError::NoSuchImage { image, count: order.len() })
    }

    /// Reads one image, counted from 0, as bytes: what augmentation takes.
    ///
    /// # Errors
    /// As [`Self::read`], and where the pixels are not bytes: an NPZ of `f32`.
    pub fn read_rgb(&self, image: usize) -> Result<Picture, DataError> {
        let picture = self.pixels.picture(self.place(image)?)?;
        match self.transform {
            None => Ok(picture),
            Some(transform) => transform.apply(&picture),
        }
    }

    /// The file and place of an image, or its index where the file is unknown.
    pub fn location(&self, image: usize) -> String {
        self.pixels.location(self.place(image).unwrap_or(image))
    }

    /// The same images decoded to so many channels, where they are PNG or JPEG files; others stay as they are.
    ///
    /// Whether a file can be decoded so shows when it is read: one with colours is refused where grey is wanted.
    pub fn set_channels(&mut self, channels: usize) {
        let colour = match &mut self.pixels {
            PixelStorage::ImageFiles(files) => &mut files.colour,
            PixelStorage::TarEntries(entries) => &mut entries.colour,
            PixelStorage::Records(_) | PixelStorage::Prepared(_) | PixelStorage::InMemory(_) => return,
        };
        let Some(wanted) = Colour::of(channels) else { return };
        *colour = wanted;
        self.pixels_per_image = self.pixels_per_image / self.dims.channels * channels;
        self.dims.channels = channels;
    }

    /// Gives every class the index that a map has for its name.
    ///
    /// # Errors
    /// When the source has no class names, or one that the map does not have.
    pub fn map_classes(&mut self, map: &ClassMap) -> Result<(), DataError> {
        let refuse =
            |found: String, wanted: &str| DataError::format("class map", FilePart::Whole, found, wanted);
        let names = self.names.as_deref().ok_or_else(|| {
            refuse(
                "images without names of classes".to_owned(),
                "a source that names its classes: no map for others",
            )
        })?;
        let unknown = |name: &String| {
            refuse(format!("no index for class `{name}` of the images"), "one for each class of the images")
        };
        let index = |name: &String| match name.as_str() {
            "" => Ok(usize::MAX),
            known => map.index(known).ok_or_else(|| unknown(name)),
        };
        let indices = names.iter().map(index).collect::<Result<Vec<_>, _>>()?;
        self.relabel(&indices);
        self.mapped = true;
        Ok(())
    }

    /// Where all classes are among the 1,000 of ImageNet and the model has as many, each gets its index there.
    ///
    /// Returns whether that is so: a part of ImageNet's folders is then labelled as the whole.
    pub fn label_as_imagenet(&mut self, classes: usize) -> bool {
        let map = ClassMap::imagenet();
        let known = |names: &Vec<String>| names.iter().all(|name| map.index(name).is_some());
        classes == map.indices().len()
            && self.names.as_ref().is_some_and(known)
            && self.map_classes(&map).is_ok()
    }

    /// Where the classes are named by numbers from 0 that leave some out, each gets its number as its label.
    ///
    /// Returns whether that changed a label.
    pub fn label_by_number(&mut self, classes: usize) -> bool {
        let numbers = self.names.as_deref().and_then(|names| {
            names
                .iter()
                .map(|name| name.parse().ok().filter(|number| *number < classes))
                .collect::<Option<Vec<usize>>>()
        });
        match numbers {
            Some(numbers) if numbers.iter().enumerate().any(|(label, number)| label != *number) => {
                self.relabel(&numbers);
                true
            }
            _ => false,
        }
    }

    /// Label `i` becomes `indices[i]`.
    fn relabel(&mut self, indices: &[usize]) {
        let of = |label: usize| indices.get(label).copied().unwrap_or(usize::MAX);
        self.labels.iter_mut().for_each(|label| *label = of(*label));
        if let Some(whole) = &mut self.whole {
            let mut counts = ClassCounts::new();
            for (label, count) in &*whole {
                *counts.entry(of(*label)).or_default() += count;
            }
            *whole = counts;
        }
        let Some(names) = &mut self.names else { return };
        // An index that no model has is refused with its label; names stay few.
        let count = indices.iter().filter(|index| **index < 1 << 20).max().map_or(0, |most| most + 1);
        let mut renamed = vec![String::new(); count];
        for (name, index) in std::mem::take(names).into_iter().zip(indices) {
            if let Some(place) = renamed.get_mut(*index) {
                *place = if place.is_empty() { name } else { format!("{place}, {name}") };
            }
        }
        *names = renamed;
    }

    /// The images at those places, in that order; what is not there is left out.
    pub(crate) fn select(&mut self, images: &[usize]) {
        let order = images.iter().filter_map(|image| self.place(*image).ok()).collect();
        self.whole = Some(count_classes(&self.labels));
        self.labels = images.iter().filter_map(|image| self.labels.get(*image).copied()).collect();
        self.order = Some(order);
    }

    /// The same images transformed.
    ///
    /// # Errors
    /// When their values are not bytes.
    pub(crate) fn transformed(self, transform: Transform, path: &Path) -> Result<Self, DataError> {
        if matches!(&self.pixels, PixelStorage::InMemory(array) if !array.has_bytes()) {
            let wanted = "u8: resizing works on the 8-bit levels that an image file has";
            return Err(DataError::format(path, FilePart::Whole, "images of f32", wanted));
        }
        let dims = transformed_dims(transform, self.dims);
        let pixels_per_image = image_len(path, dims)?;
        Ok(Self { dims, pixels_per_image, transform: Some(transform), ..self })
    }
}

/// The dimensions of what becomes of a picture.
pub(crate) fn transformed_dims(transform: Transform, dims: ImageDims) -> ImageDims {
    let ImageDims { channels, height, width } = dims;
    let Size { height, width } = transform.output(Size { height, width });
    ImageDims { channels, height, width }
}

/// Images with each label.
pub(crate) fn count_classes(labels: &[usize]) -> ClassCounts {
    let mut counts = ClassCounts::new();
    for label in labels {
        *counts.entry(*label).or_default() += 1;
    }
    counts
}

impl fmt::Debug for ImageSet {
    /// Without labels and pixels, which may be millions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageSet")
            .field("dims", &self.dims)
            .field("count", &self.count())
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl ImageSet {
    /// The pixels of one image, which must be readable.
    pub(crate) fn row(&self, image: usize) -> Vec<f32> {
        let mut row = vec![f32::NAN; self.pixels_per_image];
        self.read(image, &mut row).unwrap();
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::InMemory;
    use crate::storage::PixelLayout;

    /// Two images of two values.
    fn set() -> ImageSet {
        let dims = ImageDims { channels: 1, height: 1, width: 2 };
        let array = InMemory::from_floats(vec![0.0, 0.25, 0.5, 1.0], dims, PixelLayout::ChannelsFirst);
        ImageSet::new(dims, vec![0, 1], None, 2, PixelStorage::InMemory(array))
    }

    #[test]
    fn requests_that_do_not_fit_are_errors() {
        let set = set();
        let mut out = [0.0; 2];
        set.read(1, &mut out).unwrap();
        assert_eq!(out, [0.5, 1.0]);
        let message = |image, out: &mut [f32]| set.read(image, out).unwrap_err().to_string();
        let no_image = "found a request for image 2, wanted 0 to 1 of 2 images";
        assert_eq!(message(2, &mut out), no_image);
        assert_eq!(
            message(usize::MAX, &mut out),
            no_image.replace("image 2", &format!("image {}", usize::MAX))
        );
        let no_room = "found a buffer of 3 pixel values, wanted 2 for one image";
        assert_eq!(message(0, &mut [0.0; 3]), no_room);
        assert_eq!(message(0, &mut []), no_room.replace('3', "0"));
    }

    #[test]
    fn threads_may_share_a_set() {
        fn shared<T: Send + Sync>(_: &T) {}
        shared(&set());
    }
}
