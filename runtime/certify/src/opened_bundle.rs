//! Opens bundles: for every command in the same way.
//!
//! [`Bundle::open`] knows names, sizes, digests and certificates. What stands in the ONNX files is checked here, so that no
//! command signs, describes or judges a model that is none.

use std::io::Read;
use std::path::Path;

use mimir_bundle::bundle::{Bundle, BundleError};
use mimir_bundle::shell_word;
use mimir_export::onnx::{Limits, check_bundled};

use crate::error::{Error, ErrorKind, OrKind, Result};

/// What the bytes of ZIP archives begin with.
const ZIP: [u8; 4] = *b"PK\x03\x04";

/// Opens a bundle, and checks all of it.
///
/// # Errors
/// [`ErrorKind::Model`]: names the path, the file in the bundle, what was found there and what was wanted.
pub(crate) fn open_bundle(path: &Path) -> Result<Bundle> {
    expect_bundle(path)?;
    let bundle = Bundle::open(path).or_kind(ErrorKind::Model)?;
    check_graphs(&bundle).map_err(|error| Error::new(ErrorKind::Model, error).context(path.display()))?;
    Ok(bundle)
}

/// Checks the ONNX files of a bundle that was opened: see [`check_bundled`].
///
/// # Errors
/// Names the file.
pub(crate) fn check_graphs(bundle: &Bundle) -> std::result::Result<(), mimir_export::Error> {
    check_bundled(bundle, &Limits::default())
}

/// The error of [`check_graphs`] as one of the bundle.
pub(crate) fn expect_graphs(bundle: &Bundle) -> std::result::Result<(), BundleError> {
    check_graphs(bundle).map_err(|error| {
        // It begins with the name of the file.
        let text = error.to_string();
        let (place, message) = text.split_once(": ").unwrap_or(("graphs", &text));
        BundleError::mismatch(place, message)
    })
}

/// Checks that a path may be that of a bundle, before it is read as an archive.
///
/// # Errors
/// [`ErrorKind::Model`], when it is a file of another kind.
pub(crate) fn expect_bundle(path: &Path) -> Result<()> {
    if Bundle::is_at(path) || !path.is_file() || begins_as_archive(path) {
        return Ok(());
    }
    let is_onnx = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"));
    let shown = path.display();
    let message = match is_onnx {
        true => format!(
            "{shown}: is an ONNX file, wanted a bundle, a folder or a .mimir file: `mimir-export bundle {} -o bundle/` \
             makes one",
            shell_word(&shown.to_string())
        ),
        false => format!("{shown}: is no bundle, wanted a folder with manifest.json or a .mimir file"),
    };
    Err(Error::new(ErrorKind::Model, message))
}

/// Checks that a path that is not named as a bundle is not one.
///
/// # Errors
/// [`ErrorKind::Model`], when it is a ZIP archive.
pub(crate) fn expect_no_archive(path: &Path) -> Result<()> {
    if Bundle::is_at(path) || !path.is_file() || !begins_as_archive(path) {
        return Ok(());
    }
    let message = format!(
        "{}: is a ZIP archive, wanted an ONNX file or a bundle: the name of a bundle in one file ends in .mimir",
        path.display()
    );
    Err(Error::new(ErrorKind::Model, message))
}

fn begins_as_archive(path: &Path) -> bool {
    let mut found = [0; 4];
    mimir_files::open(path).and_then(|mut opened| opened.file.read_exact(&mut found)).is_ok() && found == ZIP
}
