//! The operations on a training picture in their order: crop, flip, RandAugment or colour jitter, erasing.

use serde::{Deserialize, Serialize};

use super::crop::flip;
use super::parameter::{probability, require};
use super::{ColourJitter, Erasing, PadCrop, RandAugment, RandomResizedCrop};
use crate::error::DataError;
use crate::picture::Picture;
use crate::random::Stream;

/// Augmentation of training pictures. The default is none.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augmentation {
    /// Crop to the square input of the network.
    #[serde(default)]
    pub crop: Crop,
    /// Probability of a horizontal flip; the paper has 0.5.
    #[serde(default)]
    pub flip: f64,
    /// RandAugment, if any.
    #[serde(default)]
    pub rand_augment: Option<RandAugment>,
    /// Colour jitter, if any; timm has it in place of RandAugment, never beside it.
    #[serde(default)]
    pub colour_jitter: Option<ColourJitter>,
    /// Random erasing, if any.
    #[serde(default)]
    pub erasing: Option<Erasing>,
}

/// Crop to the square input of the network.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Crop {
    /// None: the picture must have that size.
    #[default]
    None,
    /// `{ kind = "pad_crop", padding = 4 }`
    PadCrop(PadCrop),
    /// `{ kind = "random_resized_crop", scale = [0.2, 1.0] }`
    RandomResizedCrop(RandomResizedCrop),
}

impl Augmentation {
    /// The authors' for CIFAR-10 and Tiny-ImageNet: a crop with 4 black pixels around the picture, and a flip.
    pub fn pad_crop_flip() -> Self {
        Self { crop: Crop::PadCrop(PadCrop { padding: 4 }), flip: 0.5, ..Self::default() }
    }

    /// The paper's for ImageNet: a resized crop of 20 % to 100 % of the picture, and a flip.
    pub fn random_resized_crop_flip() -> Self {
        let ratio = RandomResizedCrop::default_ratio();
        let crop = Crop::RandomResizedCrop(RandomResizedCrop { scale: [0.2, 1.0], ratio });
        Self { crop, flip: 0.5, ..Self::default() }
    }

    /// # Errors
    /// Where a parameter is out of range.
    pub fn check(&self) -> Result<(), DataError> {
        match &self.crop {
            Crop::None => {}
            Crop::PadCrop(crop) => crop.check()?,
            Crop::RandomResizedCrop(crop) => crop.check()?,
        }
        probability("flip", self.flip)?;
        self.rand_augment.as_ref().map_or(Ok(()), RandAugment::check)?;
        self.check_colour_jitter()?;
        self.erasing.as_ref().map_or(Ok(()), Erasing::check)
    }

    fn check_colour_jitter(&self) -> Result<(), DataError> {
        let Some(jitter) = &self.colour_jitter else { return Ok(()) };
        let alone = self.rand_augment.is_none();
        require("colour_jitter", alone, &"both it and rand_augment", "one of the two")?;
        jitter.check()
    }

    /// A picture of `size x size` pixels. The parameters must have passed [`Self::check`].
    ///
    /// # Errors
    /// Where the crop cannot have that size.
    pub fn apply(&self, picture: Picture, size: usize, stream: &mut Stream) -> Result<Picture, DataError> {
        let mut picture = self.crop.apply(picture, size, stream)?;
        if stream.bernoulli(self.flip) {
            flip(&mut picture);
        }
        if let Some(rand_augment) = &self.rand_augment {
            picture = rand_augment.apply(picture, stream);
        }
        if let Some(jitter) = &self.colour_jitter {
            picture = jitter.apply(picture, stream);
        }
        if let Some(erasing) = &self.erasing {
            erasing.apply(&mut picture, stream);
        }
        Ok(picture)
    }
}

