//! Loads the tensors of a file into a network: all are compared first, and copied only if everything matches.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use mimir_bundle::one_line;
use safetensors::Dtype;
use safetensors::tensor::SafeTensors;
use tch::Tensor;

use super::error::CheckpointError;
use super::format::{self, SafetensorsFile};
use super::mismatch::Mismatch;
use super::positions::{self, Grid};

/// Which tensors of file and network must match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadMode {
    /// File and network have the same tensors.
    Strict,
    /// The encoder of a pre-training into a classifier. Of the file, the decoder (`decoder_…`, `mask_token`), a head
    /// (`head.…`, `fc_norm.…`) and, where the classifier has none, the final `norm.…` are dropped; the head of the
    /// classifier stays as it started. Positions of another grid of patches are interpolated. Everything else must fit.
    EncoderOnly,
}

/// Which types of tensors are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FloatTypes {
    /// float32 only.
    Float32Only,
    /// bfloat16 and float16 too: they become float32.
    WithHalf,
}

/// The result of loading a checkpoint, each list sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadReport {
    /// Copied from the file.
    pub used: Vec<String>,
    /// Among them, the tables of positions that were interpolated, and how.
    pub interpolated: Vec<String>,
    /// In the file and not used.
    pub dropped: Vec<String>,
    /// In the network and newly initialised.
    pub initialised: Vec<String>,
}

impl fmt::Display for LoadReport {
    /// One line; names are counted by their first part, for example `dropped 30: decoder_blocks (24), …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "used {} tensors of the file", self.used.len())?;
        if !self.interpolated.is_empty() {
            write!(f, "; interpolated {}", self.interpolated.join(", "))?;
        }
        for (what, names) in [("dropped", &self.dropped), ("newly initialised", &self.initialised)] {
            if !names.is_empty() {
                write!(f, "; {what} {}: {}", names.len(), by_first_part(names))?;
            }
        }
        Ok(())
    }
}

fn by_first_part(names: &[String]) -> String {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name.split('.').next().unwrap_or(name)).or_insert(0) += 1;
    }
    let counted: Vec<_> =
        counts.iter().map(|(part, count)| format!("{} ({count})", one_line(part))).collect();
    counted.join(", ")
}

/// Compares, then copies into `targets` in place.
pub(super) fn load_tensors(
    file: &SafetensorsFile,
    targets: &[(String, Tensor)],
    load: LoadMode,
    floats: FloatTypes,
) -> Result<LoadReport, CheckpointError> {
    let tensors = file.tensors()?;
    let (report, mismatch) = compare(&tensors, targets, load, floats);
    if !mismatch.is_empty() {
        return Err(CheckpointError::Mismatch { path: file.path().to_owned(), mismatch: Box::new(mismatch) });
    }
    let wanted: BTreeMap<&str, &Tensor> =
        targets.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    for name in &report.used {
        let from = tensors.tensor(name).ok().and_then(|view| format::tensor(&view));
        let from = from.ok_or_else(|| file.broken(&format!("`{name}`, which cannot be read")))?;
        let from = fitted(name, from, wanted[name.as_str()]);
        tch::no_grad(|| wanted[name.as_str()].shallow_clone().f_copy_(&from))
            .map_err(|error| file.broken(&format!("`{name}`: {error}")))?;
    }
    Ok(report)
}

/// As the network has it: what [`compare`] lets pass in another shape are positions.
fn fitted(name: &str, from: Tensor, wanted: &Tensor) -> Tensor {
    match Grid::both(&from.size(), &wanted.size()) {
        Some(grids) if name == positions::NAME && from.size() != wanted.size() => {
            positions::resample(&from, grids)
        }
        _ => from,
    }
}

fn compare(
    file: &SafeTensors<'_>,
    targets: &[(String, Tensor)],
    load: LoadMode,
    floats: FloatTypes,
) -> (LoadReport, Mismatch) {
    let (mut report, mut mismatch) = (LoadReport::default(), Mismatch::default());
    let wanted: BTreeMap<&str, &Tensor> =
        targets.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let found: BTreeSet<&str> = file.names().into_iter().collect();
    let has_norm = wanted.keys().any(|name| name.starts_with("norm."));
    let is_head = |name: &str| name.starts_with("head.") || name.starts_with("fc_norm.");
    let is_dropped = |name: &str| {
        is_head(name)
            || name.starts_with("decoder_")
            || name == "mask_token"
            || (name.starts_with("norm.") && !has_norm)
    };
    for &name in &found {
        if load == LoadMode::EncoderOnly && is_dropped(name) {
            report.dropped.push(name.to_owned());
        } else if let Some(tensor) = wanted.get(name) {
            match interpolation(file, name, tensor).filter(|_| load == LoadMode::EncoderOnly) {
                Some(how) => report.interpolated.push(how),
                None => mismatch.check_shape(file, name, tensor),
            }
            mismatch.check_type(file, name, floats);
            report.used.push(name.to_owned());
        } else {
            mismatch.unexpected.push(name.to_owned());
        }
    }
    for &name in wanted.keys() {
        if load == LoadMode::EncoderOnly && is_head(name) {
            report.initialised.push(name.to_owned());
        } else if !found.contains(name) {
            mismatch.missing.push(name.to_owned());
        }
    }
    (report, mismatch)
}

/// From which grid to which, where it is a table of positions for another one.
fn interpolation(file: &SafeTensors<'_>, name: &str, wanted: &Tensor) -> Option<String> {
    let shape = shape(file, name)?;
    if name != positions::NAME || shape == wanted.size() {
        return None;
    }
    let [from, to] = Grid::both(&shape, &wanted.size())?.map(|grid| grid.side);
    Some(format!("{name} from {from} x {from} to {to} x {to} patches"))
}

fn shape(file: &SafeTensors<'_>, name: &str) -> Option<Vec<i64>> {
    let view = file.tensor(name).ok()?;
    Some(view.shape().iter().map(|&length| length as i64).collect())
}

impl Mismatch {
    fn check_shape(&mut self, file: &SafeTensors<'_>, name: &str, wanted: &Tensor) {
        let Some(shape) = shape(file, name) else { return };
        if shape != wanted.size() {
            let way_out = if name.ends_with("pos_embed") {
                "; made for another number of patches: use the image_size and patch_size of the file"
            } else {
                ""
            };
            self.shapes.push(format!("{name}: {shape:?} in the file, {:?} wanted{way_out}", wanted.size()));
        }
    }

    fn check_type(&mut self, file: &SafeTensors<'_>, name: &str, floats: FloatTypes) {
        let Ok(view) = file.tensor(name) else { return };
        match (view.dtype(), floats) {
            (Dtype::F32, _) | (Dtype::BF16 | Dtype::F16, FloatTypes::WithHalf) => {}
            (Dtype::BF16 | Dtype::F16, FloatTypes::Float32Only) => {
                self.types.push(format!(
                    "{name}: {} in the file; half precision is not accepted here",
                    view.dtype()
                ));
            }
            (other, _) => self.types.push(format!("{name}: {other} in the file, F32 wanted")),
        }
    }
}
