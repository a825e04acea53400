//! The command `bundle`: an ONNX classifier of any origin becomes a bundle, and a bundle one of the other form or with another
//! description of classes and pictures.

use std::fmt::Write as _;

use anyhow::{Context, bail, ensure};
use mimir_bundle::bundle::{Bundle, BundleFile, FileKind, MANIFEST};
use mimir_bundle::{ChannelOrder, Layout, shell_word};
use mimir_export::InputSpec;
use mimir_export::onnx::{Limits, check_bundled};
use mimir_export::package::{OnnxDescription, Package, package_onnx};

use crate::args::{BundleArgs, ChannelsArg, LayoutArg};
use crate::destination::{Destination, write_bundle};
use crate::failure::Failure;
use crate::numbers::ClassList;
use crate::options::{class_names, now, preprocessing, this_tool, typed_normalisation};

/// Makes the bundle, and returns the summary.
///
/// # Errors
/// Names the file or the flag.
pub(crate) fn bundle(args: &BundleArgs) -> Result<String, Failure> {
    let destination = Destination::new(&args.output)?;
    if let Destination::Model(..) = destination {
        return Err(anyhow::anyhow!("-o {}: name a folder or NAME.mimir", args.output.display()).into());
    }
    destination.check(args.force)?;
    if Bundle::is_at(&args.model) {
        return from_bundle(args, &destination);
    }
    let (count, class_names) = classes(args)?;
    let description = OnnxDescription {
        input: input(args)?,
        class_names,
        tool: this_tool(),
        created_at: Some(humantime::format_rfc3339_seconds(now()?).to_string()),
    };
    let rule = |image: mimir_bundle::ImageShape| preprocessing(&args.images, [image.height, image.width]);
    let package: Package = package_onnx(&args.model, description, rule).map_err(with_own_flag)?;
    let found = package.manifest.classes.count;
    if let Some(count) = count.filter(|count| *count != found) {
        return Err(anyhow::anyhow!("--classes {count}, but the model has {found} classes").into());
    }
    let bundle = Bundle::new(package.manifest, package.files)?;
    // What nobody would open is not written.
    check_bundled(&bundle, &Limits::default())?;
    write_bundle(&bundle, &destination)?;
    Ok(summary(&bundle, &destination))
}

/// Writes a bundle as a folder or as one file: the same files, with certificates and signature. With another description of
/// its classes or pictures it is a new bundle, which names this one as its parent.
fn from_bundle(args: &BundleArgs, destination: &Destination) -> Result<String, Failure> {
    let shown = args.model.display();
    if let Some(flag) = flag_of_the_file(args) {
        return Err(anyhow::anyhow!(
            "{flag} has no effect: {shown} is a bundle, and says already what its model takes and returns. To describe the model \
             anew, give its model.onnx"
        )
        .into());
    }
    let parent = Bundle::open(&args.model)?;
    check_bundled(&parent, &Limits::default()).with_context(|| format!("bundle {shown}"))?;
    let images = &args.images;
    let is_described = args.classes.is_some() || images.resize.is_some() || images.crop.is_some();
    let bundle = match is_described || images.interpolation.is_some() {
        true => described_anew(args, &parent)?,
        false => parent,
    };
    write_bundle(&bundle, destination)?;
    let mut text = summary(&bundle, destination);
    if is_described {
        let _ = writeln!(
            text,
            "note: certificates and signatures of {shown} are of another description, and stay there"
        );
    }
    Ok(text)
}

