//! Images and labels in memory.

use std::fmt;

use ndarray::Array2;

/// Dimensions of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImageDims {
    /// Colour channels, `C`.
    pub channels: usize,
    /// Rows, `H`.
    pub height: usize,
    /// Columns, `W`.
    pub width: usize,
}

impl ImageDims {
    /// Values in one image, `C·H·W`, or `None` on overflow.
    pub fn checked_len(self) -> Option<usize> {
        self.channels.checked_mul(self.height)?.checked_mul(self.width)
    }
}

impl fmt::Display for ImageDims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{} (channels x height x width)", self.channels, self.height, self.width)
    }
}

/// Labelled images in the order of their source. Every reader gives at least one image.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageSet {
    /// Dimensions that all images share. An NPZ of flat rows `[N, D]` has `1x1xD`.
    pub dims: ImageDims,
    /// `[N, C·H·W]`, channel-major (`C`, then `H`, then `W`), every value in `[0, 1]`.
    pub images: Array2<f32>,
    /// `[N]`, class indices from 0. The largest is not checked against any model here.
    pub labels: Vec<usize>,
    /// Class names by label, where the source names its classes.
    pub names: Option<Vec<String>>,
}
