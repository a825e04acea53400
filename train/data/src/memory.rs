//! Images that are held in memory: arrays of an archive, where nothing can be read without unpacking what is before it.

use crate::error::{DataError, Part};
use crate::image_set::ImageDims;
use crate::input::pixel;
use crate::picture::Picture;

/// The order of the values of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Channel-major, `[C, H, W]`.
    Planes,
    /// `[H, W, C]`.
    Interleaved {
        /// `C`, at least 1.
        channels: usize,
    },
}

impl Order {
    /// Writes an image to `out`, `[C·H·W]` channel-major. Both hold the same number of values, at least one.
    pub(crate) fn write<T: Copy>(self, image: &[T], convert: impl Fn(T) -> f32, out: &mut [f32]) {
        match self {
            Self::Planes => out.iter_mut().zip(image).for_each(|(out, value)| *out = convert(*value)),
            Self::Interleaved { channels } => {
                let plane = out.len() / channels; // H·W
                for (channel, plane) in out.chunks_exact_mut(plane).enumerate() {
                    let values = image.iter().skip(channel).step_by(channels);
                    plane.iter_mut().zip(values).for_each(|(out, value)| *out = convert(*value));
                }
            }
        }
    }

    /// The bytes of an image as `[H, W, C]`.
    pub(crate) fn picture(self, image: &[u8], dims: ImageDims) -> Result<Picture, DataError> {
        let ImageDims { channels, height, width } = dims;
        let bytes = match self {
            Self::Planes if channels == 3 => interleaved(image),
            Self::Planes | Self::Interleaved { .. } => image.to_vec(),
        };
        Picture::new(width, height, channels, bytes)
    }
}

/// Three planes as `[H·W, 3]`.
fn interleaved(image: &[u8]) -> Vec<u8> {
    let (red, rest) = image.split_at(image.len() / 3);
    let (green, blue) = rest.split_at(red.len());
    let mut bytes = vec![0; image.len()];
    let pixels = bytes.as_chunks_mut::<3>().0;
    for (pixel, ((red, green), blue)) in pixels.iter_mut().zip(red.iter().zip(green).zip(blue)) {
        *pixel = [*red, *green, *blue];
    }
    bytes
}

/// Images one after the other, in the type and order of their file.
pub(crate) struct InMemory {
    values: Values,
    dims: ImageDims,
    order: Order,
}

enum Values {
    /// A quarter of the memory that their pixels would take.
    Bytes(Vec<u8>),
    /// In `[0, 1]`.
    Floats(Vec<f32>),
}

impl InMemory {
    pub(crate) fn of_bytes(bytes: Vec<u8>, dims: ImageDims, order: Order) -> Self {
        Self { values: Values::Bytes(bytes), dims, order }
    }

    /// Every value is in `[0, 1]`.
    pub(crate) fn of_floats(floats: Vec<f32>, dims: ImageDims, order: Order) -> Self {
        Self { values: Values::Floats(floats), dims, order }
    }

    /// Reads one image into `out`, which holds as many values as an image.
    pub(crate) fn read(&self, image: usize, out: &mut [f32]) -> Result<(), DataError> {
        match &self.values {
            Values::Bytes(bytes) => self.order.write(row(bytes, image, out.len())?, pixel, out),
            Values::Floats(floats) => {
                self.order.write(row(floats, image, out.len())?, |value| value, out);
            }
        }
        Ok(())
    }

    /// One image as bytes, which floats are not.
    pub(crate) fn picture(&self, image: usize) -> Result<Picture, DataError> {
        let len = self.dims.channels * self.dims.height * self.dims.width;
        match &self.values {
            Values::Bytes(bytes) => self.order.picture(row(bytes, image, len)?, self.dims),
            Values::Floats(_) => {
                Err(DataError::format("array", Part::Array("images"), "pixels of f32", "u8 for training"))
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
        f.debug_struct("InMemory").field("order", &self.order).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaved_values_become_planes() {
        let image = [1_u8, 2, 3, 4, 5, 6]; // [H·W, C] = [2, 3]
        let mut out = [0.0; 6];
        Order::Interleaved { channels: 3 }.write(&image, f32::from, &mut out);
        assert_eq!(out, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        Order::Planes.write(&image, f32::from, &mut out);
        assert_eq!(out, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn pictures_are_interleaved_whatever_the_file_is() {
        let dims = ImageDims { channels: 3, height: 1, width: 2 };
        let planes = Order::Planes.picture(&[1, 4, 2, 5, 3, 6], dims).unwrap();
        assert_eq!(planes.bytes(), [1, 2, 3, 4, 5, 6]);
        let interleaved = Order::Interleaved { channels: 3 }.picture(&[1, 2, 3, 4, 5, 6], dims).unwrap();
        assert!(planes == interleaved);
        let grey = ImageDims { channels: 1, height: 2, width: 2 };
        assert_eq!(Order::Planes.picture(&[1, 2, 3, 4], grey).unwrap().bytes(), [1, 2, 3, 4]);
    }
}
