//! Bilinear and bicubic resizing with antialiasing, equal to Pillow's for 8-bit images, byte for byte.
//!
//! Pillow 13 (`Resample.c`) convolves along rows first and along columns second, or the other way round where the height
//! shrinks much more than the width, and rounds to bytes in between. Its weights
//! are computed in `f64` and used as integers of 22 fractional bits, so that the result does not depend on the machine.
//! A pass whose length does not change is left out.

use crate::picture::Picture;

/// A rectangle of a picture, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Columns, at least 1.
    pub width: usize,
    /// Rows, at least 1.
    pub height: usize,
}

impl Region {
    /// All of a picture.
    pub fn whole(picture: &Picture) -> Self {
        Self { left: 0, top: 0, width: picture.width(), height: picture.height() }
    }

    /// Whether every pixel of it lies in the picture, and there is at least one.
    pub fn fits(self, picture: &Picture) -> bool {
        let within = |start: usize, length: usize, limit| {
            length > 0 && start.checked_add(length).is_some_and(|end| end <= limit)
        };
        within(self.left, self.width, picture.width()) && within(self.top, self.height, picture.height())
    }
}

/// How pixels in between are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interpolation {
    /// From the pixels on both sides: torchvision's default.
    Bilinear,
    /// From two pixels on both sides, with `a = -1/2`: what most models of timm take.
    Bicubic,
}

/// [`resample_with`] bicubic interpolation.
pub fn resample(picture: &Picture, region: Region, size: (usize, usize)) -> Option<Picture> {
    resample_with(picture, region, size, Interpolation::Bicubic)
}

/// A region of a picture, resized to `width x height`; `None` where it does not fit or a side is 0.
///
/// Pixels outside of the region are not used, as in `image.crop(region).resize(size, BICUBIC)`.
pub fn resample_with(
    picture: &Picture,
    region: Region,
    (width, height): (usize, usize),
    interpolation: Interpolation,
) -> Option<Picture> {
    if !region.fits(picture) || width == 0 || height == 0 {
        return None;
    }
    let channels = picture.channels();
    let resized = if columns_first(region, (width, height)) {
        let copied = resample_rows(picture, region, region.width, interpolation);
        let length = region.width * channels;
        let columns = along_columns(&copied, length, (region.height, height), interpolation);
        let columns = Picture::from_rows(region.width, height, channels, columns);
        resample_rows(&columns, Region::whole(&columns), width, interpolation)
    } else {
        let rows = resample_rows(picture, region, width, interpolation);
        if height == region.height {
            rows
        } else {
            along_columns(&rows, width * channels, (region.height, height), interpolation)
        }
    };
    Some(Picture::from_rows(width, height, channels, resized))
}

/// Whether the columns are convolved first: where the height loses more than twice what the width loses. Pillow does so
/// since release 13; before, rows were always first, which gives other bytes there.
fn columns_first(region: Region, (width, height): (usize, usize)) -> bool {
    region.height.saturating_sub(height) > 2 * region.width.saturating_sub(width)
}

/// [`along_rows`] for the channels of a picture.
fn resample_rows(picture: &Picture, region: Region, width: usize, interpolation: Interpolation) -> Vec<u8> {
    match picture.channels() {
        1 => along_rows::<1>(picture, region, width, interpolation),
        4 => along_rows::<4>(picture, region, width, interpolation),
        _ => along_rows::<3>(picture, region, width, interpolation),
    }
}

/// Fractional bits of the weights: 32, less 8 of a byte and 2 for sums outside of its range.
const BITS: u32 = 32 - 8 - 2;
const HALF: i32 = 1 << (BITS - 1);

fn to_byte(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

/// What each output pixel takes from the input.
struct FilterTaps {
    /// First input pixel and number of weights, by output pixel.
    spans: Vec<(usize, usize)>,
    /// One after the other.
    weights: Vec<i32>,
}

impl FilterTaps {
    /// Pillow's `precompute_coeffs` and `normalize_coeffs_8bpc` for a line of `input` pixels that becomes `output`
    /// pixels.
    fn new(input: usize, output: usize, interpolation: Interpolation) -> Self {
        // Half the width of the kernel.
        let (kernel, support): (fn(f64) -> f64, f64) = match interpolation {
            Interpolation::Bilinear => (bilinear, 1.0),
            Interpolation::Bicubic => (bicubic, 2.0),
        };
        let scale = input as f64 / output as f64;
        let stretch = scale.max(1.0);
        let (support, inverse) = (support * stretch, 1.0 / stretch);
        let mut taps = Self { spans: Vec::with_capacity(output), weights: Vec::new() };
        let mut weights: Vec<f64> = Vec::new();
        for pixel in 0..output {
            let centre = (pixel as f64 + 0.5) * scale;
            // Casts truncate towards zero, and negative numbers become 0.
            let first = (centre - support + 0.5) as usize;
            let end = ((centre + support + 0.5) as usize).min(input);
            weights.clear();
            weights.extend((first..end).map(|x| kernel((x as f64 - centre + 0.5) * inverse)));
            let sum: f64 = weights.iter().sum();
            let normal = |weight: &f64| if sum == 0.0 { *weight } else { weight / sum };
            taps.weights.extend(weights.iter().map(normal).map(fixed_point));
            taps.spans.push((first, weights.len()));
        }
        taps
    }

    /// First input pixel and weights, by output pixel.
    fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        let mut rest = self.weights.as_slice();
        self.spans.iter().map(move |(first, count)| {
            let (weights, after) = rest.split_at(*count);
            rest = after;
            (*first, weights)
        })
    }
}