impl Crop {
    fn apply(&self, picture: Picture, size: usize, stream: &mut Stream) -> Result<Picture, DataError> {
        match self {
            Self::None if picture.width() == size && picture.height() == size => Ok(picture),
            Self::None => Err(DataError::PictureSize {
                width: picture.width(),
                height: picture.height(),
                wanted: format!("{size} x {size}, or an augmentation with a crop"),
            }),
            Self::PadCrop(crop) => crop.apply(&picture, size, stream),
            Self::RandomResizedCrop(crop) => crop.apply(&picture, size, stream),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::ErasingFill;
    use crate::random::Key;

    fn stream(sample: u64) -> Stream {
        Stream::new(&Key { seed: 3, epoch: 0, sample, purpose: "test" })
    }

    fn everything() -> Augmentation {
        Augmentation {
            rand_augment: Some(RandAugment::default()),
            erasing: Some(Erasing {
                probability: 0.25,
                fill: ErasingFill::Pixel,
                area: Erasing::default_area(),
                min_aspect: 0.3,
            }),
            ..Augmentation::random_resized_crop_flip()
        }
    }

    #[test]
    fn half_of_the_pictures_are_flipped() {
        let picture = Picture::from_fn((2, 2, 1), |_, column, _| column as u8);
        let flipped = |sample: &u64| {
            let augmentation = Augmentation { flip: 0.5, ..Augmentation::default() };
            let found = augmentation.apply(picture.clone(), 2, &mut stream(*sample)).unwrap();
            found.bytes()[0] == 1
        };
        // Binomial: five standard deviations are 5·sqrt(4000/4) = 158.
        let count = (0..4_000).filter(flipped).count();
        assert!(count.abs_diff(2_000) < 158, "{count}");
    }

    #[test]
    fn a_key_gives_one_picture_and_another_key_another() {
        for shape in [(40, 30, 3), (30, 40, 1)] {
            let picture =
                Picture::from_fn(shape, |row, column, channel| (row * 7 + column * 5 + channel) as u8);
            let augmented = |sample| everything().apply(picture.clone(), 24, &mut stream(sample)).unwrap();
            let pictures: Vec<_> = (0..50).map(augmented).collect();
            for (sample, picture) in pictures.iter().enumerate() {
                assert_eq!(picture.shape(), (24, 24, shape.2));
                assert!(*picture == augmented(sample as u64));
                assert!(pictures.iter().filter(|other| *other == picture).count() == 1, "{sample}");
            }
        }
    }

    #[test]
    fn nothing_changes_a_picture_and_takes_one_size() {
        let picture =
            Picture::from_fn((3, 3, 3), |row, column, channel| (row * 9 + column * 3 + channel) as u8);
        let none = Augmentation::default();
        assert!(none.apply(picture.clone(), 3, &mut stream(0)).unwrap() == picture);
        let error = none.apply(picture, 4, &mut stream(0)).unwrap_err().to_string();
        assert_eq!(error, "found a picture of 3 x 3 pixels, wanted 4 x 4, or an augmentation with a crop");
    }

    #[test]
    fn parameters_go_through_a_file_and_unknown_ones_do_not() {
        for augmentation in [Augmentation::default(), Augmentation::pad_crop_flip(), everything()] {
            augmentation.check().unwrap();
            let text = serde_json::to_string(&augmentation).unwrap();
            assert_eq!(serde_json::from_str::<Augmentation>(&text).unwrap(), augmentation);
        }
        let defaults = r#"{"crop": {"kind": "random_resized_crop", "scale": [0.2, 1.0]}, "flip": 0.5}"#;
        let read: Augmentation = serde_json::from_str(defaults).unwrap();
        assert_eq!(read, Augmentation::random_resized_crop_flip());
        for text in [
            r#"{"flipp": 0.5}"#,
            r#"{"crop": {"kind": "pad_crop", "padding": 4, "scale": [0.2, 1]}}"#,
            r#"{"rand_augment": {"magnitud": 3}}"#,
        ] {
            assert!(serde_json::from_str::<Augmentation>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn parameters_out_of_range_are_refused() {
        let (none, jitter) = (Augmentation::default(), ColourJitter::default());
        Augmentation { colour_jitter: Some(jitter), ..none }.check().unwrap();
        for augmentation in [
            Augmentation { flip: -0.1, ..none },
            Augmentation { flip: f64::NAN, ..none },
            Augmentation { crop: Crop::PadCrop(PadCrop { padding: 2_000 }), ..none },
            Augmentation { colour_jitter: Some(ColourJitter { contrast: -1.0, ..jitter }), ..none },
            Augmentation { colour_jitter: Some(jitter), rand_augment: Some(RandAugment::default()), ..none },
            Augmentation { rand_augment: Some(RandAugment { layers: 0, ..RandAugment::default() }), ..none },
        ] {
            assert!(augmentation.check().is_err(), "{augmentation:?}");
        }
    }
}
