//! Where a window lies, and which pixels it has.

use std::ops::Range;

use mimir_bundle::ImageShape;

use crate::random::Stream;

/// A square of pixels in every channel, inside the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Window {
    pub(super) row: usize,
    pub(super) column: usize,
    pub(super) side: usize,
}

impl Window {
    /// A random window of that side. As in the reference, the last row and column where it would fit are never drawn,
    /// unless they are the only ones.
    pub(super) fn random(image: ImageShape, side: usize, noise: &mut Stream) -> Self {
        let row = noise.below(image.height - side);
        let column = noise.below(image.width - side);
        Self { row, column, side }
    }

    /// The pixels of one channel, row by row: ranges of the image `[C, H, W]`.
    pub(super) fn rows(self, image: ImageShape, channel: usize) -> impl Iterator<Item = Range<usize>> {
        (self.row..self.row + self.side).map(move |row| {
            let start = (channel * image.height + row) * image.width;
            start + self.column..start + self.column + self.side
        })
    }

    /// The same without the pixels of another window of the same side.
    pub(super) fn rows_outside(
        self,
        other: Self,
        image: ImageShape,
        channel: usize,
    ) -> impl Iterator<Item = Range<usize>> {
        let pair = self.column.abs_diff(other.column).min(self.side);
        self.rows(image, channel).zip(self.row..).map(move |(pixels, row)| {
            if !(other.row..other.row + other.side).contains(&row) {
                pixels
            } else if self.column < other.column {
                pixels.start..pixels.start + pair
            } else {
                pixels.end - pair..pixels.end
            }
        })
    }
}

/// As many whole squares side by side as fit, in the middle of the image.
///
/// Their side is a fifth of the shorter side of the image, rounded down, and at least one pixel. Five by five of them
/// on square images of 25 rows and more, as in the reference. Below, it leaves out the first rows and columns of images
/// of 7, 8, 9 and 13 rows, and fails on those of 12, 14, 18, 19, 24, and less than 5.
pub(super) fn tiles(image: ImageShape) -> impl Iterator<Item = Window> {
    let side = (image.height.min(image.width) / 5).max(1);
    let starts = move |extent: usize| {
        let margin = extent % side / 2;
        (0..extent / side).map(move |tile| margin + tile * side)
    };
    starts(image.height)
        .flat_map(move |row| starts(image.width).map(move |column| Window { row, column, side }))
}