fn fixed_point(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << BITS);
    if weight < 0.0 { (scaled - 0.5) as i32 } else { (scaled + 0.5) as i32 }
}

/// The triangle.
fn bilinear(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

/// The cubic convolution kernel with `a = -1/2`.
fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// The rows of a region, each with `width` pixels: `[region.height, width, C]`.
fn along_rows<const C: usize>(
    picture: &Picture,
    region: Region,
    width: usize,
    interpolation: Interpolation,
) -> Vec<u8> {
    let line = |row: usize| &picture.row(region.top + row)[region.left * C..][..region.width * C];
    if width == region.width {
        return (0..region.height).flat_map(line).copied().collect();
    }
    let taps = FilterTaps::new(region.width, width, interpolation);
    let mut out = vec![0; region.height * width * C];
    let mut block = vec![[[0; ROWS]; C]; region.width];
    for (place, out) in out.chunks_mut(ROWS * width * C).enumerate() {
        let rows = out.len() / (width * C);
        for row in 0..rows {
            let (pixels, _) = line(place * ROWS + row).as_chunks::<C>();
            for (column, pixel) in block.iter_mut().zip(pixels) {
                column.iter_mut().zip(pixel).for_each(|(channel, byte)| channel[row] = *byte);
            }
        }
        for (column, (first, weights)) in taps.iter().enumerate() {
            let found = convolved(weights, &block[first..]);
            for row in 0..rows {
                let pixel = &mut out[(row * width + column) * C..][..C];
                pixel.iter_mut().zip(&found).for_each(|(byte, channel)| *byte = channel[row]);
            }
        }
    }
    out
}

/// Rows that are convolved together: so many sums are few enough for registers, and the compiler makes vectors of them.
const ROWS: usize = 16;

/// One output pixel of each of the rows of a block.
fn convolved<const C: usize>(weights: &[i32], block: &[[[u8; ROWS]; C]]) -> [[u8; ROWS]; C] {
    std::array::from_fn(|channel| {
        let mut sums = [HALF; ROWS];
        for (weight, column) in weights.iter().zip(block) {
            for (sum, byte) in sums.iter_mut().zip(&column[channel]) {
                *sum += weight * i32::from(*byte);
            }
        }
        sums.map(to_byte)
    })
}

/// `height` rows out of `rows` rows of `length` bytes.
fn along_columns(
    bytes: &[u8],
    length: usize,
    (rows, height): (usize, usize),
    interpolation: Interpolation,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(height * length);
    let mut sums = vec![0; length];
    for (first, weights) in FilterTaps::new(rows, height, interpolation).iter() {
        sums.fill(HALF);
        for (weight, row) in weights.iter().zip(bytes[first * length..].chunks_exact(length)) {
            for (sum, byte) in sums.iter_mut().zip(row) {
                *sum += weight * i32::from(*byte);
            }
        }
        out.extend(sums.iter().copied().map(to_byte));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::Fixtures;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_up_and_down_are_pillows_bytes() {
        let fixtures = Fixtures::read();
        let mut cases = 0;
        for (words, wanted) in fixtures.cases("resize") {
            let [_, "bicubic", width, height, name] = words[..] else { panic!("{words:?}") };
            let picture = fixtures.image(name);
            let size = (width.parse().unwrap(), height.parse().unwrap());
            let found = resample(&picture, Region::whole(&picture), size).unwrap();
            assert!(found == wanted, "{words:?}: {:?}", differences(&found, &wanted));
            cases += 1;
        }
        assert_eq!(cases, 10);
    }

    #[test]
    fn regions_are_torchvisions_bytes() {
        let fixtures = Fixtures::read();
        let mut cases = 0;
        for (words, wanted) in fixtures.cases("crop") {
            let numbers: Vec<usize> = words[1..6].iter().map(|word| word.parse().unwrap()).collect();
            let [left, top, width, height, size] = numbers[..] else { panic!("{words:?}") };
            let found =
                resample(&fixtures.image(words[6]), Region { left, top, width, height }, (size, size));
            assert!(found.unwrap() == wanted, "{words:?}");
            cases += 1;
        }
        assert_eq!(cases, 4);
    }

    fn differences(found: &Picture, wanted: &Picture) -> Vec<(u8, u8)> {
        let pairs = found.bytes().iter().copied().zip(wanted.bytes().iter().copied());
        pairs.filter(|(found, wanted)| found != wanted).take(5).collect()
    }

    proptest! {
        /// Weights sum to one, up to the rounding of each.
        #[test]
        fn a_plain_picture_stays_plain(
            value: u8, sides in (1_usize..40, 1_usize..40), size in (1_usize..40, 1_usize..40), grey: bool,
        ) {
            let channels = if grey { 1 } else { 3 };
            let picture = Picture::from_fn((sides.0, sides.1, channels), |_, _, _| value);
            let found = resample(&picture, Region::whole(&picture), size).unwrap();
            prop_assert_eq!(found.shape(), (size.0, size.1, channels));
            prop_assert!(found.bytes().iter().all(|byte| *byte == value));
        }

        #[test]
        fn regions_outside_are_refused(left in 0_usize..8, width in 0_usize..8, size in 0_usize..3) {
            let picture = Picture::from_fn((5, 4, 3), |row, _, _| row as u8);
            let region = Region { left, top: 0, width, height: 4 };
            let fits = width > 0 && left + width <= 5 && size > 0;
            prop_assert_eq!(resample(&picture, region, (size, 2)).is_some(), fits);
        }
    }
}
