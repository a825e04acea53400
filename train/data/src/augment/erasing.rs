//! Random erasing (Zhong et al. 2017) by timm's rule, one rectangle a picture.

use serde::{Deserialize, Serialize};

use super::parameter::{interval, probability, require};
use crate::error::DataError;
use crate::picture::Picture;
use crate::random::Stream;

/// Erases a rectangle of random area, aspect ratio and position.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erasing {
    /// Probability of erasing; revisiting-at has 0.25.
    pub probability: f64,
    /// The new values.
    #[serde(default)]
    pub fill: ErasingFill,
    /// Share of the area, uniform between these: above 0, at most 1.
    #[serde(default = "Erasing::default_area")]
    pub area: [f64; 2],
    /// Height over width is uniform in the logarithm between this and its inverse: above 0, at most 1.
    #[serde(default = "Erasing::default_aspect")]
    pub min_aspect: f64,
}

/// The new values of erased pixels.
///
/// timm draws standard normal noise on pixels that ImageNet's mean and standard deviation have normalised. Pixels are
/// not normalised here, so the noise gets that mean and deviation; it is rounded and cut to a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErasingFill {
    /// Noise for every pixel and channel: timm's `pixel`.
    #[default]
    Pixel,
    /// Black: timm's `const` without normalisation.
    Const,
}

/// ImageNet's, by channel, in 255ths.
const MEAN: [f64; 3] = [0.485 * 255.0, 0.456 * 255.0, 0.406 * 255.0];
const DEVIATION: [f64; 3] = [0.229 * 255.0, 0.224 * 255.0, 0.225 * 255.0];

impl Erasing {
    /// `[0.02, 1/3]`.
    pub fn default_area() -> [f64; 2] {
        [0.02, 1.0 / 3.0]
    }

    /// 0.3.
    pub fn default_aspect() -> f64 {
        0.3
    }

    /// # Errors
    /// Where a parameter is out of range.
    pub fn check(&self) -> Result<(), DataError> {
        probability("probability", self.probability)?;
        interval("area", self.area, [0.0, 1.0])?;
        require(
            "min_aspect",
            self.min_aspect > 0.0 && self.min_aspect <= 1.0,
            &self.min_aspect,
            "above 0, up to 1",
        )
    }

    /// Erases in place with the given probability; never if ten random rectangles in a row do not fit.
    pub fn apply(&self, picture: &mut Picture, stream: &mut Stream) {
        /// timm's.
        const TRIES: usize = 10;
        if !stream.bernoulli(self.probability) {
            return;
        }
        let (width, height, _) = picture.shape();
        for _ in 0..TRIES {
            let target = stream.uniform(self.area) * width as f64 * height as f64;
            let aspect = stream.log_uniform([self.min_aspect, 1.0 / self.min_aspect]);
            let rows = (target * aspect).sqrt().round_ties_even() as usize;
            let columns = (target / aspect).sqrt().round_ties_even() as usize;
            if columns < width && rows < height {
                let top = stream.below(height - rows + 1);
                let left = stream.below(width - columns + 1);
                self.erase(picture, (left, top, columns, rows), stream);
                return;
            }
        }
    }

