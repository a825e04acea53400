//! What the adversary may do: move an image within a ball, inside the box of valid pixels.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The norm that measures a perturbation, over all pixels and channels of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Norm {
    /// Largest absolute change of any pixel value.
    Linf,
    /// Euclidean length of the change.
    L2,
    /// Sum of the absolute changes.
    L1,
}

/// Which pixel values an adversary can produce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum Pixels {
    /// Any float32 in `[0, 1]`.
    #[default]
    #[serde(rename = "continuous")]
    Continuous,
    /// The 256 levels `k/255` of 8-bit images, so that a perturbed image can be stored as one. Distances are those of
    /// the levels: `|k' - k|/255`.
    #[serde(rename = "8bit")]
    EightBit,
}

/// A ball around each image, intersected with the box `[0, 1]` of valid pixels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThreatModel {
    /// How distance is measured.
    pub norm: Norm,
    /// Radius of the ball, in pixels of `[0, 1]` (`8/255`, not `8`).
    pub epsilon: f64,
    /// Which pixel values count.
    pub pixels: Pixels,
}

/// A radius that no threat model has.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum InvalidRadius {
    /// Zero, negative, infinite or not a number.
    #[error("the radius {0} is not a positive number")]
    NotPositive(f64),
    /// More than any pixel can change: mostly levels of 0 to 255 where pixels of `[0, 1]` are meant.
    #[error("the L∞ radius {0} is larger than any change of a pixel in [0, 1]")]
    TooLarge(f64),
    /// Less than one level of an 8-bit pixel.
    #[error(
        "the radius {0} is smaller than one level of an 8-bit pixel, 1/255, so that no image could change"
    )]
    BelowOneLevel(f64),
}

impl ThreatModel {
    /// A ball of that radius, in pixels of `[0, 1]`.
    ///
    /// # Errors
    /// As [`ThreatModel::check`].
    pub fn new(norm: Norm, epsilon: f64) -> Result<Self, InvalidRadius> {
        let threat_model = Self { norm, epsilon, pixels: Pixels::Continuous };
        threat_model.check().map(|()| threat_model)
    }

    /// The same ball with other pixel values.
    ///
    /// # Errors
    /// As [`ThreatModel::check`].
    pub fn with_pixels(self, pixels: Pixels) -> Result<Self, InvalidRadius> {
        let threat_model = Self { pixels, ..self };
        threat_model.check().map(|()| threat_model)
    }

    /// Whether the radius is one: a positive number, for L∞ at most 1, and for 8-bit pixels at least a level.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn check(&self) -> Result<(), InvalidRadius> {
        let Self { norm, epsilon, pixels } = *self;
        if !(epsilon.is_finite() && epsilon > 0.0) {
            return Err(InvalidRadius::NotPositive(epsilon));
        }
        if norm == Norm::Linf && epsilon > 1.0 {
            return Err(InvalidRadius::TooLarge(epsilon));
        }
        if pixels == Pixels::EightBit && epsilon < 1.0 / 255.0 {
            return Err(InvalidRadius::BelowOneLevel(epsilon));
        }
        Ok(())
    }
}

impl fmt::Display for Norm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linf => "Linf",
            Self::L2 => "L2",
            Self::L1 => "L1",
        })
    }
}

impl fmt::Display for ThreatModel {
    /// `Linf, epsilon 2/255 = 0.00784 in pixels of [0, 1]`: in levels where the radius is a whole number of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { norm, epsilon, pixels } = *self;
        let levels = 255.0 * epsilon;
        if norm == Norm::Linf && (levels - levels.round()).abs() < 1e-9 {
            write!(f, "{norm}, epsilon {levels:.0}/255 = {epsilon:.5} in pixels of [0, 1]")?;
        } else {
            write!(f, "{norm}, epsilon {epsilon} in pixels of [0, 1]")?;
        }
        match pixels {
            Pixels::Continuous => Ok(()),
            Pixels::EightBit => f.write_str(", 8-bit images only"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_radius_is_a_positive_number_of_pixels() {
        for epsilon in [0.0, -0.1, f64::NAN, f64::INFINITY] {
            let found = ThreatModel::new(Norm::L1, epsilon).unwrap_err();
            assert!(matches!(found, InvalidRadius::NotPositive(_)), "{epsilon}: {found}");
        }
        assert_eq!(ThreatModel::new(Norm::Linf, 8.0), Err(InvalidRadius::TooLarge(8.0)));
        for (norm, epsilon) in [(Norm::Linf, 1.0), (Norm::L2, 8.0), (Norm::L1, 12.0)] {
            let pixels = Pixels::Continuous;
            assert_eq!(ThreatModel::new(norm, epsilon), Ok(ThreatModel { norm, epsilon, pixels }));
        }
        let level = ThreatModel::new(Norm::L2, 1.0 / 255.0).unwrap();
        assert!(level.with_pixels(Pixels::EightBit).is_ok());
        let less = ThreatModel::new(Norm::L2, 0.003).unwrap();
        assert_eq!(less.with_pixels(Pixels::EightBit), Err(InvalidRadius::BelowOneLevel(0.003)));
    }

    #[test]
    fn radii_are_shown_as_they_are_spoken_of() {
        let cases = [
            (Norm::Linf, 8.0 / 255.0, "Linf, epsilon 8/255 = 0.03137 in pixels of [0, 1]"),
            (Norm::Linf, 0.1, "Linf, epsilon 0.1 in pixels of [0, 1]"),
            (Norm::L2, 0.5, "L2, epsilon 0.5 in pixels of [0, 1]"),
            (Norm::L1, 12.0, "L1, epsilon 12 in pixels of [0, 1]"),
        ];
        for (norm, epsilon, expected) in cases {
            assert_eq!(ThreatModel::new(norm, epsilon).unwrap().to_string(), expected);
        }
    }
}
