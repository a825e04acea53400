//! Reads and writes a manifest, and says what its fields may be.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::error::{BundleError, BundleErrorKind, Result};
use super::manifest::{
    BUNDLE_FORMAT, BUNDLE_VERSION, BundleManifest, Classes, FeatureTensor, InputFacts, Provenance,
};
use super::names::{FileKind, MANIFEST, MODEL, check_twins};
use crate::architecture::Architecture;
use crate::certificate::{Preprocessing, Resize};
use crate::manifest::{ImageShape, InvalidNormalisation, Normalisation};
use crate::strict_json;

/// The most pixels that a side of an image has.
const MOST_SIDE: usize = 1 << 16;
/// The most values that an image has.
const MOST_PIXELS: usize = 1 << 28;
/// The most classes.
const MOST_CLASSES: usize = 1 << 20;
/// The most bytes of a name or another word.
const MOST_TEXT: usize = 1 << 10;

/// The major version that this crate reads.
const MAJOR: u64 = 1;

impl BundleManifest {
    /// Reads and checks a manifest. The version is looked at before any other field.
    ///
    /// # Errors
    /// When the text is no JSON of this format, of another version, or a field has a value that it cannot have.
    pub fn from_json(text: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
            version: String,
        }
        let not_json = |error: serde_json::Error| BundleError::format(MANIFEST, error);
        let Head { format, version } = strict_json::from_slice(text).map_err(not_json)?;
        if format != BUNDLE_FORMAT {
            let message = format!("format is `{}`, wanted `{BUNDLE_FORMAT}`", format.escape_debug());
            return Err(BundleError::format(MANIFEST, message));
        }
        check_version(&version)?;
        let manifest: Self = serde_json::from_slice(text).map_err(not_json)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The text of `manifest.json`.
    ///
    /// # Errors
    /// When a field has a value that it cannot have.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        self.check()?;
        let mut text =
            serde_json::to_vec_pretty(self).map_err(|error| BundleError::format(MANIFEST, error))?;
        text.push(b'\n');
        Ok(text)
    }

    /// Checks every field.
    ///
    /// # Errors
    /// Names the field, what was found and what was wanted.
    pub fn check(&self) -> Result<()> {
        check(self)
    }
}

/// Checks that a version is one that this crate reads.
fn check_version(version: &str) -> Result<()> {
    let number = |text: &str| text.parse::<u64>().ok().filter(|number| number.to_string() == text);
    let parts = version.split_once('.').and_then(|(major, minor)| Some((number(major)?, number(minor)?)));
    match parts {
        // A later minor version only adds fields; one that uses them is refused for their names.
        Some((MAJOR, _)) => Ok(()),
        Some((major, _)) => Err(BundleError::new(
            BundleErrorKind::Version,
            MANIFEST,
            format!(
                "format version {version}: this program reads major version {MAJOR} and knows nothing of version {major}"
            ),
        )),
        None => Err(BundleError::format(
            MANIFEST,
            format!("version is `{}`, wanted MAJOR.MINOR, such as {BUNDLE_VERSION}", version.escape_debug()),
        )),
    }
}

fn check(manifest: &BundleManifest) -> Result<()> {
    let BundleManifest { format, architecture, input, preprocessing, output, classes, .. } = manifest;
    if format != BUNDLE_FORMAT {
        return refuse("format", format!("`{}`, wanted `{BUNDLE_FORMAT}`", format.escape_debug()));
    }
    check_input(input)?;
    architecture.as_ref().map_or(Ok(()), |known| check_architecture(known, input.image))?;
    preprocessing.as_ref().map_or(Ok(()), |rule| check_preprocessing(rule, input.image))?;
    check_text("output", output)?;
    check_classes(classes)?;
    check_features(&manifest.features, output)?;
    check_provenance(&manifest.provenance)?;
    check_files(manifest)
}

fn refuse(field: &str, message: impl std::fmt::Display) -> Result<()> {
    Err(BundleError::format(format_args!("{MANIFEST}: {field}"), message))
}

/// A word or name: something, not too long, without characters that a terminal acts on.
fn check_text(field: &str, text: &str) -> Result<()> {
    if text.is_empty() || text.len() > MOST_TEXT {
        return refuse(field, format!("has {} bytes, wanted 1 to {MOST_TEXT}", text.len()));
    }
    match text.chars().find(|character| character.is_control()) {
        Some(control) => refuse(field, format!("has the control character {control:?}")),
        None => Ok(()),
    }
}

fn check_range(field: &str, value: usize, most: usize) -> Result<()> {
    match (1..=most).contains(&value) {
        true => Ok(()),
        false => refuse(field, format!("{value}, wanted 1 to {most}")),
    }
}

fn check_architecture(architecture: &Architecture, image: ImageShape) -> Result<()> {
    architecture.check().or_else(|invalid| refuse("architecture", invalid))?;
    let side = architecture.image_size;
    match (image.height, image.width) == (side, side) {
        true => Ok(()),
        false => refuse(
            "architecture.image_size",
            format!("{side}, but input.image is {} x {}", image.height, image.width),
        ),
    }
}

fn check_input(input: &InputFacts) -> Result<()> {
    let InputFacts { image, range, normalisation, .. } = input;
    let ImageShape { channels, height, width } = *image;
    check_range("input.image.channels", channels, MOST_SIDE)?;
    check_range("input.image.height", height, MOST_SIDE)?;
    check_range("input.image.width", width, MOST_SIDE)?;
    let pixels = channels.checked_mul(height).and_then(|product| product.checked_mul(width));
    if pixels.is_none_or(|pixels| pixels > MOST_PIXELS) {
        return refuse("input.image", format!("more than {MOST_PIXELS} values"));
    }
    if *range != [0.0, 1.0] {
        return refuse("input.range", format!("{range:?}, wanted [0, 1]"));
    }
    normalisation.as_ref().map_or(Ok(()), |normalisation| check_normalisation(normalisation, channels))
}

