//! Images and their counterexamples from the files of a report, to be shown. Nothing is run.

use std::collections::BTreeMap;
use std::path::Path;

use mimir_bundle::{ImageShape, ThreatModel};
use mimir_data::{DataSource, ReadOptions};
use mimir_runtime::ball::Ball;
use mimir_runtime::evaluate::{Images as _, Verdict};
use mimir_runtime::report::Report;
use ndarray::ArrayView1;

use crate::counterexamples::{CounterexampleError, StoredCounterexamples};
use crate::error::{Error, ErrorKind, OptionName, OrKind, Result, with_causes};
use crate::images::{OpenedImages, recorded_preparation, recorded_split};
use crate::options::ImageSource;
use crate::report_folder::ADVERSARIAL;

/// Bytes of counterexamples that are unpacked at most in search of those that are wanted.
const MOST_BYTES: usize = 1 << 30;

/// How far a distance may be from the one that a report has, relative to the radius: floats were added otherwise.
const TOLERANCE: f64 = 1e-4;

/// An image and its counterexample, both `[C, H, W]` in `[0, 1]`.
#[derive(Debug, Clone, PartialEq)]
pub struct PixelPair {
    /// Position of the image in the evaluation set.
    pub image: usize,
    /// The image as it is.
    pub original: Vec<f32>,
    /// Its counterexample.
    pub adversarial: Vec<f32>,
}

/// The pixels of some images of a checked report and of their counterexamples in its folder. `source` says where the images
/// are, if not where the report says.
///
/// A pair is only read out where the two are as far from each other as the report says: so no file of somebody else gets
/// onto a page because a report names it.
///
/// # Errors
/// [`ErrorKind::Data`] when there are no counterexamples, they or the images cannot be read, or these are other images.
pub fn read_pairs(
    folder: &Path,
    report: &Report,
    wanted: &[usize],
    source: Option<DataSource>,
) -> Result<Vec<PixelPair>> {
    let shape = report.model.manifest.image;
    let adversarial = counterexamples(&folder.join(ADVERSARIAL), shape, report.images, wanted)?;
    let mut images = open_images(report, source)?;
    images.take_channels(shape.channels);
    if images.count() != report.images || images.pixels() != shape.pixels() {
        return Err(other_images(report));
    }
    let mut pairs = Vec::new();
    for (image, adversarial) in adversarial {
        let mut original = vec![0.0; shape.pixels()];
        images.read(image, &mut original).or_kind(ErrorKind::Data)?;
        let pair = PixelPair { image, original, adversarial };
        if !is_recorded(&pair, report)? {
            return Err(other_images(report));
        }
        pairs.push(pair);
    }
    Ok(pairs)
}

/// Whether the two are as far from each other as the report says.
fn is_recorded(pair: &PixelPair, report: &Report) -> Result<bool> {
    let threat_model: &ThreatModel = &report.threat_model;
    let ball = Ball::new(threat_model).or_kind(ErrorKind::Data)?;
    let Some(Verdict::Broken { distance, .. }) =
        report.outcomes.get(pair.image).map(|outcome| &outcome.verdict)
    else {
        return Ok(false);
    };
    let found = ball.distance(&pair.original, &pair.adversarial);
    Ok((found - distance).abs() <= TOLERANCE * threat_model.epsilon)
}

fn open_images(report: &Report, source: Option<DataSource>) -> Result<OpenedImages> {
    let recorded = &report.data;
    let source = match source {
        Some(source) => source,
        None => recorded.source.parse().or_kind(ErrorKind::Data)?,
    };
    let read = ReadOptions { split: recorded_split(recorded)?, first: recorded.first };
    OpenedImages::open(&ImageSource { source, read, preparation: recorded_preparation(recorded)? })
}

fn other_images(report: &Report) -> Error {
    let message = format!("{}: these are not the images of the report", report.data.source.escape_debug());
    Error::new(ErrorKind::Data, message).about(OptionName::ReplayImages)
}

/// The counterexamples of the wanted images, as far as they are stored.
fn counterexamples(
    path: &Path,
    shape: ImageShape,
    images: usize,
    wanted: &[usize],
) -> Result<BTreeMap<usize, Vec<f32>>> {
    let data_error = |what: String| Error::new(ErrorKind::Data, format!("{}: {what}", path.display()));
    let file = mimir_files::open_unlinked(path).map_err(|error| data_error(error.to_string()))?;
    read_wanted(file.file, path, shape, images, wanted).map_err(|error| data_error(with_causes(&error)))
}

fn read_wanted(
    file: std::fs::File,
    path: &Path,
    shape: ImageShape,
    images: usize,
    wanted: &[usize],
) -> std::result::Result<BTreeMap<usize, Vec<f32>>, CounterexampleError> {
    let mut stored = StoredCounterexamples::open(file, path, shape, images)?;
    let indices = stored.records()?.indices;
    let mut found = BTreeMap::new();
    let rows = (MOST_BYTES / (4 * shape.pixels().max(1))).max(1);
    let last = indices.iter().take(rows).rposition(|image| wanted.contains(image));
    let Some(last) = last else { return Ok(found) };
    let mut parts = stored.pixels()?;
    for image in &indices[..=last] {
        let Some(part) = parts.next(1)? else { break };
        if wanted.contains(image) {
            let pixels = part.rows().into_iter().next();
            let in_range = |row: ArrayView1<'_, f32>| row.iter().map(|value| value.clamp(0.0, 1.0)).collect();
            found.insert(*image, pixels.map(in_range).unwrap_or_default());
        }
    }
    Ok(found)
}
