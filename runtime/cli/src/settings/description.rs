//! The description of a model in its bundle, as settings: what it says holds, and a setting that says otherwise is an
//! error.
//!
//! A bundle is its maker's. As a settings file beside a model, it only describes the model; it has no words for attacks,
//! gates, radii and paths.

use anyhow::{Result, bail};
use mimir_bundle::bundle::BundleManifest;
use mimir_bundle::certificate::{Interpolation, Preprocessing, Resize, SettingsFile};
use mimir_bundle::{ChannelOrder, ImageShape, Layout, Normalisation};

use super::{ChannelsName, Fraction, InterpolationName, LayoutName, PictureSize, Settings};

/// Who gave a setting: a file, or else a flag.
pub(super) struct Said<'f> {
    pub(super) files: &'f [SettingsFile],
}

impl Said<'_> {
    /// `--mean 0.4`, or `mean 0.4 in mimir-certify.toml`.
    fn of(&self, name: &str, value: &str) -> String {
        match self.files.iter().find(|file| file.keys.iter().any(|key| key == name)) {
            Some(file) => format!("{name} {value} in {}", file.path),
            None => format!("--{name} {value}"),
        }
    }
}

/// The settings with what the manifest at `place` says; those that say nothing of the model are as they were.
///
/// # Errors
/// When a setting contradicts the manifest: names both.
pub(super) fn described(
    settings: Settings,
    manifest: &BundleManifest,
    place: &str,
    said: &Said<'_>,
) -> Result<Settings> {
    let description = description(manifest);
    let input_shape = settings.input_shape.clone().map(without_batch);
    agree(said, place, "mean", settings.mean.as_ref(), description.mean.as_ref(), same_numbers, list)?;
    agree(said, place, "std", settings.std.as_ref(), description.std.as_ref(), same_numbers, list)?;
    agree(
        said,
        place,
        "channels",
        settings.channels.as_ref(),
        description.channels.as_ref(),
        PartialEq::eq,
        word,
    )?;
    agree(said, place, "layout", settings.layout.as_ref(), description.layout.as_ref(), PartialEq::eq, word)?;
    agree(
        said,
        place,
        "input-shape",
        input_shape.as_ref(),
        description.input_shape.as_ref(),
        PartialEq::eq,
        sizes,
    )?;
    agree(
        said,
        place,
        "output",
        settings.output.as_ref(),
        description.output.as_ref(),
        PartialEq::eq,
        Clone::clone,
    )?;
    agree(said, place, "resize", settings.resize.as_ref(), description.resize.as_ref(), same_resize, shown)?;
    agree(said, place, "crop", settings.crop.as_ref(), description.crop.as_ref(), same_crop, shown)?;
    let (given, known) = (settings.interpolation.as_ref(), description.interpolation.as_ref());
    agree(said, place, "interpolation", given, known, PartialEq::eq, word)?;
    Ok(description.or(settings))
}

/// A setting that is given is the one that the manifest has.
fn agree<T>(
    said: &Said<'_>,
    place: &str,
    name: &str,
    given: Option<&T>,
    known: Option<&T>,
    same: impl Fn(&T, &T) -> bool,
    shown: impl Fn(&T) -> String,
) -> Result<()> {
    let Some(given) = given else { return Ok(()) };
    match known {
        Some(known) if same(given, known) => Ok(()),
        Some(known) => {
            bail!(
                "{} contradicts {place}, which says {}; omit it",
                said.of(name, &shown(given)),
                shown(known)
            )
        }
        None => bail!("{} contradicts {place}, which has none; omit it", said.of(name, &shown(given))),
    }
}

/// What a manifest says, in the words of the flags.
fn description(manifest: &BundleManifest) -> Settings {
    let input = &manifest.input;
    let ImageShape { channels, height, width } = input.image;
    let numbers = |values: &[f64]| values.iter().copied().map(Fraction::decimal).collect();
    let normalisation = input.normalisation.as_ref();
    let rule = manifest.preprocessing;
    Settings {
        mean: normalisation.map(|Normalisation { mean, .. }| numbers(mean)),
        std: normalisation.map(|Normalisation { std, .. }| numbers(std)),
        channels: Some(match input.channel_order {
            ChannelOrder::Rgb => ChannelsName::Rgb,
            ChannelOrder::Bgr => ChannelsName::Bgr,
        }),
        layout: Some(match input.layout {
            Layout::Nchw => LayoutName::Nchw,
            Layout::Nhwc => LayoutName::Nhwc,
            Layout::Flat => LayoutName::Flat,
        }),
        input_shape: Some(vec![channels, height, width]),
        output: Some(manifest.output.clone()),
        resize: rule.and_then(|rule| rule.resize).map(|resize| match resize {
            Resize::ShorterSide(side) => PictureSize::Side(side),
            Resize::Exact([height, width]) => PictureSize::Both(height, width),
        }),
        crop: rule.and_then(|rule| rule.crop).map(|[height, width]| PictureSize::Both(height, width)),
        interpolation: rule.and_then(interpolation),
        ..Settings::default()
    }
}

/// The filter; without resizing there is nothing to filter.
fn interpolation(rule: Preprocessing) -> Option<InterpolationName> {
    rule.resize.map(|_| match rule.interpolation {
        Interpolation::Bilinear => InterpolationName::Bilinear,
        Interpolation::Bicubic => InterpolationName::Bicubic,
    })
}

/// One value stands for all channels.
#[expect(clippy::ptr_arg, reason = "compares values of the setting's own type")]
fn same_numbers(given: &Vec<Fraction>, known: &Vec<Fraction>) -> bool {
    let count = given.len().max(known.len());
    let value = |numbers: &[Fraction], index: usize| {
        let one = numbers.len() == 1;
        numbers.get(if one { 0 } else { index }).map(Fraction::value)
    };
    (0..count).all(|index| value(given, index) == value(known, index))
}

/// `--resize 224` is the shorter side, and no square.
fn same_resize(given: &PictureSize, known: &PictureSize) -> bool {
    given == known
}

/// `--crop 224` is a square.
fn same_crop(given: &PictureSize, known: &PictureSize) -> bool {
    let sides = |size: &PictureSize| match *size {
        PictureSize::Side(side) => (side, side),
        PictureSize::Both(height, width) => (height, width),
    };
    sides(given) == sides(known)
}

/// `--input-shape` may begin with the batch.
fn without_batch(sizes: Vec<usize>) -> Vec<usize> {
    if sizes.len() == 4 { sizes[1..].to_vec() } else { sizes }
}

#[expect(clippy::ptr_arg, reason = "shows a value of the setting's own type")]
fn list(numbers: &Vec<Fraction>) -> String {
    numbers.iter().map(|number| number.value().to_string()).collect::<Vec<_>>().join(",")
}

#[expect(clippy::ptr_arg, reason = "shows a value of the setting's own type")]
fn sizes(sizes: &Vec<usize>) -> String {
    sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn shown(size: &PictureSize) -> String {
    size.to_string()
}

fn word(name: &impl clap::ValueEnum) -> String {
    name.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
