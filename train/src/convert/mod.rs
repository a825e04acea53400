//! PyTorch checkpoints of MAE, MIMIR and timm as safetensors files under the names that networks here have.
//!
//! | file | what |
//! | --- | --- |
//! | `torch_file.rs` | the zip archive of `torch.save`: a pickle and the bytes of its tensors |
//! | `weights.rs` | where in it the weights are |
//! | `rules.rs` | which names are known, and what may be dropped without changing what the network computes |
//! | `report.rs` | what became of every key |

mod error;
mod report;
mod rules;
mod torch_file;
mod weights;

use std::collections::BTreeMap;
use std::path::Path;

use tch::Tensor;

pub use error::ConvertError;
pub use report::ConversionReport;

use self::rules::{Decision, decide, strip_prefixes};
use self::torch_file::TorchFile;
use crate::checkpoint::{CheckpointError, save_tensors};

/// The weights of a checkpoint, and what became of every key.
#[derive(Debug)]
pub struct Conversion {
    /// What became of every key of the file.
    pub report: ConversionReport,
    tensors: BTreeMap<String, Tensor>,
}

impl Conversion {
    /// Reads a file of `torch.save`. The weights are the file itself or lie under `model`, `state_dict`,
    /// `model_state_dict`, `model_ema` or `state_dict_ema`; `take` names another key.
    ///
    /// # Errors
    /// A file that cannot be read, holds anything but tensors and plain values, has no weights, or gives one name twice.
    pub fn read(path: &Path, take: Option<&str>) -> Result<Self, ConvertError> {
        let mut file = TorchFile::open(path)?;
        let weights = weights::find(&file, take)?;
        let is_convit = weights.entries.iter().any(|(key, _)| key.ends_with("attn.gating_param"));
        let mut conversion = Self { report: ConversionReport::default(), tensors: BTreeMap::new() };
        for key in weights.beside {
            conversion.report.dropped.push((key, "beside the weights".to_owned()));
        }
        for (key, value) in &weights.entries {
            let tensor = file.tensor(value)?.ok_or_else(|| file.type_name(value));
            conversion.add(key, tensor, is_convit)?;
        }
        Ok(conversion)
    }

    /// A key with its tensor, or the type of what is there instead.
    fn add(
        &mut self,
        key: &str,
        value: Result<Tensor, &'static str>,
        is_convit: bool,
    ) -> Result<(), ConvertError> {
        let name = strip_prefixes(key);
        let tensor = match value {
            Ok(tensor) => tensor,
            Err(found) => {
                self.report.unknown.push((key.to_owned(), format!("of type {found}, not a tensor")));
                return Ok(());
            }
        };
        match decide(name, &tensor, is_convit) {
            Decision::Keep => self.keep(key, name, &tensor),
            Decision::Drop(why) => {
                self.report.dropped.push((key.to_owned(), why));
                Ok(())
            }
            Decision::Unknown(why) => {
                self.report.unknown.push((key.to_owned(), why));
                Ok(())
            }
        }
    }

    fn keep(&mut self, key: &str, name: &str, tensor: &Tensor) -> Result<(), ConvertError> {
        let note = format!("{:?} {}", tensor.size(), torch_file::type_name_of(tensor.kind()));
        let float = tensor.to_kind(tch::Kind::Float).contiguous();
        if self.tensors.insert(name.to_owned(), float).is_some() {
            return Err(ConvertError::Twice { name: name.to_owned(), key: key.to_owned() });
        }
        if name == key {
            self.report.kept.push((key.to_owned(), note));
        } else {
            self.report.renamed.push((key.to_owned(), format!("{name} {note}")));
        }
        Ok(())
    }

    /// Number of tensors that are kept, and of their elements.
    pub fn counts(&self) -> (usize, usize) {
        (self.tensors.len(), self.tensors.values().map(Tensor::numel).sum())
    }

    /// Writes the tensors that are kept, in float32.
    ///
    /// # Errors
    /// [`CheckpointError::Write`]; the previous file is then unchanged.
    pub fn write(self, path: &Path) -> Result<(), CheckpointError> {
        save_tensors(path, self.tensors.into_iter().collect())
    }
}

#[cfg(test)]
mod tests;
