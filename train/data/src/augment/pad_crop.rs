//! Zero padding and a random crop, as torchvision's `RandomCrop(size, padding)`.

use serde::{Deserialize, Serialize};

use super::parameter::require;
use crate::error::DataError;
use crate::picture::Picture;
use crate::random::Stream;

/// A crop at a uniformly random position of the picture padded with black pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PadCrop {
    /// Padding on every side in pixels, at most 1024; the paper's code has 4.
    pub padding: usize,
}

impl PadCrop {
    /// # Errors
    /// Where the padding is out of range.
    pub fn check(&self) -> Result<(), DataError> {
        require("padding", self.padding <= 1024, &self.padding, "0 to 1024 pixels")
    }

    /// A crop of `size x size` pixels.
    ///
    /// # Errors
    /// Where the padded picture is smaller than that.
    pub fn apply(&self, picture: &Picture, size: usize, stream: &mut Stream) -> Result<Picture, DataError> {
        let (width, height, _) = picture.shape();
        let room = |length: usize| (length + 2 * self.padding).checked_sub(size);
        let (Some(room_x), Some(room_y)) = (room(width), room(height)) else {
            let wanted = format!("at least {size} pixels on a side with {} around them", self.padding);
            return Err(DataError::PictureSize { width, height, wanted });
        };
        let top = stream.below(room_y + 1);
        let left = stream.below(room_x + 1);
        Ok(self.window(picture, (left, top), size))
    }

    /// The window whose corner is `(left, top)` in the padded picture.
    fn window(&self, picture: &Picture, (left, top): (usize, usize), size: usize) -> Picture {
        let (width, height, channels) = picture.shape();
        // In the window, the columns start..end come from the picture, from its column `from` on.
        let overlap = |corner: usize, length: usize| {
            let start = self.padding.saturating_sub(corner).min(size);
            let from = corner.saturating_sub(self.padding).min(length);
            (start, from, (size - start).min(length - from))
        };
        let (start_x, from_x, columns) = overlap(left, width);
        let (start_y, from_y, rows) = overlap(top, height);
        let mut bytes = vec![0; size * size * channels];
        let lines = bytes.chunks_exact_mut(size * channels).skip(start_y).take(rows);
        for (line, row) in lines.zip(from_y..) {
            let source = &picture.row(row)[from_x * channels..][..columns * channels];
            line[start_x * channels..][..columns * channels].copy_from_slice(source);
        }
        Picture::from_rows(size, size, channels, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Key;
    use proptest::prelude::*;

    fn stream(sample: u64) -> Stream {
        Stream::new(&Key { seed: 0, epoch: 0, sample, purpose: "test" })
    }

    /// No byte is 0, so that padding is told from picture.
    fn picture(width: usize, height: usize) -> Picture {
        Picture::from_fn((width, height, 3), |row, column, channel| {
            (1 + (row * 31 + column * 7 + channel * 101) % 255) as u8
        })
    }

    proptest! {
        #[test]
        fn every_pixel_is_that_of_the_padded_picture(
            sides in (1_usize..12, 1_usize..12), padding in 0_usize..6, size in 1_usize..16, sample: u64,
        ) {
            let (width, height) = sides;
            let picture = picture(width, height);
            let crop = PadCrop { padding };
            let room = |length: usize| (length + 2 * padding).checked_sub(size);
            let found = crop.apply(&picture, size, &mut stream(sample));
            let (Some(room_x), Some(room_y)) = (room(width), room(height)) else {
                prop_assert!(found.is_err(), "{found:?}");
                return Ok(());
            };
            // The same two draws in the same order.
            let mut again = stream(sample);
            let (top, left) = (again.below(room_y + 1), again.below(room_x + 1));
            let wanted = Picture::from_fn((size, size, 3), |row, column, channel| {
                let place = |at: usize, corner: usize, length: usize| {
                    (at + corner).checked_sub(padding).filter(|at| *at < length)
                };
                match (place(row, top, height), place(column, left, width)) {
                    (Some(row), Some(column)) => picture.row(row)[column * 3 + channel],
                    _ => 0,
                }
            });
            prop_assert!(found.unwrap() == wanted);
        }
    }

    /// 81 places for the paper's crop of 32 x 32 with 4 around it.
    #[test]
    fn all_places_are_as_likely() {
        let picture = Picture::from_fn((32, 32, 1), |row, column, _| (1 + (row * 8 + column) % 255) as u8);
        let mut counts = std::collections::HashMap::new();
        for sample in 0..16_200 {
            let crop = PadCrop { padding: 4 }.apply(&picture, 32, &mut stream(sample)).unwrap();
            // The middle never leaves the picture: 8·row + column of it, which differs between all 81 places by
            // 8·(-4..=4) + (-4..=4), except where 8·a + b meet: count both of those together.
            *counts.entry(crop.row(16)[16]).or_insert(0_usize) += 1;
        }
        // 8·a + b for a, b in -4..=4 meets itself only where b = ±4: 73 sums, 8 of them twice.
        assert_eq!(counts.len(), 73);
        // Binomial of mean 200 (400 for the eight): five standard deviations are 71 (100).
        let single = counts.values().filter(|count| count.abs_diff(200) < 71).count();
        let double = counts.values().filter(|count| count.abs_diff(400) < 100).count();
        assert_eq!((single, double), (65, 8));
    }
}
