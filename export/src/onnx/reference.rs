//! Where the bytes of a tensor lie that are in another file, as the model says it.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use super::proto::StringStringEntryProto;
use crate::error::{Error, Result};

/// Where one tensor's bytes lie.
#[derive(Debug)]
pub(super) struct Reference<'e> {
    pub(super) location: &'e str,
    pub(super) offset: u64,
    pub(super) length: Option<u64>,
}

impl<'e> Reference<'e> {
    /// What the entries of a tensor say.
    ///
    /// # Errors
    /// Does not name the tensor.
    pub(super) fn parse(entries: &'e [StringStringEntryProto]) -> Result<Self> {
        let mut values = BTreeMap::new();
        for entry in entries {
            // The checksum is a SHA-1 of the whole file, and optional; the digest that we report covers the file.
            if !["location", "offset", "length", "checksum"].contains(&entry.key()) {
                return Err(Error::unsupported(format!(
                    "external data key `{}`; supported are location, offset, length and checksum",
                    entry.key()
                )));
            }
            if values.insert(entry.key(), entry.value()).is_some() {
                return Err(Error::format(format!("external data key `{}` appears twice", entry.key())));
            }
        }
        let number = |key: &str| values.get(key).map(|text| parse_number(key, text)).transpose();
        Ok(Self {
            location: values
                .get("location")
                .ok_or_else(|| Error::format("external data without a location"))?,
            offset: number("offset")?.unwrap_or(0),
            length: number("length")?,
        })
    }
}

fn parse_number(key: &str, text: &str) -> Result<u64> {
    text.parse().map_err(|_| {
        Error::format(format!("external data {key} `{text}`; wanted a number of bytes, 0 or more"))
    })
}

/// The name of a location, `a/b` for `./a//b`. Of the location and not of its real path: that depends on how links were
/// copied.
pub(super) fn name_of(location: &str) -> String {
    let names = Path::new(location).components().filter(|part| matches!(part, Component::Normal(_)));
    names.map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}
