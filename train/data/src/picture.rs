//! One decoded image of its own size.

use crate::dims::ImageDims;
use crate::error::{DataError, FilePart};
use crate::input::{MAX_VALUES, pixel};

/// An 8-bit image, grey, RGB or RGB with alpha, of its own size: what augmentation takes and gives.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    channels: usize,
    /// `[H, W, C]`.
    bytes: Vec<u8>,
}

impl Picture {
    /// From bytes `[H, W, C]`.
    ///
    /// # Errors
    /// Where there are not 1, 3 or 4 channels, a side is 0, or `bytes` does not hold `H·W·C` values.
    pub fn new(width: usize, height: usize, channels: usize, bytes: Vec<u8>) -> Result<Self, DataError> {
        let dims = ImageDims { channels, height, width };
        let len = dims.checked_len().filter(|len| (1..=MAX_VALUES).contains(len));
        if !matches!(channels, 1 | 3 | 4) || len != Some(bytes.len()) {
            let found = format!("{} bytes for {dims}", bytes.len());
            return Err(DataError::format(
                "picture",
                FilePart::Whole,
                found,
                "H·W·C bytes of 1, 3 or 4 channels",
            ));
        }
        Ok(Self { width, height, channels, bytes })
    }

    /// Every value made from its place: row, column, channel.
    #[cfg(test)]
    pub(crate) fn from_fn(
        (width, height, channels): (usize, usize, usize),
        mut value: impl FnMut(usize, usize, usize) -> u8,
    ) -> Self {
        let mut bytes = Vec::with_capacity(width * height * channels);
        for row in 0..height {
            for column in 0..width {
                bytes.extend((0..channels).map(|channel| value(row, column, channel)));
            }
        }
        Self { width, height, channels, bytes }
    }

    /// A picture of the same size with other bytes, equally many.
    pub(crate) fn with_bytes(&self, bytes: Vec<u8>) -> Self {
        debug_assert_eq!(bytes.len(), self.bytes.len());
        Self { bytes, ..*self }
    }

    /// From rows of known size.
    pub(crate) fn from_rows(width: usize, height: usize, channels: usize, bytes: Vec<u8>) -> Self {
        debug_assert_eq!(bytes.len(), width * height * channels);
        Self { width, height, channels, bytes }
    }

    /// Columns, at least 1.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows, at least 1.
    pub fn height(&self) -> usize {
        self.height
    }

    /// 1 (grey), 3 (RGB) or 4 (RGB with alpha).
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// `[H, W, C]`.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// `[W, C]`.
    pub(crate) fn row(&self, row: usize) -> &[u8] {
        let length = self.width * self.channels;
        &self.bytes[row * length..][..length]
    }

    pub(crate) fn dims(&self) -> ImageDims {
        ImageDims { channels: self.channels, height: self.height, width: self.width }
    }

    /// `(W, H, C)`.
    pub(crate) fn shape(&self) -> (usize, usize, usize) {
        (self.width, self.height, self.channels)
    }

    /// Writes the pixels to `out`, `[C, H, W]` in `[0, 1]`, which holds `H·W·C` values.
    pub fn write_planes(&self, out: &mut [f32]) {
        self.planes(out, |byte| PIXELS[usize::from(byte)]);
    }

    /// Writes the bytes to `out`, `[C, H, W]`, which holds `H·W·C` of them.
    pub fn write_byte_planes(&self, out: &mut [u8]) {
        self.planes(out, |byte| byte);
    }

    fn planes<T>(&self, out: &mut [T], value: impl Fn(u8) -> T) {
        let plane = self.width * self.height;
        if self.channels == 1 {
            out.iter_mut().zip(&self.bytes).for_each(|(out, byte)| *out = value(*byte));
            return;
        }
        if self.channels == 4 {
            for (channel, plane) in out.chunks_exact_mut(plane).enumerate() {
                let bytes = self.bytes.iter().skip(channel).step_by(4);
                plane.iter_mut().zip(bytes).for_each(|(out, byte)| *out = value(*byte));
            }
            return;
        }
        let (red, rest) = out.split_at_mut(plane);
        let (green, blue) = rest.split_at_mut(plane);
        let places = red.iter_mut().zip(green).zip(blue);
        for (((red, green), blue), rgb) in places.zip(self.bytes.as_chunks::<3>().0) {
            *red = value(rgb[0]);
            *green = value(rgb[1]);
            *blue = value(rgb[2]);
        }
    }
}

/// [`pixel`] of every byte: a look-up is quicker than a division.
static PIXELS: [f32; 256] = {
    let mut pixels = [0.0; 256];
    let mut byte = 0;
    while byte < 256 {
        pixels[byte] = pixel(byte as u8);
        byte += 1;
    }
    pixels
};

impl std::fmt::Debug for Picture {
    /// Without the bytes.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({} x {}, {} channels)", self.width, self.height, self.channels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_are_channel_major_and_in_range() {
        let picture = Picture::new(2, 1, 3, vec![0, 51, 255, 102, 153, 204]).unwrap();
        let mut out = [f32::NAN; 6];
        picture.write_planes(&mut out);
        assert_eq!(out, [0.0, 0.4, 0.2, 0.6, 1.0, 0.8]);
        let mut bytes = [7; 6];
        picture.write_byte_planes(&mut bytes);
        assert_eq!(bytes, [0, 102, 51, 153, 255, 204]);
        Picture::new(3, 2, 1, vec![0, 51, 255, 102, 153, 204]).unwrap().write_planes(&mut out);
        assert_eq!(out, [0.0, 0.2, 1.0, 0.4, 0.6, 0.8]);
    }

    #[test]
    fn bytes_that_do_not_fit_are_refused() {
        for (width, height, channels, len) in
            [(2, 2, 3, 11), (0, 2, 3, 0), (2, 2, 2, 8), (usize::MAX, usize::MAX, 3, 5)]
        {
            assert!(Picture::new(width, height, channels, vec![0; len]).is_err(), "{width} {height}");
        }
    }
}
