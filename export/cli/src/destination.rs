//! Where an export goes, and what may be replaced there.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use mimir_bundle::bundle::{Bundle, BundleManifest, CERTIFICATES, EXTENSION, FileKind, MANIFEST};
use tempfile::{Builder, TempDir};

/// Ends of the names of files that an export does not write, and that nobody gives a folder.
const OF_OTHER_FILES: [&str; 20] = [
    "7z",
    "bin",
    "ckpt",
    "data",
    "gz",
    "h5",
    "json",
    "keras",
    "npy",
    "npz",
    "onnx_data",
    "pb",
    "pkl",
    "pt",
    "pth",
    "safetensors",
    "tar",
    "tflite",
    "toml",
    "zip",
];

/// The beginning of the names of files that are being written.
const TEMPORARY: &str = ".mimir-writing-";

/// Where an export goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    /// The folder of a bundle.
    Folder(PathBuf),
    /// A bundle in one file.
    Archive(PathBuf),
    /// The model alone, by its folder and name.
    Model(PathBuf, String),
}

impl Destination {
    /// What a path asks for.
    ///
    /// # Errors
    /// When it has no name that a model can have.
    pub(crate) fn new(path: &Path) -> anyhow::Result<Self> {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let lower = extension.to_ascii_lowercase();
        ensure!(
            extension == EXTENSION || !(lower == EXTENSION || OF_OTHER_FILES.contains(&lower.as_str())),
            "-o {}: wanted a folder or NAME.{EXTENSION} for a bundle, or NAME.onnx for the model alone",
            path.display()
        );
        Ok(match extension {
            EXTENSION => Self::Archive(path.to_owned()),
            _ if lower == "onnx" => {
                let name = path.file_name().and_then(|name| name.to_str());
                let name =
                    name.with_context(|| format!("-o {}: a name that is not UTF-8", path.display()))?;
                Self::Model(parent(path), name.to_owned())
            }
            _ => Self::Folder(path.to_owned()),
        })
    }

    /// The name of the model's file.
    pub(crate) fn file_name(&self) -> String {
        match self {
            Self::Model(_, name) => name.clone(),
            _ => mimir_bundle::bundle::MODEL.to_owned(),
        }
    }

