//! The transform of evaluation: no randomness.

use serde::{Deserialize, Serialize};

use super::crop::crop;
use super::parameter::require;
use super::resample::{Region, resample};
use crate::error::DataError;
use crate::picture::Picture;

/// Resizing by the shorter side, bicubic, and the middle of that: torchvision's `Resize` and `CenterCrop`. ImageNet
/// takes 256 and 224; CIFAR-10 and Tiny-ImageNet take no resizing and their own size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Pixels of the shorter side, 1 to 16384; as it is where absent.
    #[serde(default)]
    pub resize: Option<usize>,
    /// Pixels of a side of the square in the middle, at least 1 and at most `resize`.
    pub crop: usize,
}

impl Evaluation {
    /// # Errors
    /// Where a side is out of range.
    pub fn check(&self) -> Result<(), DataError> {
        let most = self.resize.unwrap_or(16384);
        require("resize", (1..=16384).contains(&most), &most, "1 to 16384 pixels")?;
        require("crop", (1..=most).contains(&self.crop), &self.crop, &format!("1 to {most} pixels"))
    }

    /// A square of [`Self::crop`] pixels.
    ///
    /// # Errors
    /// Where the picture is smaller than the crop, and nothing resizes it.
    pub fn apply(&self, picture: &Picture) -> Result<Picture, DataError> {
        let (width, height, _) = picture.shape();
        let wrong =
            || DataError::PictureSize { width, height, wanted: format!("at least {} on a side", self.crop) };
        let resized = match self.resize {
            None => None,
            Some(shorter) => {
                let size = resized(width, height, shorter);
                Some(resample(picture, Region::whole(picture), size).ok_or_else(wrong)?)
            }
        };
        let picture = resized.as_ref().unwrap_or(picture);
        let (width, height, _) = picture.shape();
        if width < self.crop || height < self.crop {
            return Err(wrong());
        }
        // Python rounds halves to even.
        let middle = |length: usize| ((length - self.crop) as f64 / 2.0).round_ties_even() as usize;
        let region = Region { left: middle(width), top: middle(height), width: self.crop, height: self.crop };
        Ok(crop(picture, region))
    }
}

/// `(width, height)` with that shorter side: the longer one is cut to whole pixels.
fn resized(width: usize, height: usize, shorter: usize) -> (usize, usize) {
    let longer = |long: usize, short: usize| (shorter as f64 * long as f64 / short as f64) as usize;
    if width <= height { (shorter, longer(height, width)) } else { (longer(width, height), shorter) }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::Fixtures;
    use super::*;

    #[test]
    fn resizing_and_cropping_are_torchvisions_bytes() {
        let fixtures = Fixtures::read();
        let mut cases = 0;
        for (words, wanted) in fixtures.cases("evaluation") {
            let evaluation =
                Evaluation { resize: Some(words[1].parse().unwrap()), crop: words[2].parse().unwrap() };
            let found = evaluation.apply(&fixtures.image(words[3])).unwrap();
            assert!(found == wanted, "{words:?}");
            cases += 1;
        }
        assert_eq!(cases, 5);
    }

    #[test]
    fn the_middle_alone_is_cut() {
        let picture = Picture::from_fn((5, 4, 1), |row, column, _| (10 * row + column) as u8);
        let middle = Evaluation { resize: None, crop: 2 }.apply(&picture).unwrap();
        // (5 - 2)/2 = 1.5 rounds to 2, (4 - 2)/2 = 1.
        assert_eq!(middle.bytes(), [12, 13, 22, 23]);
        let error = Evaluation { resize: None, crop: 5 }.apply(&picture).unwrap_err().to_string();
        assert_eq!(error, "found a picture of 5 x 4 pixels, wanted at least 5 on a side");
    }

    #[test]
    fn parameters_out_of_range_are_named() {
        for (resize, crop, name) in [(Some(0), 1, "resize"), (Some(224), 256, "crop"), (None, 0, "crop")] {
            let error = Evaluation { resize, crop }.check().unwrap_err().to_string();
            assert!(error.starts_with(&format!("parameter `{name}`")), "{error}");
        }
        Evaluation { resize: Some(256), crop: 224 }.check().unwrap();
    }
}
