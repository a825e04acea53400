//! What is in a tar file, in a file beside it: `NAME.tar.index.json`. Training reads it in the place of the headers of all entries, which
//! lie far from each other.
//!
//! `{"version":1,"tar_bytes":…,"modified":"…","samples":[[label,offset,length,"name"],…]}`, `modified` being nanoseconds since 1970. A list
//! whose length or time is not that of the tar file, or that leads outside of it, is not read: it is written anew. Where the folder
//! cannot be written, there is none.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::input::{FileStamp, MAX_ENCODED};
use crate::storage::TarImage;

const VERSION: u32 = 1;

/// Bytes of a list: those of a million samples.
const MOST_BYTES: u64 = 1 << 28;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    version: u32,
    tar_bytes: u64,
    /// Nanoseconds, as text: 64 bits do not hold every time.
    modified: String,
    /// Label, offset, length, name.
    samples: Vec<(usize, u64, u64, String)>,
}

fn path_of(tar: &Path) -> PathBuf {
    let mut path = tar.as_os_str().to_owned();
    path.push(".index.json");
    path.into()
}

/// The samples of the file, if there is a list of it: labels, and images of a tar file without a number.
pub(super) fn read(tar: &Path, stamp: &FileStamp) -> Option<Vec<(usize, TarImage)>> {
    let text = mimir_files::read_unlinked(&path_of(tar), MOST_BYTES).ok()?;
    let list: List = serde_json::from_slice(&text).ok()?;
    let modified = stamp.nanoseconds()?.to_string();
    if (list.version, list.tar_bytes, list.modified) != (VERSION, stamp.length, modified) {
        return None;
    }
    let sample = |(label, offset, length, name): (usize, u64, u64, String)| {
        let is_within = offset.checked_add(length).is_some_and(|end| end <= stamp.length);
        (is_within && length <= MAX_ENCODED).then_some((label, TarImage { shard: 0, name, offset, length }))
    };
    list.samples.into_iter().map(sample).collect()
}

/// Keeps the samples of the file, where its folder can be written.
pub(super) fn write<'a>(
    tar: &Path,
    stamp: &FileStamp,
    samples: impl Iterator<Item = (&'a usize, &'a TarImage)>,
) {
    let Some(modified) = stamp.nanoseconds().map(|time| time.to_string()) else { return };
    let sample =
        |(label, image): (&usize, &TarImage)| (*label, image.offset, image.length, image.name.clone());
    let samples = samples.map(sample).collect();
    let list = List { version: VERSION, tar_bytes: stamp.length, modified, samples };
    if let Ok(text) = serde_json::to_vec(&list) {
        // Without it, the tar file is read through again: nothing else is lost.
        let _ = mimir_files::replace(&path_of(tar), &text);
    }
}
