//! The command `bundle`: an ONNX classifier of any origin becomes a bundle.

use std::fmt::Write as _;

use anyhow::{Context, bail, ensure};
use mimir_bundle::bundle::Bundle;
use mimir_bundle::{ChannelOrder, Layout};
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
    let (count, class_names) = classes(args)?;
    let description = OnnxDescription {
        input: input(args)?,
        class_names,
        tool: this_tool(),
        created_at: Some(humantime::format_rfc3339_seconds(now()?).to_string()),
    };
    let rule = |image: mimir_bundle::ImageShape| preprocessing(&args.images, [image.height, image.width]);
    let package: Package = package_onnx(&args.model, description, rule)?;
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
            ChannelsArg::Rgb => ChannelOrder::Rgb,
            ChannelsArg::Bgr => ChannelOrder::Bgr,
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
    let _ = writeln!(text, "next: mimir-certify {} --data … --norm linf --epsilon 8/255", path.display());
    text
}
