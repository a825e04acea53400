//! Which images, and what is done to them before the model sees them.

use mimir_certify::{ErrorKind, ImageSource};
use mimir_data::augment::{Interpolation, Resize, Size, Transform};
use mimir_data::{ClassMap, DataSource, Preparation, ReadOptions, Sample, Split};

use crate::failure::{Failure, OrKind, failure};
use crate::settings::{InterpolationName, PictureSize, Settings, SplitName};

/// The images that the settings ask for.
///
/// # Errors
/// When none are named, a part is chosen in two ways or is empty, a size is out of range, or the class map cannot be read.
pub(super) fn images(settings: &Settings) -> Result<ImageSource, Failure> {
    let Some(source) = &settings.data else {
        return Err(usage(
            "no images: give --data, e.g. --data cifar10:FOLDER or --data npz:FILE, or with the key `data` \
             in mimir-certify.toml in the folder that the program is started in",
        ));
    };
    let split = match settings.split {
        Some(SplitName::Train) => Split::Train,
        Some(SplitName::Test) | None => Split::Test,
    };
    let source: DataSource = source.parse().or_kind(ErrorKind::Options)?;
    if split == Split::Train && !source.has_splits() {
        return Err(usage(format!(
            "--split train has no effect on {source}: name the training images by their path"
        )));
    }
    let sample = sample(settings)?;
    let transform = transform(settings)?;
    let classes =
        settings.class_map.as_deref().map(ClassMap::read).transpose().or_kind(ErrorKind::Options)?;
    let read = ReadOptions { split, first: settings.first };
    Ok(ImageSource { source, read, preparation: Preparation { sample, transform, classes } })
}

fn usage(message: impl std::fmt::Display) -> Failure {
    failure(ErrorKind::Options, message)
}

fn sample(settings: &Settings) -> Result<Option<Sample>, Failure> {
    match (settings.first, settings.sample) {
        (Some(0), _) => Err(usage("--first 0 selects no images: wanted at least 1")),
        (_, Some(0)) => Err(usage("--sample 0 selects no images: wanted at least 1")),
        (Some(_), Some(_)) => {
            Err(usage("--first and --sample both choose a part of the images: give one of them"))
        }
        (_, sample) => Ok(sample.map(|count| Sample { count, seed: settings.seed.unwrap_or_default() })),
    }
}

fn transform(settings: &Settings) -> Result<Option<Transform>, Failure> {
    let Settings { resize, crop, interpolation, .. } = settings;
    if resize.is_none() && crop.is_none() {
        return match interpolation {
            Some(_) => Err(usage("--interpolation has no effect without --resize")),
            None => Ok(None),
        };
    }
    let transform = Transform {
        resize: resize.map(|pixels| match pixels {
            PictureSize::Side(side) => Resize::ShorterSide(side),
            PictureSize::Both(height, width) => Resize::Exact(Size { height, width }),
        }),
        crop: crop.map(|pixels| match pixels {
            PictureSize::Side(side) => Size { height: side, width: side },
            PictureSize::Both(height, width) => Size { height, width },
        }),
        interpolation: match interpolation {
            Some(InterpolationName::Bicubic) => Interpolation::Bicubic,
            Some(InterpolationName::Bilinear) | None => Interpolation::Bilinear,
        },
    };
    transform.check().or_kind(ErrorKind::Options)?;
    Ok(Some(transform))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(change: impl FnOnce(&mut Settings)) -> Result<ImageSource, Failure> {
        let mut settings = Settings { data: Some("npz:images.npz".into()), ..Settings::default() };
        change(&mut settings);
        images(&settings)
    }

    #[test]
    fn parts_and_sizes_arrive() {
        let preparation = changed(|settings| {
            settings.sample = Some(60);
            settings.seed = Some(9);
            settings.resize = Some(PictureSize::Side(256));
            settings.crop = Some(PictureSize::Both(224, 192));
            settings.interpolation = Some(InterpolationName::Bicubic);
        });
        let preparation = preparation.unwrap().preparation;
        assert_eq!(preparation.sample, Some(Sample { count: 60, seed: 9 }));
        let transform = Transform {
            resize: Some(Resize::ShorterSide(256)),
            crop: Some(Size { height: 224, width: 192 }),
            interpolation: Interpolation::Bicubic,
        };
        assert_eq!(preparation.transform, Some(transform));
        assert_eq!(changed(|_| {}).unwrap().preparation, Preparation::default());
    }

    #[test]
    fn mistakes_name_the_flag() {
        type Change = fn(&mut Settings);
        let cases: [(Change, &str); 6] = [
            (|s| s.first = Some(0), "--first 0"),
            (|s| s.sample = Some(0), "--sample 0"),
            (|s| (s.first, s.sample) = (Some(3), Some(3)), "give one of them"),
            (|s| s.interpolation = Some(InterpolationName::Bicubic), "no effect without --resize"),
            (|s| s.resize = Some(PictureSize::Side(1 << 20)), "parameter `resize`"),
            (|s| s.class_map = Some("/nonexistent".into()), "/nonexistent: "),
        ];
        for (change, expected) in cases {
            let failure = changed(change).unwrap_err();
            assert!(failure.to_string().contains(expected), "{expected}: {failure}");
            assert_eq!(failure.kind, ErrorKind::Options, "{failure}");
        }
    }
}
