//! Bundles that somebody has changed, each refused with a message that says where.

mod archives;
mod contents;
mod folders;
mod signed;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::*;
use crate::bundle::archive::write_archive;

/// The files of a bundle by name, whatever they are.
type Files = BTreeMap<String, Vec<u8>>;

/// Those of a bundle with two certificates and a signature.
fn files() -> Files {
    complete().files().map(|file| (file.name().to_owned(), file.bytes().to_vec())).collect()
}

/// Writes files as a folder, without a look at them.
fn write_folder(path: &Path, files: &Files) {
    for (name, bytes) in files {
        let path = path.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// Files as an archive in the order of the format, without a look at them.
fn archive(files: &Files) -> Vec<u8> {
    let (first, others): (Vec<_>, Vec<_>) = files.iter().partition(|(name, _)| *name == MANIFEST);
    let mut out = Vec::new();
    let all = first.into_iter().chain(others).map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
    write_archive(all, &mut out).unwrap();
    out
}

/// A bundle is refused in words that have `wanted` in them.
fn expect(case: &str, opened: Result<Bundle, BundleError>, wanted: &str) {
    let error = match opened {
        Ok(_) => panic!("{case}: opened"),
        Err(error) => error.to_string(),
    };
    assert!(error.contains(wanted), "{case}: {error}");
}

/// Replaces text in a file, once.
fn replace(files: &mut Files, name: &str, from: &str, to: &str) {
    let text = String::from_utf8(files[name].clone()).unwrap();
    assert!(text.contains(from), "{name} has no {from}: {text}");
    files.insert(name.into(), text.replacen(from, to, 1).into_bytes());
}
