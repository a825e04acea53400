//! What several test modules make files with.

use libjpeg_turbo_rs::{PixelFormat, Subsampling, compress};

/// A JPEG file of these bytes `[H, W, C]`, with whole chroma.
pub(crate) fn jpeg_file(bytes: &[u8], width: usize, height: usize, channels: usize) -> Vec<u8> {
    let format = if channels == 1 { PixelFormat::Grayscale } else { PixelFormat::Rgb };
    compress(bytes, width, height, format, 90, Subsampling::S444).unwrap()
}