fn check_normalisation(normalisation: &Normalisation, channels: usize) -> Result<()> {
    let Normalisation { scale, mean, std } = normalisation;
    if ![1.0, 255.0].contains(scale) {
        return refuse("input.normalisation.scale", format!("{scale}, wanted 1 or 255"));
    }
    if mean.len() != std.len() || (mean.len() != 1 && mean.len() != channels) {
        return refuse(
            "input.normalisation",
            format!("{} means and {} deviations, wanted {channels} of each, or one", mean.len(), std.len()),
        );
    }
    match normalisation.check() {
        Err(InvalidNormalisation { field, reason }) => {
            refuse(&format!("input.normalisation.{field}"), reason)
        }
        Ok(()) => Ok(()),
    }
}

fn check_preprocessing(rule: &Preprocessing, image: ImageShape) -> Result<()> {
    let sides: Vec<usize> = match rule.resize {
        None => Vec::new(),
        Some(Resize::ShorterSide(side)) => vec![side],
        Some(Resize::Exact(sides)) => sides.to_vec(),
    };
    for side in sides.into_iter().chain(rule.crop.into_iter().flatten()) {
        check_range("preprocessing", side, MOST_SIDE)?;
    }
    let wanted = [image.height, image.width];
    let result = match (rule.resize, rule.crop) {
        (None, None) => return refuse("preprocessing", "neither resizes nor crops: write null"),
        (_, Some(crop)) => Some(crop),
        (Some(Resize::Exact(sides)), None) => Some(sides),
        // Pictures that are not square keep their ratio.
        (Some(Resize::ShorterSide(side)), None) => (side != wanted[0].min(wanted[1])).then_some([side, side]),
    };
    match result.filter(|result| *result != wanted) {
        Some([height, width]) => refuse(
            "preprocessing",
            format!("makes images of {height} x {width}, but the input is {} x {}", wanted[0], wanted[1]),
        ),
        None => Ok(()),
    }
}

fn check_classes(classes: &Classes) -> Result<()> {
    let Classes { count, names } = classes;
    check_range("classes.count", *count, MOST_CLASSES)?;
    let Some(names) = names else { return Ok(()) };
    if names.len() != *count {
        return refuse("classes.names", format!("{} names of {count} classes", names.len()));
    }
    check_unique("classes.names", names.iter().map(String::as_str))
}

fn check_features(features: &[FeatureTensor], output: &str) -> Result<()> {
    check_unique("features", features.iter().map(|feature| feature.name.as_str()))?;
    for FeatureTensor { name, shape } in features {
        if name == output {
            return refuse("features", format!("`{name}` is the output with the scores"));
        }
        if let Some(side) = shape.iter().find(|side| !(1..=MOST_PIXELS).contains(*side)) {
            return refuse(
                "features",
                format!("`{name}` has a dimension of {side}, wanted 1 to {MOST_PIXELS}"),
            );
        }
    }
    Ok(())
}

fn check_unique<'t>(field: &str, names: impl Iterator<Item = &'t str>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for name in names {
        check_text(field, name)?;
        if !seen.insert(name) {
            return refuse(field, format!("`{name}` stands twice"));
        }
    }
    Ok(())
}

fn check_provenance(provenance: &Provenance) -> Result<()> {
    let Provenance { checkpoint, experiment, data, parent, tool, created_at } = provenance;
    for (field, digest) in [
        ("provenance.checkpoint", checkpoint),
        ("provenance.experiment", experiment),
        ("provenance.data", data),
        ("provenance.parent", parent),
    ] {
        digest.as_ref().map_or(Ok(()), |digest| check_digest(field, digest))?;
    }
    check_text("provenance.tool.name", &tool.name)?;
    check_text("provenance.tool.version", &tool.version)?;
    tool.commit.as_ref().map_or(Ok(()), |commit| check_text("provenance.tool.commit", commit))?;
    created_at.as_ref().map_or(Ok(()), |time| check_time("provenance.created_at", time))
}

fn check_time(field: &str, time: &str) -> Result<()> {
    match humantime::parse_rfc3339(time) {
        Ok(_) => Ok(()),
        Err(wrong) => refuse(
            field,
            format!("`{}`, wanted a time such as 2026-11-30T00:00:00Z ({wrong})", time.escape_debug()),
        ),
    }
}

fn check_digest(field: &str, digest: &str) -> Result<()> {
    if digest.len() == 64 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(());
    }
    refuse(field, format!("`{}` is not a SHA-256 digest in lowercase hexadecimal", digest.escape_debug()))
}

fn check_files(manifest: &BundleManifest) -> Result<()> {
    let names = || manifest.files.iter().map(|file| file.name.as_str());
    for file in &manifest.files {
        let kind = FileKind::of(&file.name).map_err(|error| error.within(MANIFEST))?;
        if !kind.is_listed() {
            return refuse("files", format!("lists {}: only the files of the model are listed", file.name));
        }
        kind.check_size(&file.name, file.bytes).map_err(|error| error.within(MANIFEST))?;
        check_digest(&format!("files: {}", file.name), &file.sha256)?;
    }
    check_twins(names()).map_err(|error| error.within(MANIFEST))?;
    if let Some((before, after)) = names().zip(names().skip(1)).find(|(before, after)| before > after) {
        return refuse("files", format!("{after} stands behind {before}: wanted ascending order"));
    }
    match names().any(|name| name == MODEL) {
        true => Ok(()),
        false => refuse("files", format!("does not list {MODEL}")),
    }
}
