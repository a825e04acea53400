//! From what was typed to what the library needs.

use std::path::Path;

use anyhow::{Context, anyhow, bail, ensure};
use mimir_bundle::certificate::{Interpolation, Preprocessing, Resize, Tool};
use mimir_bundle::checkpoint::CheckpointHeader;
use mimir_bundle::{Loss, Normalisation};
use mimir_export::network::{Network, Wanted};
use mimir_export::package::{NormalisationPlace, PackageOptions, Precision, WeightPlace};

use crate::args::{
    ExportArgs, ImageArgs, InterpolationArg, LossArg, NetworkArgs, NormalisationArg, PrecisionArg,
};
use crate::numbers::{ClassList, Numbers, PictureSize};

/// The largest level of an image.
const LEVELS: f64 = 255.0;

/// Most bytes of a file with names of classes.
const MOST_NAMES: u64 = 16 << 20;

/// What the user says about the network, and the names of its classes.
///
/// # Errors
/// When the file with the names cannot be used.
pub(crate) fn wanted(args: &NetworkArgs) -> anyhow::Result<(Wanted, Option<Vec<String>>)> {
    let (classes, names) = match &args.classes {
        None => (None, None),
        Some(ClassList::Count(count)) => (Some(*count), None),
        Some(ClassList::File(path)) => {
            let names = class_names(path).with_context(|| format!("--classes {}", path.display()))?;
            (Some(names.len()), Some(names))
        }
    };
    let wanted = Wanted {
        architecture: args.architecture.clone(),
        image_size: args.image_size,
        patch_size: args.patch_size,
        heads: args.heads,
        classes,
    };
    Ok((wanted, names))
}

/// One name a line.
pub(crate) fn class_names(path: &Path) -> anyhow::Result<Vec<String>> {
    let opened = mimir_files::open(path).context("is neither a number nor a file")?;
    let text = String::from_utf8(opened.read(MOST_NAMES)?).context("is not text in UTF-8")?;
    let names: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
    match names.iter().position(String::is_empty) {
        Some(line) => bail!("line {} is empty: wanted one name a line", line + 1),
        None => Ok(names),
    }
}

/// How the model is packaged.
///
/// # Errors
/// Names the flag.
pub(crate) fn package_options(
    args: &ExportArgs,
    header: Option<&CheckpointHeader>,
    network: &Network,
    names: Option<Vec<String>>,
    file_name: String,
) -> anyhow::Result<PackageOptions> {
    let stated = header.and_then(|header| header.class_names.clone());
    if let (Some(stated), Some(typed)) = (&stated, &names) {
        ensure!(stated == typed, "--classes: the names differ from those in the header of the checkpoint");
    }
    let normalisation = normalisation(&args.images, header)?;
    let place = match args.graph.normalisation {
        NormalisationArg::Manifest => NormalisationPlace::Manifest,
        NormalisationArg::Graph if normalisation.is_none() => {
            bail!("--normalisation graph: there is none: give --mean and --std")
        }
        NormalisationArg::Graph => NormalisationPlace::Graph,
    };
    Ok(PackageOptions {
        file_name,
        opset: args.graph.opset,
        precision: match args.graph.precision {
            PrecisionArg::Float32 => Precision::Float32,
            PrecisionArg::Float16 => Precision::Float16,
        },
        weights: if args.graph.external_data { WeightPlace::Beside } else { WeightPlace::BySize },
        normalisation,
        normalisation_place: place,
        preprocessing: preprocessing(&args.images, [network.architecture.image_size; 2])?,
        class_names: names.or(stated),
        features: args.graph.feature,
        gradients: losses(&args.graph.gradient),
        tool: this_tool(),
        created_at: Some(humantime::format_rfc3339_seconds(now()?).to_string()),
    })
}

/// Each once, in the order in which they were given.
fn losses(typed: &[LossArg]) -> Vec<Loss> {
    let mut losses = Vec::new();
    for loss in typed {
        let loss = match loss {
            LossArg::CrossEntropy => Loss::CrossEntropy,
            LossArg::Dlr => Loss::Dlr,
            LossArg::TargetedDlr => Loss::TargetedDlr,
            LossArg::Margin => Loss::Margin,
            LossArg::RelaxedMargin => Loss::RelaxedMargin,
        };
        if !losses.contains(&loss) {
            losses.push(loss);
        }
    }
    losses
}

/// `SOURCE_DATE_EPOCH` where it is set, as <https://reproducible-builds.org> asks, so that a bundle can be made again
/// byte by byte.
pub(crate) fn now() -> anyhow::Result<std::time::SystemTime> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => {
            let seconds = text.parse().ok().filter(|seconds| *seconds < 253_402_300_800_u64);
            let seconds =
                seconds.ok_or_else(|| anyhow!("SOURCE_DATE_EPOCH `{text}`: wanted seconds since 1970"))?;
            Ok(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds))
        }
        Err(_) => Ok(std::time::SystemTime::now()),
    }
}

