//! The order of the values of one image.

use crate::dims::ImageDims;
use crate::error::DataError;
use crate::picture::Picture;

/// The order of the values of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PixelLayout {
    /// Channel-major, `[C, H, W]`.
    ChannelsFirst,
    /// `[H, W, C]`.
    ChannelsLast {
        /// `C`, at least 1.
        channels: usize,
    },
}

impl PixelLayout {
    /// Writes an image to `out`, `[C·H·W]` channel-major. Both hold the same number of values, at least one.
    pub(crate) fn write<T: Copy>(self, image: &[T], convert: impl Fn(T) -> f32, out: &mut [f32]) {
        match self {
            Self::ChannelsFirst => out.iter_mut().zip(image).for_each(|(out, value)| *out = convert(*value)),
            Self::ChannelsLast { channels } => {
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
            Self::ChannelsFirst if channels == 3 => interleaved(image),
            Self::ChannelsFirst if channels > 1 => {
                let plane = image.len() / channels; // H·W
                (0..image.len()).map(|place| image[place % channels * plane + place / channels]).collect()
            }
            Self::ChannelsFirst | Self::ChannelsLast { .. } => image.to_vec(),
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
