//! Images in memory: arrays of compressed archives, which have no random access, and what a program has there already.

use std::sync::Arc;

use super::layout::PixelLayout;
use crate::dims::ImageDims;
use crate::error::{DataError, FilePart};
use crate::input::pixel;
use crate::picture::Picture;

/// Images one after the other, in the type and order of their file.
pub(crate) struct InMemory {
    values: Values,
    dims: ImageDims,
    layout: PixelLayout,
}

enum Values {
    /// A quarter of the memory that their pixels would take.
    Bytes(Vec<u8>),
    /// In `[0, 1]`.
    Floats(Arc<Vec<f32>>),
}

impl InMemory {
    pub(crate) fn from_bytes(bytes: Vec<u8>, dims: ImageDims, layout: PixelLayout) -> Self {
        Self { values: Values::Bytes(bytes), dims, layout }
    }

    /// Every value is in `[0, 1]`.
    pub(crate) fn from_floats(
        floats: impl Into<Arc<Vec<f32>>>,
        dims: ImageDims,
        layout: PixelLayout,
    ) -> Self {
        Self { values: Values::Floats(floats.into()), dims, layout }
    }

    /// Reads one image into `out`, which holds as many values as an image.
    pub(crate) fn read(&self, image: usize, out: &mut [f32]) -> Result<(), DataError> {
        match &self.values {
            Values::Bytes(bytes) => self.layout.write(row(bytes, image, out.len())?, pixel, out),
            Values::Floats(floats) => {
                self.layout.write(row(floats, image, out.len())?, |value| value, out);
            }
        }
        Ok(())
    }

    /// One image as bytes, which floats are not.
    pub(crate) fn picture(&self, image: usize) -> Result<Picture, DataError> {
        let len = self.dims.channels * self.dims.height * self.dims.width;
        match &self.values {
            Values::Bytes(bytes) => self.layout.picture(row(bytes, image, len)?, self.dims),
            Values::Floats(_) => {
                Err(DataError::format("array", FilePart::Array("images"), "pixels of f32", "u8 for training"))
            }
        }
    }

    /// Whether values are bytes.
    pub(crate) fn has_bytes(&self) -> bool {
        matches!(self.values, Values::Bytes(_))
    }
}

fn row<T>(values: &[T], image: usize, len: usize) -> Result<&[T], DataError> {
    let row = || {
        let start = image.checked_mul(len)?;
        values.get(start..start.checked_add(len)?)
    };
    row().ok_or_else(|| DataError::NoSuchImage { image, count: values.len() / len })
}

impl std::fmt::Debug for InMemory {
    /// Without the values, which may be billions.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InMemory").field("layout", &self.layout).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaved_values_become_planes() {
        let image = [1_u8, 2, 3, 4, 5, 6]; // [H·W, C] = [2, 3]
        let mut out = [0.0; 6];
        PixelLayout::ChannelsLast { channels: 3 }.write(&image, f32::from, &mut out);
        assert_eq!(out, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        PixelLayout::ChannelsFirst.write(&image, f32::from, &mut out);
        assert_eq!(out, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn pictures_are_interleaved_whatever_the_file_is() {
        let dims = ImageDims { channels: 3, height: 1, width: 2 };
        let planes = PixelLayout::ChannelsFirst.picture(&[1, 4, 2, 5, 3, 6], dims).unwrap();
        assert_eq!(planes.bytes(), [1, 2, 3, 4, 5, 6]);
        let interleaved =
            PixelLayout::ChannelsLast { channels: 3 }.picture(&[1, 2, 3, 4, 5, 6], dims).unwrap();
        assert!(planes == interleaved);
        let grey = ImageDims { channels: 1, height: 2, width: 2 };
        assert_eq!(PixelLayout::ChannelsFirst.picture(&[1, 2, 3, 4], grey).unwrap().bytes(), [1, 2, 3, 4]);
    }
}
