//! Cropping and flipping.

use super::resample::Region;
use crate::picture::Picture;

/// The pixels of a region inside of the picture.
pub(super) fn crop(picture: &Picture, region: Region) -> Picture {
    let channels = picture.channels();
    let mut bytes = Vec::with_capacity(region.width * region.height * channels);
    for row in region.top..region.top + region.height {
        bytes.extend_from_slice(&picture.row(row)[region.left * channels..][..region.width * channels]);
    }
    Picture::from_rows(region.width, region.height, channels, bytes)
}

/// Flips horizontally, in place.
pub(super) fn flip(picture: &mut Picture) {
    let (width, _, channels) = picture.shape();
    for row in picture.bytes_mut().chunks_exact_mut(width * channels) {
        if channels == 3 {
            row.as_chunks_mut::<3>().0.reverse();
        } else {
            row.reverse();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pixel tells its place.
    fn picture(width: usize, height: usize, channels: usize) -> Picture {
        let value = |row: usize, column: usize, channel: usize| (100 * channel + 10 * row + column) as u8;
        Picture::from_fn((width, height, channels), value)
    }

    #[test]
    fn a_crop_starts_at_its_corner() {
        let region = Region { left: 2, top: 1, width: 2, height: 3 };
        let wanted = Picture::from_fn((2, 3, 3), |row, column, channel| {
            (100 * channel + 10 * row + column + 12) as u8
        });
        assert!(crop(&picture(5, 4, 3), region) == wanted);
    }

    #[test]
    fn a_flip_mirrors_columns_and_keeps_channels() {
        for channels in [1, 3] {
            let mut flipped = picture(4, 2, channels);
            flip(&mut flipped);
            let wanted = Picture::from_fn((4, 2, channels), |row, column, channel| {
                (100 * channel + 10 * row + 3 - column) as u8
            });
            assert!(flipped == wanted);
        }
    }
}
