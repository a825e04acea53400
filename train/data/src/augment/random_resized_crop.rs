//! A region of random area and shape, resized: torchvision's `RandomResizedCrop` with bicubic resampling.

use serde::{Deserialize, Serialize};

use super::parameter::interval;
use super::resample::{Region, resample};
use crate::error::DataError;
use crate::picture::Picture;
use crate::random::Stream;

/// A crop of random area and aspect ratio, resized to a square.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomResizedCrop {
    /// Share of the picture's area, uniform between these: above 0, at most 1. The paper has `[0.2, 1]`.
    pub scale: [f64; 2],
    /// Width over height, uniform in the logarithm between these: above 0, at most 100.
    #[serde(default = "RandomResizedCrop::default_ratio")]
    pub ratio: [f64; 2],
}

impl RandomResizedCrop {
    /// `[3/4, 4/3]`.
    pub fn default_ratio() -> [f64; 2] {
        [3.0 / 4.0, 4.0 / 3.0]
    }

    /// # Errors
    /// Where an interval is out of range.
    pub fn check(&self) -> Result<(), DataError> {
        interval("scale", self.scale, [0.0, 1.0])?;
        interval("ratio", self.ratio, [0.0, 100.0])
    }

    /// A region, resized to `size x size` pixels. A `size` of 0 is an error.
    ///
    /// # Errors
    /// If the region cannot be resized, which does not happen with checked parameters.
    pub fn apply(&self, picture: &Picture, size: usize, stream: &mut Stream) -> Result<Picture, DataError> {
        let (width, height, _) = picture.shape();
        let region = self.region((width, height), stream);
        let wanted = || format!("a region that can become {size} x {size} pixels");
        resample(picture, region, (size, size)).ok_or_else(|| DataError::PictureSize {
            width,
            height,
            wanted: wanted(),
        })
    }

    /// Ten tries for a region that fits, then the largest one in the middle whose shape is allowed.
    pub(crate) fn region(&self, (width, height): (usize, usize), stream: &mut Stream) -> Region {
        /// torchvision's.
        const TRIES: usize = 10;
        let area = width as f64 * height as f64;
        for _ in 0..TRIES {
            let target = area * stream.uniform(self.scale);
            let aspect = stream.log_uniform(self.ratio);
            // Python rounds halves to even. A negative or huge number would saturate in the cast.
            let columns = (target * aspect).sqrt().round_ties_even() as usize;
            let rows = (target / aspect).sqrt().round_ties_even() as usize;
            if (1..=width).contains(&columns) && (1..=height).contains(&rows) {
                let top = stream.below(height - rows + 1);
                let left = stream.below(width - columns + 1);
                return Region { left, top, width: columns, height: rows };
            }
        }
        self.fallback((width, height))
    }

    fn fallback(&self, (width, height): (usize, usize)) -> Region {
        let [narrowest, widest] = self.ratio;
        let aspect = width as f64 / height as f64;
        let (columns, rows) = if aspect < narrowest {
            (width, (width as f64 / narrowest).round_ties_even() as usize)
        } else if aspect > widest {
            ((height as f64 * widest).round_ties_even() as usize, height)
        } else {
            (width, height)
        };
        // Rounding may leave the picture by nothing, but may reach 0 where the picture is a line.
        let (columns, rows) = (columns.clamp(1, width), rows.clamp(1, height));
        Region { left: (width - columns) / 2, top: (height - rows) / 2, width: columns, height: rows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Key;
    use proptest::prelude::*;

    const USUAL: RandomResizedCrop = RandomResizedCrop { scale: [0.2, 1.0], ratio: [0.75, 4.0 / 3.0] };

    fn stream(sample: u64) -> Stream {
        Stream::new(&Key { seed: 1, epoch: 0, sample, purpose: "test" })
    }

    proptest! {
        #[test]
        fn regions_lie_in_the_picture(
            sides in (1_usize..400, 1_usize..400), low in 0.01_f64..1.0, narrow in 0.2_f64..1.0, sample: u64,
        ) {
            let crop = RandomResizedCrop { scale: [low, 1.0], ratio: [narrow, 1.0 / narrow] };
            crop.check().unwrap();
            let region = crop.region(sides, &mut stream(sample));
            prop_assert!(region.width >= 1 && region.left + region.width <= sides.0, "{region:?}");
            prop_assert!(region.height >= 1 && region.top + region.height <= sides.1, "{region:?}");
        }
    }

    /// In a large square nearly every try of small scale fits, so that area and shape are as drawn.
    #[test]
    fn areas_and_shapes_are_uniform() {
        const COUNT: usize = 20_000;
        let crop = RandomResizedCrop { scale: [0.1, 0.5], ..USUAL };
        let regions: Vec<_> =
            (0..COUNT as u64).map(|sample| crop.region((1000, 1000), &mut stream(sample))).collect();
        let mean = |value: &dyn Fn(&Region) -> f64| regions.iter().map(value).sum::<f64>() / COUNT as f64;
        let area = |region: &Region| (region.width * region.height) as f64 / 1e6;
        let shape = |region: &Region| (region.width as f64 / region.height as f64).ln();
        // Standard errors of uniform numbers, width/sqrt(12 N); rounding to pixels adds less than 1e-3.
        let error = |width: f64| 5.0 * width / (12.0 * COUNT as f64).sqrt() + 1e-3;
        assert!((mean(&area) - 0.3).abs() < error(0.4), "{}", mean(&area));
        assert!(mean(&shape).abs() < error(2.0 * (4.0_f64 / 3.0).ln()), "{}", mean(&shape));
        // The place is uniform in the room that is left.
        let place = |region: &Region| region.left as f64 / (1000 - region.width) as f64;
        assert!((mean(&place) - 0.5).abs() < error(1.0), "{}", mean(&place));
        let variance = |region: &Region| (place(region) - 0.5).powi(2);
        // Of a uniform number 1/12; its square has standard deviation sqrt(1/180).
        let error = 5.0 / (180.0 * COUNT as f64).sqrt() + 1e-2;
        assert!((mean(&variance) - 1.0 / 12.0).abs() < error, "{}", mean(&variance));
    }

    #[test]
    fn what_never_fits_takes_the_middle() {
        let region = |sides| USUAL.region(sides, &mut stream(0));
        assert_eq!(region((400, 10)), Region { left: 193, top: 0, width: 13, height: 10 });
        assert_eq!(region((10, 400)), Region { left: 0, top: 193, width: 10, height: 13 });
        // 6 · 4/3 = 8; torchvision's `(w - j) // 2`.
        assert_eq!(USUAL.fallback((9, 6)), Region { left: 0, top: 0, width: 8, height: 6 });
        assert_eq!(USUAL.fallback((7, 6)), Region { left: 0, top: 0, width: 7, height: 6 });
    }

    #[test]
    fn parameters_out_of_range_are_named() {
        for (crop, name) in [
            (RandomResizedCrop { scale: [0.0, 1.0], ..USUAL }, "scale"),
            (RandomResizedCrop { scale: [0.5, 1.5], ..USUAL }, "scale"),
            (RandomResizedCrop { scale: [0.5, f64::NAN], ..USUAL }, "scale"),
            (RandomResizedCrop { ratio: [1.5, 0.5], ..USUAL }, "ratio"),
            (RandomResizedCrop { ratio: [-1.0, 0.5], ..USUAL }, "ratio"),
        ] {
            let error = crop.check().unwrap_err().to_string();
            assert!(error.starts_with(&format!("parameter `{name}`: found [")), "{error}");
        }
        USUAL.check().unwrap();
    }
}
