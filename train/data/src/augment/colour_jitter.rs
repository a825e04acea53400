//! Colour jitter: brightness, contrast and saturation, each by a random factor, in a random order. torchvision's
//! `ColorJitter` on PIL images without hue, which timm's `color_jitter = 0.4` is.

use serde::{Deserialize, Serialize};

use super::enhance;
use super::parameter::require;
use crate::error::DataError;
use crate::picture::Picture;
use crate::random::Stream;

/// How far the factors go from 1: each is uniform between `max(0, 1 − s)` and `1 + s`. The default is timm's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ColourJitter {
    /// Of the brightness, 0 to 10; 0 leaves it.
    pub brightness: f64,
    /// Of the contrast, 0 to 10; 0 leaves it.
    pub contrast: f64,
    /// Of the saturation, 0 to 10; 0 leaves it.
    pub saturation: f64,
}

impl Default for ColourJitter {
    fn default() -> Self {
        Self { brightness: 0.4, contrast: 0.4, saturation: 0.4 }
    }
}

impl ColourJitter {
    /// # Errors
    /// Where a parameter is out of range.
    pub fn check(&self) -> Result<(), DataError> {
        let within = |strength: f64| (0.0..=10.0).contains(&strength);
        require("brightness", within(self.brightness), &self.brightness, "0 to 10")?;
        require("contrast", within(self.contrast), &self.contrast, "0 to 10")?;
        require("saturation", within(self.saturation), &self.saturation, "0 to 10")
    }

    /// A picture of the same size.
    pub fn apply(&self, mut picture: Picture, stream: &mut Stream) -> Picture {
        type Enhance = fn(&Picture, f64) -> Picture;
        let operations: [(Enhance, f64); 3] = [
            (enhance::brightness, self.brightness),
            (enhance::contrast, self.contrast),
            (enhance::color, self.saturation),
        ];
        let order = stream.permutation(3);
        let factors =
            operations.map(|(_, strength)| stream.uniform([(1.0 - strength).max(0.0), 1.0 + strength]));
        for place in order {
            let place = place as usize;
            let (enhance, strength) = operations[place];
            if strength > 0.0 {
                picture = enhance(&picture, factors[place]);
            }
        }
        picture
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Key;

    fn stream(sample: u64) -> Stream {
        Stream::new(&Key { seed: 0, epoch: 0, sample, purpose: "test" })
    }

    fn picture() -> Picture {
        Picture::from_fn((12, 10, 3), |row, column, channel| (row * 11 + column * 7 + channel * 60) as u8)
    }

    const NONE: ColourJitter = ColourJitter { brightness: 0.0, contrast: 0.0, saturation: 0.0 };

    #[test]
    fn a_factor_is_uniform_around_one() {
        let brighter = ColourJitter { brightness: 0.4, ..NONE };
        let factors: Vec<f64> = (0..2_000)
            .map(|sample| {
                // A grey of 100 becomes 100 times the factor, cut to a whole number.
                let grey = Picture::from_fn((2, 2, 3), |_, _, _| 100);
                f64::from(brighter.apply(grey, &mut stream(sample)).bytes()[0]) / 100.0
            })
            .collect();
        assert!(factors.iter().all(|factor| (0.59..=1.4).contains(factor)));
        let mean = factors.iter().sum::<f64>() / 2_000.0;
        // Half a level is cut off on average. Five standard errors of 0.8/√12 among 2000 are 0.026.
        assert!((mean - 0.995).abs() < 0.026, "{mean}");
    }

    #[test]
    fn operations_come_in_every_order_and_none_without_strength() {
        assert!(NONE.apply(picture(), &mut stream(3)) == picture());
        let jitter = ColourJitter::default();
        let first = |sample| {
            let mut stream = stream(sample);
            let order = stream.permutation(3);
            let mut factor = || stream.uniform([0.6, 1.4]);
            let factors = [factor(), factor(), factor()];
            let operations = [enhance::brightness, enhance::contrast, enhance::color];
            let wanted = order.iter().fold(picture(), |picture, &place| {
                operations[place as usize](&picture, factors[place as usize])
            });
            assert!(jitter.apply(picture(), &mut self::stream(sample)) == wanted, "{sample}");
            order[0]
        };
        let mut firsts: Vec<u32> = (0..20).map(first).collect();
        firsts.sort_unstable();
        firsts.dedup();
        assert_eq!(firsts, [0, 1, 2]);
    }

    #[test]
    fn parameters_out_of_range_are_named() {
        for (parameters, name) in [
            (ColourJitter { brightness: -0.1, ..NONE }, "brightness"),
            (ColourJitter { contrast: f64::NAN, ..NONE }, "contrast"),
            (ColourJitter { saturation: 11.0, ..NONE }, "saturation"),
        ] {
            let error = parameters.check().unwrap_err().to_string();
            assert!(error.starts_with(&format!("parameter `{name}`")), "{error}");
        }
    }
}
