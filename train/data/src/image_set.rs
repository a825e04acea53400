//! Image sets of one size: labels in memory, pixels read on demand.

use std::fmt;

use crate::dims::ImageDims;
use crate::error::DataError;
use crate::picture::Picture;
use crate::storage::PixelStorage;

/// Labelled images in the order of their source, opened once and read image by image. There is at least one.
///
/// Several threads may read at once.
pub struct ImageSet {
    /// Dimensions that all images share. An NPZ of flat rows `[N, D]` has `1x1xD`.
    pub dims: ImageDims,
    /// `[N]`, class indices from 0. The largest is not checked against any model here.
    pub labels: Vec<usize>,
    /// Class names by label, where the source names its classes.
    pub names: Option<Vec<String>>,
    /// `C·H·W`, at least 1.
    pub(crate) pixels_per_image: usize,
    pub(crate) pixels: PixelStorage,
}

impl ImageSet {
    /// Images in the set, `N`.
    pub fn count(&self) -> usize {
        self.labels.len()
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
        match &self.pixels {
            PixelStorage::Records(records) => records.read(image, out),
            PixelStorage::InMemory(array) => array.read(image, out),
            PixelStorage::ImageFiles(_) | PixelStorage::TarEntries(_) => {
                let picture = self.pixels.picture(image)?;
                if picture.dims() != self.dims {
                    let (width, height, _) = picture.shape();
                    return Err(DataError::PictureSize { width, height, wanted: self.dims.to_string() });
                }
                picture.write_planes(out);
                Ok(())
            }
        }
    }

    /// Reads one image, counted from 0, as bytes: what augmentation takes.
    ///
    /// # Errors
    /// As [`Self::read`], and where the pixels are not bytes: an NPZ of `f32`.
    pub fn read_rgb(&self, image: usize) -> Result<Picture, DataError> {
        self.pixels.picture(image)
    }
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
        ImageSet {
            dims,
            labels: vec![0, 1],
            names: None,
            pixels_per_image: 2,
            pixels: PixelStorage::InMemory(InMemory::from_floats(
                vec![0.0, 0.25, 0.5, 1.0],
                dims,
                PixelLayout::ChannelsFirst,
            )),
        }
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