    /// Refuses, before any work is done, what must not be replaced.
    ///
    /// # Errors
    /// Says what is there and what to do.
    pub(crate) fn check(&self, force: bool) -> anyhow::Result<()> {
        let path = self.path();
        if let Self::Model(folder, name) = self {
            let data = folder.join(format!("{name}.data"));
            let is_there = fs::symlink_metadata(&data).is_ok();
            ensure!(force || !is_there, "{} is there: --force replaces it", data.display());
        }
        let Ok(metadata) = fs::symlink_metadata(&path) else { return Ok(()) };
        let shown = path.display();
        match self {
            Self::Folder(_) if !metadata.is_dir() => {
                bail!("{shown} is there and is no folder: name another path")
            }
            Self::Folder(path) if is_empty(path)? => Ok(()),
            Self::Folder(path) => {
                ensure!(
                    is_bundle(path),
                    "{shown} is a folder that is no bundle: name another path, or remove it"
                );
                ensure!(
                    force,
                    "{shown} is there: --force replaces it, its certificates and signature included"
                );
                Ok(())
            }
            Self::Archive(_) | Self::Model(..) => {
                ensure!(metadata.is_file(), "{shown} is there and is no file: name another path");
                ensure!(force, "{shown} is there: --force replaces it");
                Ok(())
            }
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> PathBuf {
        match self {
            Self::Folder(path) | Self::Archive(path) => path.clone(),
            Self::Model(folder, name) => folder.join(name),
        }
    }
}

/// Writes a bundle; what is there is replaced as a whole.
///
/// # Errors
/// When it cannot be written: what was there is there still.
pub(crate) fn write_bundle(bundle: &Bundle, destination: &Destination) -> anyhow::Result<()> {
    let path = destination.path();
    if fs::symlink_metadata(&path).is_err() || path.is_dir() && is_empty(&path)? {
        return Ok(bundle.write_new(&path)?);
    }
    let beside = temporary_beside(&path)?;
    let new = beside.path().join(path.file_name().unwrap_or_default());
    bundle.write_new(&new)?;
    let replaced = if path.is_dir() { exchange(&path, &new, beside.path()) } else { fs::rename(&new, &path) };
    replaced.with_context(|| format!("{} cannot be replaced", path.display()))
}

/// Puts a folder in the place of another, which cannot be renamed over: it goes into `aside` first, and back where that
/// was in vain.
fn exchange(path: &Path, new: &Path, aside: &Path) -> std::io::Result<()> {
    let before = aside.join("before");
    fs::rename(path, &before)?;
    fs::rename(new, path).or_else(|error| fs::rename(&before, path).and(Err(error)))
}

/// Writes the files of a model; the model itself last, so that its weights are there when it is. A data file of the model
/// before, which this one does not have, is removed.
///
/// # Errors
/// When one cannot be written.
pub(crate) fn write_files(files: &[(String, Bytes)], folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for (name, bytes) in files.iter().rev() {
        let path = folder.join(name);
        let written = mimir_files::replace_with(&path, TEMPORARY, |file| file.write_all(bytes));
        written.with_context(|| format!("{} cannot be written", path.display()))?;
    }
    let Some((name, _)) = files.first() else { return Ok(()) };
    let data = format!("{name}.data");
    let path = folder.join(&data);
    if files.iter().all(|(name, _)| *name != data) && fs::symlink_metadata(&path).is_ok() {
        fs::remove_file(&path).with_context(|| format!("{} cannot be removed", path.display()))?;
    }
    Ok(())
}

fn temporary_beside(path: &Path) -> anyhow::Result<TempDir> {
    let folder = parent(path);
    let made = Builder::new().prefix(TEMPORARY).tempdir_in(&folder);
    made.with_context(|| format!("{} cannot be written", folder.display()))
}

/// Whether a folder has a bundle's manifest, and nothing that no bundle has.
fn is_bundle(folder: &Path) -> bool {
    let manifest = folder.join(MANIFEST);
    let is_known = |entry: std::io::Result<fs::DirEntry>| {
        let name = entry.ok().and_then(|entry| entry.file_name().into_string().ok());
        name.is_some_and(|name| name == CERTIFICATES || FileKind::of(&name).is_ok())
    };
    let is_certificate = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.ok().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
        let name = entry.and_then(|entry| entry.file_name().into_string().ok());
        name.is_some_and(|name| FileKind::of(&format!("{CERTIFICATES}/{name}")).is_ok())
    };
    let certificates = folder.join(CERTIFICATES);
    let has_certificates_only = !certificates.exists()
        || fs::read_dir(&certificates).is_ok_and(|mut entries| entries.all(is_certificate));
    let text = mimir_files::read_unlinked(&manifest, FileKind::Manifest.most_bytes());
    text.is_ok_and(|text| BundleManifest::from_json(&text).is_ok())
        && fs::read_dir(folder).is_ok_and(|mut entries| entries.all(is_known))
        && has_certificates_only
}

fn is_empty(folder: &Path) -> anyhow::Result<bool> {
    let mut entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    Ok(entries.next().is_none())
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_what_is_written() {
        let of = |path: &str| Destination::new(Path::new(path));
        for path in ["bundle", "bundle/", "runs/v1.2", "a.b"] {
            assert!(matches!(of(path).unwrap(), Destination::Folder(_)), "{path}");
        }
        assert!(matches!(of("x.mimir").unwrap(), Destination::Archive(_)));
        for path in ["x.onnx", "x.ONNX", "a/x.Onnx"] {
            assert!(matches!(of(path).unwrap(), Destination::Model(..)), "{path}");
        }
        for path in ["b1.zip", "x.safetensors", "x.MIMIR", "x.ZIP", "x.tar", "x.onnx.data"] {
            let error = of(path).unwrap_err().to_string();
            assert!(error.contains("wanted a folder or NAME.mimir"), "{path}: {error}");
        }
    }

    #[test]
    fn data_of_the_model_before_does_not_stay() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| (name.to_owned(), Bytes::from_static(b"x"));
        let names = || {
            let entries = fs::read_dir(folder.path()).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        write_files(&[file("x.onnx"), file("x.onnx.data")], folder.path()).unwrap();
        write_files(&[file("y.onnx")], folder.path()).unwrap();
        assert_eq!(names(), ["x.onnx", "x.onnx.data", "y.onnx"]);
        write_files(&[file("x.onnx")], folder.path()).unwrap();
        assert_eq!(names(), ["x.onnx", "y.onnx"]);
    }
}