    fn erase(
        &self,
        picture: &mut Picture,
        (left, top, columns, rows): (usize, usize, usize, usize),
        stream: &mut Stream,
    ) {
        let (width, _, channels) = picture.shape();
        let lines = picture.bytes_mut().chunks_exact_mut(width * channels).skip(top).take(rows);
        for line in lines {
            let line = &mut line[left * channels..][..columns * channels];
            match self.fill {
                ErasingFill::Const => line.fill(0),
                ErasingFill::Pixel => {
                    for (index, byte) in line.iter_mut().enumerate() {
                        let channel = index % channels;
                        let noise = MEAN[channel] + DEVIATION[channel] * stream.normal();
                        *byte = noise.round().clamp(0.0, 255.0) as u8;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Key;

    const BLACK: Erasing =
        Erasing { probability: 1.0, fill: ErasingFill::Const, area: [0.02, 1.0 / 3.0], min_aspect: 0.3 };

    fn stream(sample: u64) -> Stream {
        Stream::new(&Key { seed: 2, epoch: 0, sample, purpose: "test" })
    }

    /// Rows and columns of the black rectangle of a white picture, or nothing.
    fn rectangle(picture: &Picture) -> Option<(usize, usize)> {
        let (width, height, channels) = picture.shape();
        let black = |row: usize, column: usize| picture.row(row)[column * channels] == 0;
        let rows = (0..height).filter(|row| (0..width).any(|column| black(*row, column))).count();
        let columns = (0..width).filter(|column| (0..height).any(|row| black(row, *column))).count();
        let erased = picture.bytes().iter().filter(|byte| **byte == 0).count();
        assert_eq!(erased, rows * columns * channels);
        (erased > 0).then_some((rows, columns))
    }

    #[test]
    fn rectangles_have_the_area_and_shape_asked_for() {
        const COUNT: usize = 4_000;
        let white = Picture::from_fn((60, 80, 3), |_, _, _| 255);
        let mut areas = 0.0;
        for sample in 0..COUNT as u64 {
            let mut picture = white.clone();
            BLACK.apply(&mut picture, &mut stream(sample));
            let (rows, columns) = rectangle(&picture).unwrap();
            // Sides round by half a pixel each.
            let aspect = |shift: f64| (rows as f64 + shift) / (columns as f64 - shift);
            assert!(aspect(0.5) >= 0.3 && aspect(-0.5) <= 1.0 / 0.3, "{rows} x {columns}");
            areas += (rows * columns) as f64 / 4800.0;
        }
        // Uniform in [0.02, 1/3], less the few that do not fit: those are large, and rarer than one in six.
        let (mean, error) = (areas / COUNT as f64, 5.0 * 0.3133 / (12.0 * COUNT as f64).sqrt());
        assert!(mean < 0.1767 + error && mean > 0.1767 - error - 0.0522, "{mean}");
    }

    #[test]
    fn the_chance_is_that_of_the_parameter() {
        let white = Picture::from_fn((32, 32, 1), |_, _, _| 255);
        let erased = |sample: &u64| {
            let mut picture = white.clone();
            Erasing { probability: 0.25, ..BLACK }.apply(&mut picture, &mut stream(*sample));
            rectangle(&picture).is_some()
        };
        // Binomial: five standard deviations are 5·sqrt(4000·3/16) = 137.
        let count = (0..4_000).filter(erased).count();
        assert!(count.abs_diff(1_000) < 137, "{count}");
    }

    #[test]
    fn noise_has_the_mean_of_natural_images() {
        let mut picture = Picture::from_fn((200, 200, 3), |_, _, _| 255);
        let erasing = Erasing { fill: ErasingFill::Pixel, ..BLACK };
        erasing.erase(&mut picture, (0, 0, 200, 200), &mut stream(0));
        for (channel, wanted) in MEAN.into_iter().enumerate() {
            let values = picture.bytes().iter().skip(channel).step_by(3);
            let mean = values.map(|byte| f64::from(*byte)).sum::<f64>() / 40_000.0;
            // Five standard errors are 5·58/200 = 1.5; cutting at 0 moves a mean of 104 and 57 by 0.7.
            assert!((mean - wanted).abs() < 2.2, "{channel}: {mean}");
        }
    }

    #[test]
    fn parameters_out_of_range_are_named() {
        for (erasing, name) in [
            (Erasing { probability: 1.1, ..BLACK }, "probability"),
            (Erasing { area: [0.0, 0.3], ..BLACK }, "area"),
            (Erasing { min_aspect: 0.0, ..BLACK }, "min_aspect"),
        ] {
            let error = erasing.check().unwrap_err().to_string();
            assert!(error.starts_with(&format!("parameter `{name}`")), "{error}");
        }
        BLACK.check().unwrap();
    }
}