/// This program, its version, and the commit that it was built from, where it was built in a checkout.
pub(crate) fn this_tool() -> Tool {
    Tool {
        name: "mimir-export".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        commit: option_env!("MIMIR_COMMIT").filter(|commit| !commit.is_empty()).map(Into::into),
    }
}

/// The normalisation of the flags or of the header, which must not contradict each other.
fn normalisation(
    args: &ImageArgs,
    header: Option<&CheckpointHeader>,
) -> anyhow::Result<Option<Normalisation>> {
    let typed = typed_normalisation(args)?;
    if let Some(Normalisation { mean, .. }) = &typed {
        ensure!(matches!(mean.len(), 1 | 3), "--mean has {} values: wanted 1 or 3", mean.len());
    }
    match (typed, header) {
        (typed, None) => Ok(typed),
        (None, Some(header)) => Ok(header.normalisation.clone()),
        (Some(typed), Some(header)) if header.normalisation.as_ref() == Some(&typed) => Ok(Some(typed)),
        (Some(_), Some(header)) => {
            let says = match &header.normalisation {
                Some(stated) => format!("mean {:?} and deviation {:?}", stated.mean, stated.std),
                None => "that pixels in [0, 1] are taken as they are".to_owned(),
            };
            bail!("--mean and --std contradict the header of the checkpoint, which says {says}: omit them")
        }
    }
}

/// The normalisation of the flags.
///
/// # Errors
/// Names the flag.
pub(crate) fn typed_normalisation(args: &ImageArgs) -> anyhow::Result<Option<Normalisation>> {
    match (&args.mean, &args.std) {
        (None, None) => Ok(None),
        (Some(mean), Some(std)) => of_numbers(mean, std).map(Some),
        (Some(_), None) => bail!("--mean without --std: give both, or --std 1 to subtract only"),
        (None, Some(_)) => bail!("--std without --mean: give both, or --mean 0 to divide only"),
    }
}

/// Numbers for pixels in `[0, 1]`, or for levels where a mean can only be one of levels.
fn of_numbers(Numbers(mean): &Numbers, Numbers(std): &Numbers) -> anyhow::Result<Normalisation> {
    ensure!(
        mean.len() == std.len(),
        "--mean has {} values and --std {}: give one per channel, or a single one",
        mean.len(),
        std.len()
    );
    if let Some(value) = std.iter().find(|value| **value <= 0.0) {
        bail!("--std {value}: wanted positive numbers");
    }
    if let Some(value) = mean.iter().find(|value| value.abs() > LEVELS) {
        bail!("--mean {value} is outside the range of a pixel");
    }
    let of_levels = mean.iter().any(|mean| mean.abs() > 1.0);
    if of_levels && std.iter().any(|std| *std < 1.0) || !of_levels && std.iter().any(|std| *std > 1.0) {
        bail!(
            "--mean and --std do not belong together: give both for pixels in [0, 1], such as --mean 0.485 --std 0.229, \
             or both for levels of 0 to 255, such as --mean 123.675 --std 58.395"
        );
    }
    let scale = if of_levels { LEVELS } else { 1.0 };
    Ok(Normalisation { scale, mean: mean.clone(), std: std.clone() })
}

/// How a picture of another size becomes the input.
///
/// # Errors
/// Names the flag.
pub(crate) fn preprocessing(args: &ImageArgs, wanted: [usize; 2]) -> anyhow::Result<Option<Preprocessing>> {
    let [high, wide] = wanted;
    let side =
        |[high, wide]: [usize; 2]| if high == wide { high.to_string() } else { format!("{high}x{wide}") };
    if args.resize.is_none() && args.crop.is_none() {
        ensure!(args.interpolation.is_none(), "--interpolation has no effect without --resize");
        return Ok(None);
    }
    let resize = args.resize.map(|size| match size {
        PictureSize::Side(side) => Resize::ShorterSide(side),
        PictureSize::Both(height, width) => Resize::Exact([height, width]),
    });
    let crop = args.crop.map(|size| match size {
        PictureSize::Side(side) => [side, side],
        PictureSize::Both(height, width) => [height, width],
    });
    let result = crop.or(match resize {
        Some(Resize::Exact(size)) => Some(size),
        Some(Resize::ShorterSide(_)) | None => None,
    });
    match result {
        None => bail!("--resize to a shorter side leaves rectangles: give --crop {} too", side(wanted)),
        Some(size) if size != wanted => {
            let [height, width] = size;
            bail!("--resize and --crop make {height} x {width} pixels, but the network takes {high} x {wide}")
        }
        Some(_) => {}
    }
    let interpolation = match args.interpolation {
        Some(InterpolationArg::Bicubic) => Interpolation::Bicubic,
        Some(InterpolationArg::Bilinear) | None => Interpolation::Bilinear,
    };
    Ok(Some(Preprocessing { resize, crop, interpolation }))
}
