//! RandAugment (Cubuk et al. 2019) in timm's form `rand-m9-mstd0.5-inc1`: operations in Pillow's arithmetic, whose
//! severity grows with the magnitude.

mod affine;
mod operation;
mod table;

use serde::{Deserialize, Serialize};

pub(crate) use affine::Filter;
use operation::Operation;

use super::parameter::{probability, require};
use crate::error::DataError;
use crate::picture::Picture;
use crate::random::Stream;

/// Random operations of random magnitude.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandAugment {
    /// Mean magnitude, 0 to 10; timm's `m`.
    pub magnitude: f64,
    /// Standard deviation of the magnitude, 0 to 100; timm's `mstd`. Magnitudes are cut to 0 to 10.
    pub magnitude_std: f64,
    /// Operations chosen for each picture, with replacement, 1 to 16; timm's `n`.
    pub layers: usize,
    /// Probability that a chosen operation is applied; timm's `p`.
    pub probability: f64,
    /// Value of the pixels that rotation, shear or translation leave empty.
    pub fill: u8,
}

impl Default for RandAugment {
    /// `rand-m9-mstd0.5-inc1`.
    fn default() -> Self {
        Self { magnitude: 9.0, magnitude_std: 0.5, layers: 2, probability: 0.5, fill: 128 }
    }
}

impl RandAugment {
    /// # Errors
    /// Where a parameter is out of range.
    pub fn check(&self) -> Result<(), DataError> {
        let within = |value: f64, most: f64| (0.0..=most).contains(&value);
        require("magnitude", within(self.magnitude, 10.0), &self.magnitude, "0 to 10")?;
        require("magnitude_std", within(self.magnitude_std, 100.0), &self.magnitude_std, "0 to 100")?;
        require("layers", (1..=16).contains(&self.layers), &self.layers, "1 to 16")?;
        probability("probability", self.probability)
    }

    /// A picture of the same size.
    pub fn apply(&self, mut picture: Picture, stream: &mut Stream) -> Picture {
        for _ in 0..self.layers {
            let operation = Operation::ALL[stream.below(Operation::ALL.len())];
            if !stream.bernoulli(self.probability) {
                continue;
            }
            let magnitude = (self.magnitude + self.magnitude_std * stream.normal()).clamp(0.0, 10.0);
            let argument = operation.argument(magnitude, stream.bernoulli(0.5));
            let filter = if stream.bernoulli(0.5) { Filter::Bilinear } else { Filter::Bicubic };
            picture = operation.apply(&picture, argument, filter, self.fill);
        }
        picture
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Key;

    #[test]
    fn a_picture_is_changed_as_often_as_asked() {
        let picture = Picture::from_fn((12, 10, 3), |row, column, channel| {
            (row * 17 + column * 23 + channel * 80) as u8
        });
        let changed = |parameters: RandAugment| {
            let changed = |sample: &u64| {
                let key = Key { seed: 0, epoch: 0, sample: *sample, purpose: "test" };
                parameters.apply(picture.clone(), &mut Stream::new(&key)) != picture
            };
            (0..1_000).filter(changed).count()
        };
        let usual = RandAugment::default();
        assert_eq!(changed(RandAugment { probability: 0.0, ..usual }), 0);
        // One layer is done with probability 1/2; nine in ten operations of that magnitude change this picture for sure
        // (AutoContrast may not). Five standard deviations of 1000 coins are 79.
        let one = changed(RandAugment { layers: 1, ..usual });
        assert!((500 - 79 - 100..500 + 79).contains(&one), "{one}");
        let two = changed(usual);
        assert!((750 - 69 - 150..750 + 69).contains(&two), "{two}");
    }

    #[test]
    fn parameters_out_of_range_are_named() {
        let usual = RandAugment::default();
        for (parameters, name) in [
            (RandAugment { magnitude: 10.5, ..usual }, "magnitude"),
            (RandAugment { magnitude_std: -1.0, ..usual }, "magnitude_std"),
            (RandAugment { layers: 17, ..usual }, "layers"),
            (RandAugment { probability: f64::NAN, ..usual }, "probability"),
        ] {
            let error = parameters.check().unwrap_err().to_string();
            assert!(error.starts_with(&format!("parameter `{name}`")), "{error}");
        }
        usual.check().unwrap();
    }
}
