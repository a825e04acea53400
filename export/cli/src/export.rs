//! The command `export`: a checkpoint becomes a bundle or an ONNX file.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Context;
use bytes::Bytes;
use mimir_bundle::bundle::Bundle;
use mimir_bundle::digest::FileDigest;
use mimir_bundle::{one_line, shell_word};
use mimir_export::network::{Checkpoint, Network, describe};
use mimir_export::onnx::{Limits, check_bundled};
use mimir_export::package::{Package, PackageOptions, package};

use crate::args::ExportArgs;
use crate::destination::{Destination, write_bundle, write_files};
use crate::failure::Failure;
use crate::options::{package_options, wanted};

/// Exports, and returns the summary.
///
/// # Errors
/// Names the file, the key or the flag.
pub(crate) fn export(args: &ExportArgs) -> Result<String, Failure> {
    let path = args.checkpoint.as_deref().context("no checkpoint: give a safetensors file")?;
    let destination = Destination::new(args.output.as_deref().context("-o PATH is missing")?)?;
    destination.check(args.force)?;
    let is_model = matches!(destination, Destination::Model(..));
    if is_model && !args.graph.gradient.is_empty() {
        return Err(anyhow::anyhow!("--gradient needs a bundle: -o FOLDER or -o NAME.mimir").into());
    }
    let (wanted, names) = wanted(&args.network)?;
    let checkpoint = Checkpoint::read(path)?;
    let network = describe(&checkpoint, &wanted).map_err(|error| error.at_file(path))?;
    let header = checkpoint.header.as_ref();
    let options = package_options(args, header, &network, names, destination.file_name())?;
    if options.normalisation.is_none() && header.is_none() {
        warn(
            "no normalisation: the checkpoint does not say one, so the model takes pixels in [0, 1] as they are; \
              timm's models want --mean and --std",
        );
    }
    let digest = checkpoint.digest.clone();
    let package = package(checkpoint, &network, &options).map_err(|error| error.at_file(path))?;
    let parameters = package.parameters;
    let files = write(package, &destination)?;
    Ok(summary(&destination, &network, &options, parameters, &digest, &files))
}

/// Writes the package, and returns what was written.
fn write(package: Package, destination: &Destination) -> Result<Vec<FileDigest>, Failure> {
    let digests = |files: &[(String, Bytes)]| -> Vec<FileDigest> {
        files.iter().map(|(name, bytes)| FileDigest::new(name.as_str(), bytes)).collect()
    };
    if let Destination::Model(folder, _) = destination {
        write_files(&package.files, folder)?;
        return Ok(digests(&package.files));
    }
    let bundle = Bundle::new(package.manifest, package.files)?;
    // What nobody would open is not written.
    check_bundled(&bundle, &Limits::default())?;
    write_bundle(&bundle, destination)?;
    Ok(bundle.files().map(|file| file.digest().clone()).collect())
}

fn warn(message: &str) {
    let _ = writeln!(std::io::stderr().lock(), "warning: {}", one_line(message));
}

fn summary(
    destination: &Destination,
    network: &Network,
    options: &PackageOptions,
    parameters: usize,
    checkpoint: &FileDigest,
    files: &[FileDigest],
) -> String {
    let architecture = &network.architecture;
    let path = destination.path();
    let mut text = format!(
        "{}: {}, width {}, depth {}, {} heads, {side} x {side} pixels in patches of {}, {} classes, {parameters} parameters\n",
        path.display(),
        architecture.family.name(),
        architecture.width,
        architecture.depth,
        architecture.heads,
        architecture.patch_size,
        network.classes,
        side = architecture.image_size,
    );
    let _ = writeln!(text, "  from {}: sha256 {}", checkpoint.name, checkpoint.sha256);
    for FileDigest { name, bytes, sha256 } in files {
        let _ = writeln!(text, "  {name}: {bytes} bytes, sha256 {sha256}");
    }
    let flags = match (destination, &options.normalisation) {
        (Destination::Model(..), Some(_)) => " --mean … --std …",
        _ => "",
    };
    let model = shell_word(&path.display().to_string());
    let _ = writeln!(text, "next: mimir-certify {model} --data …{flags} --norm linf --epsilon 8/255");
    text
}
