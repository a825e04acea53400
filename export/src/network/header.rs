//! The JSON in front of the data of a safetensors file.
//!
//! The format lets readers choose what a name that stands twice means, so a file with one is refused.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

use mimir_bundle::checkpoint::{CheckpointHeader, METADATA_KEY};
use safetensors::tensor::{Metadata, TensorInfo};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use crate::error::{Error, Result};

/// The most that the format allows.
const MOST_BYTES: u64 = 100_000_000;

/// The length of the JSON, of which there are `left` bytes at most.
pub(super) fn checked_length(stated: u64, left: u64) -> Result<usize> {
    if stated > left.min(MOST_BYTES) {
        return Err(Error::format(format!(
            "states {stated} bytes of header, but {left} follow and {MOST_BYTES} are allowed: not a safetensors file"
        )));
    }
    Ok(stated as usize)
}

/// Names, types and places of the tensors, and what `mimir-train` says of the network.
pub(super) fn parse(text: &[u8]) -> Result<(Metadata, Option<CheckpointHeader>)> {
    let json: Header =
        serde_json::from_slice(text).map_err(|error| Error::format(format!("header: {error}")))?;
    let mut tensors = json.tensors;
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let says = json.metadata.as_ref().and_then(|metadata| metadata.get(METADATA_KEY));
    let says = says.map(|text| CheckpointHeader::parse(text)).transpose();
    let says = says.map_err(|error| Error::format(error.to_string()))?;
    // Checks that every size fits its shape, and that the tensors leave no gap and do not overlap.
    let metadata = Metadata::new(json.metadata, tensors);
    Ok((metadata.map_err(|error| Error::format(format!("header: {error}")))?, says))
}

/// The header with every key once.
struct Header {
    metadata: Option<HashMap<String, String>>,
    tensors: Vec<(String, TensorInfo)>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("names of tensors with type, shape and place")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Header, A::Error> {
        let (mut metadata, mut tensors) = (None, HashMap::new());
        while let Some(name) = map.next_key::<String>()? {
            let twice = if name == "__metadata__" {
                metadata.replace(map.next_value::<Unique<String>>()?.0).is_some()
            } else {
                tensors.insert(name.clone(), map.next_value::<TensorInfo>()?).is_some()
            };
            if twice {
                return Err(A::Error::custom(format!("`{name}` stands twice")));
            }
        }
        Ok(Header { metadata, tensors: tensors.into_iter().collect() })
    }
}

/// A JSON object with every key once.
struct Unique<V>(HashMap<String, V>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Unique<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(UniqueVisitor(PhantomData))
    }
}

struct UniqueVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for UniqueVisitor<V> {
    type Value = Unique<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Unique<V>, A::Error> {
        let mut entries = HashMap::new();
        while let Some((key, value)) = map.next_entry::<String, V>()? {
            if entries.insert(key.clone(), value).is_some() {
                return Err(A::Error::custom(format!("`{key}` stands twice")));
            }
        }
        Ok(Unique(entries))
    }
}
