//! Shares equal weights between the graphs of one model.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;

/// The weights of the graphs that have been written so far.
#[derive(Debug, Clone, Default)]
pub struct SharedWeights {
    by_hash: HashMap<u64, Vec<Bytes>>,
}

impl SharedWeights {
    /// Equal bytes that were seen before, or else these, which are kept.
    pub(super) fn intern(&mut self, data: &Bytes) -> Bytes {
        let mut hasher = DefaultHasher::new();
        data.hash(&mut hasher);
        let candidates = self.by_hash.entry(hasher.finish()).or_default();
        match candidates.iter().find(|known| known.as_ptr() == data.as_ptr() || *known == data) {
            Some(known) => known.clone(),
            None => {
                candidates.push(data.clone());
                data.clone()
            }
        }
    }
}
