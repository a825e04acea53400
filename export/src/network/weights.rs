//! The tensors of a file, compared with those of a network before any of them is used.

use std::collections::{BTreeMap, BTreeSet};

use super::checkpoint::{Checkpoint, StoredTensor};
use super::mismatch::Mismatch;
use super::{Network, positions};
use crate::error::{Error, ErrorKind, Result};
use crate::tensor::Tensor;

/// The name of the position table.
pub(super) const POSITIONS: &str = "pos_embed";

/// Tensors that fit a network, each to be taken once.
#[derive(Debug)]
pub(super) struct Weights(BTreeMap<String, Tensor>);

impl Weights {
    /// All tensors of the network, positions resampled where the file has them for another grid.
    ///
    /// # Errors
    /// One that lists every key that is too many, missing, of another shape or of another type.
    pub(super) fn of(checkpoint: Checkpoint, network: &Network) -> Result<Self> {
        let wanted = network.parameters();
        let mismatch = compare(&checkpoint, network, &wanted);
        if !mismatch.is_empty() {
            let lines = mismatch.to_string();
            return Err(Error::with_list(ErrorKind::Format, lines.lines().map(str::to_owned)));
        }
        let tensors = checkpoint.tensors.into_iter();
        let mut weights: BTreeMap<String, Tensor> =
            tensors.filter_map(|(name, stored)| Some((name, stored.tensor?))).collect();
        if let Some(table) = weights.get_mut(POSITIONS) {
            *table = positions::resampled(table, &network.architecture)?;
        }
        Ok(Self(weights))
    }

    /// Those drawn for a network, which fit it.
    pub(super) fn drawn(tensors: BTreeMap<String, Tensor>) -> Self {
        Self(tensors)
    }

    /// Whether the tensor is there and has not been taken.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The tensor of that name, which is then no longer held here.
    pub(super) fn take(&mut self, name: &str) -> Result<Tensor> {
        self.0.remove(name).ok_or_else(|| Error::format("is missing").at_tensor(name))
    }
}

fn compare(checkpoint: &Checkpoint, network: &Network, wanted: &[(String, Vec<usize>)]) -> Mismatch {
    let mut mismatch = Mismatch::default();
    for (name, dims) in wanted {
        match checkpoint.tensors.get(name) {
            None => mismatch.missing.push(name.clone()),
            Some(stored) => mismatch.check(name, stored, dims, network),
        }
    }
    let names: BTreeSet<&String> = wanted.iter().map(|(name, _)| name).collect();
    let unexpected = checkpoint.tensors.keys().filter(|name| !names.contains(name));
    mismatch.unexpected = unexpected.cloned().collect();
    mismatch
}

impl Mismatch {
    fn check(&mut self, name: &str, stored: &StoredTensor, wanted: &[usize], network: &Network) {
        let fits = stored.dims == wanted
            || (name == POSITIONS && positions::fit_another_grid(&stored.dims, &network.architecture));
        if !fits {
            self.shapes.push(format!("{name}: {:?} in the file, {wanted:?} wanted", stored.dims));
        }
        if stored.tensor.is_none() {
            self.types.push(format!("{name}: {:?} in the file; F32, F16 or BF16 wanted", stored.dtype));
        }
    }
}