/// The model of that bundle with other names of classes, or another rule for pictures.
fn described_anew(args: &BundleArgs, parent: &Bundle) -> anyhow::Result<Bundle> {
    let mut manifest = parent.manifest().clone();
    let (count, names) = classes(args)?;
    let found = manifest.classes.count;
    if let Some(count) = count.filter(|count| *count != found) {
        bail!("--classes {count}, but the model has {found} classes");
    }
    manifest.classes.names = names.or(manifest.classes.names);
    let image = manifest.input.image;
    let rule = preprocessing(&args.images, [image.height, image.width])?;
    manifest.preprocessing = rule.or(manifest.preprocessing);
    manifest.provenance.parent = parent.file(MANIFEST).map(|file| file.digest().sha256.clone());
    manifest.provenance.tool = this_tool();
    manifest.provenance.created_at = Some(humantime::format_rfc3339_seconds(now()?).to_string());
    let of_model = |file: &&BundleFile| FileKind::of(file.name()).is_ok_and(FileKind::is_listed);
    let files = parent.files().filter(of_model).map(|file| (file.name().to_owned(), file.bytes().clone()));
    Ok(Bundle::new(manifest, files)?)
}

/// A flag that says what the ONNX file takes or returns, if one is given.
fn flag_of_the_file(args: &BundleArgs) -> Option<&'static str> {
    let given = [
        ("--mean", args.images.mean.is_some()),
        ("--std", args.images.std.is_some()),
        ("--input-shape", args.input_shape.is_some()),
        ("--layout", args.layout.is_some()),
        ("--channels", args.channels.is_some()),
        ("--output-name", args.output_name.is_some()),
    ];
    given.into_iter().find_map(|(flag, is_given)| is_given.then_some(flag))
}

/// The library names the flags of `mimir-certify`. Here `--output` is where the bundle goes.
fn with_own_flag(error: anyhow::Error) -> anyhow::Error {
    let text = format!("{error:#}");
    if text.contains("--output") { anyhow::anyhow!(text.replace("--output", "--output-name")) } else { error }
}

/// The number of classes, or their names.
fn classes(args: &BundleArgs) -> anyhow::Result<(Option<usize>, Option<Vec<String>>)> {
    match &args.classes {
        None => Ok((None, None)),
        Some(ClassList::Count(count)) => Ok((Some(*count), None)),
        Some(ClassList::File(path)) => {
            let names = class_names(path).with_context(|| format!("--classes {}", path.display()))?;
            Ok((None, Some(names)))
        }
    }
}

fn input(args: &BundleArgs) -> anyhow::Result<InputSpec> {
    if args.layout == Some(LayoutArg::Flat) {
        ensure!(args.input_shape.is_some(), "--layout flat needs --input-shape C,H,W");
    }
    if args.output_name.as_deref() == Some("") {
        bail!("--output-name is empty");
    }
    Ok(InputSpec {
        normalisation: typed_normalisation(&args.images)?,
        channel_order: match args.channels {
            None | Some(ChannelsArg::Rgb) => ChannelOrder::Rgb,
            Some(ChannelsArg::Bgr) => ChannelOrder::Bgr,
        },
        layout: args.layout.map(|layout| match layout {
            LayoutArg::Nchw => Layout::Nchw,
            LayoutArg::Nhwc => Layout::Nhwc,
            LayoutArg::Flat => Layout::Flat,
        }),
        image: args.input_shape.map(|shape| shape.0),
        output: args.output_name.clone(),
    })
}

fn summary(bundle: &Bundle, destination: &Destination) -> String {
    let path = destination.path();
    let manifest = bundle.manifest();
    let mut text = format!(
        "{}: images of {} x {} x {}, {} classes, scores in `{}`\n",
        path.display(),
        manifest.input.image.channels,
        manifest.input.image.height,
        manifest.input.image.width,
        manifest.classes.count,
        manifest.output,
    );
    for file in bundle.files() {
        let digest = file.digest();
        let _ = writeln!(text, "  {}: {} bytes, sha256 {}", digest.name, digest.bytes, digest.sha256);
    }
    let shown = shell_word(&path.display().to_string());
    let _ = writeln!(text, "next: mimir-certify {shown} --data … --norm linf --epsilon 8/255");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_the_flag_of_this_command() {
        let error =
            with_own_flag(anyhow::anyhow!("choose it with --output NAME, for example --output scores"));
        assert_eq!(error.to_string(), "choose it with --output-name NAME, for example --output-name scores");
        assert_eq!(with_own_flag(anyhow::anyhow!("no model")).to_string(), "no model");
    }
}
