//! Opens a bundle: sizes before bytes, and each file once.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use bytes::Bytes;

use super::archive::{FileArchive, MemoryArchive};
use super::container::{Container, Listed};
use super::content::{Bundle, BundleFile, check_listing, no_manifest};
use super::error::{BundleError, Result};
use super::folder::Folder;
use super::manifest::BundleManifest;
use super::names::{EXTENSION, MANIFEST, check_sizes, check_twins};

impl Bundle {
    /// Whether a path is that of a bundle rather than of a model: a folder, or a file whose name ends in `.mimir`.
    pub fn is_at(path: &Path) -> bool {
        path.is_dir() || path.extension().is_some_and(|extension| extension == EXTENSION)
    }

    /// Opens a bundle, a folder or one file, and checks all of it.
    ///
    /// # Errors
    /// Names the path, the file in the bundle, what was found there and what was wanted.
    pub fn open(path: &Path) -> Result<Self> {
        open_at(path).map_err(|error| error.within(path.display()))
    }

    /// A bundle in one file, whose bytes are in memory. Its files are views of them.
    ///
    /// # Errors
    /// As [`Bundle::open`].
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Result<Self> {
        read(&mut MemoryArchive::new(bytes.into())?)
    }
}

fn open_at(path: &Path) -> Result<Bundle> {
    let io = |error: std::io::Error| BundleError::io("bundle", &error);
    // The user names the bundle itself, by a link if they like; within it no link is followed.
    let metadata = fs::metadata(path).map_err(io)?;
    if metadata.is_dir() {
        // Said before anything else: this may be any folder.
        if fs::symlink_metadata(path.join(MANIFEST)).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            return Err(no_manifest());
        }
        return read(&mut Folder::new(path)?);
    }
    if !metadata.is_file() {
        let message =
            format!("is {}, wanted a folder or a regular file", mimir_files::FileKind::of(&metadata));
        return Err(BundleError::format("bundle", message));
    }
    let opened = mimir_files::open(path).map_err(io)?;
    read(&mut FileArchive::new(opened.file, opened.metadata.len())?)
}

/// The manifest first; what it does not list, or lists with another size, is not read.
fn read(container: &mut dyn Container) -> Result<Bundle> {
    let listed = container.files();
    check_twins(listed.iter().map(|file| file.name.as_str()))?;
    check_sizes(listed.iter().map(|file| (file.name.as_str(), file.bytes)))?;
    let place = listed.iter().position(|file| file.name == MANIFEST);
    let first = place.map(|index| read_file(container, &listed, index)).transpose()?;
    if let Some(manifest) = &first {
        let manifest = BundleManifest::from_json(manifest.bytes())?;
        check_listing(&manifest, listed.iter().map(|file| (file.name.as_str(), file.bytes)))?;
    }
    let mut files = Vec::with_capacity(listed.len());
    for index in (0..listed.len()).filter(|index| Some(*index) != place) {
        // Without a manifest nothing else is needed to say so.
        if first.is_some() {
            files.push(read_file(container, &listed, index)?);
        }
    }
    Bundle::of(files.into_iter().chain(first).collect())
}

fn read_file(container: &mut dyn Container, listed: &[Listed], index: usize) -> Result<BundleFile> {
    let read = container.read(index)?;
    Ok(BundleFile::with_digest(listed[index].name.clone(), read.bytes, read.sha256))
}
