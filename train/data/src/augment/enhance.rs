//! Pillow's `ImageEnhance`: a blend of the picture with a poorer one, in `f32`, cut to bytes.

use crate::picture::Picture;

/// Towards grey below 1, away from it above.
pub(super) fn color(picture: &Picture, factor: f64) -> Picture {
    let channels = picture.channels();
    let grey = luma(picture).flat_map(|luma| std::iter::repeat_n(luma, channels));
    blend(picture, grey, factor)
}

/// Towards the mean brightness below 1, away from it above.
pub(super) fn contrast(picture: &Picture, factor: f64) -> Picture {
    let sum: u64 = luma(picture).map(u64::from).sum();
    let mean = (sum as f64 / (picture.width() * picture.height()) as f64 + 0.5) as u8;
    blend(picture, std::iter::repeat(mean), factor)
}

/// Towards black below 1, away from it above.
pub(super) fn brightness(picture: &Picture, factor: f64) -> Picture {
    blend(picture, std::iter::repeat(0), factor)
}

/// Towards a smoothed picture below 1, away from it above.
pub(super) fn sharpness(picture: &Picture, factor: f64) -> Picture {
    blend(picture, smooth(picture).into_iter(), factor)
}

/// Pillow's `L` of each pixel: ITU-R 601-2 in 16 fractional bits.
fn luma(picture: &Picture) -> impl Iterator<Item = u8> {
    let luma = |pixel: &[u8]| match *pixel {
        [red, green, blue] => {
            let [red, green, blue] = [red, green, blue].map(u32::from);
            ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16) as u8
        }
        _ => pixel[0],
    };
    picture.bytes().chunks_exact(picture.channels()).map(luma)
}

/// `poorer + factor * (picture - poorer)`.
fn blend(picture: &Picture, poorer: impl Iterator<Item = u8>, factor: f64) -> Picture {
    let factor = factor as f32;
    let mix = |(byte, poorer): (&u8, u8)| {
        let (byte, poorer) = (f32::from(*byte), f32::from(poorer));
        // The cast truncates and cuts to 0..=255.
        (poorer + factor * (byte - poorer)) as u8
    };
    picture.with_bytes(picture.bytes().iter().zip(poorer).map(mix).collect())
}

/// Pillow's `SMOOTH`: 3 x 3 with 5 in the middle and 1 around it, over 13; the outermost pixels stay.
fn smooth(picture: &Picture) -> Vec<u8> {
    let (width, height, channels) = picture.shape();
    let mut bytes = picture.bytes().to_vec();
    let (side, middle) = (1.0 / 13.0_f32, 5.0 / 13.0_f32);
    let row_sum = |row: usize, index: usize, middle: f32| {
        let row = picture.row(row);
        let at = |index: usize| f32::from(row[index]);
        at(index - channels) * side + at(index) * middle + at(index + channels) * side
    };
    for row in 1..height.saturating_sub(1) {
        for index in channels..(width * channels).saturating_sub(channels) {
            // Pillow's order of additions.
            let sum = 0.5
                + row_sum(row + 1, index, side)
                + row_sum(row, index, middle)
                + row_sum(row - 1, index, side);
            bytes[row * width * channels + index] = sum as u8;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_of_one_changes_nothing() {
        let picture =
            Picture::from_fn((9, 7, 3), |row, column, channel| (row * 37 + column * 11 + channel * 90) as u8);
        for operation in [color, contrast, brightness, sharpness] {
            assert!(operation(&picture, 1.0) == picture);
        }
    }

    #[test]
    fn a_picture_without_inside_is_not_smoothed() {
        for shape in [(1, 5, 3), (5, 1, 3), (2, 2, 1), (1, 1, 1)] {
            let picture =
                Picture::from_fn(shape, |row, column, channel| (row * 40 + column * 9 + channel) as u8);
            assert!(sharpness(&picture, 1.9) == picture, "{shape:?}");
        }
    }
}
