//! Files of weights and of the state of a run.
//!
//! A checkpoint is a safetensors file of float32 tensors under timm's names. Its metadata has `format: pt`, which
//! other readers expect, and `mimir`: one JSON object that says what the weights are. Every file here is written beside
//! its place and then renamed, so that whatever happens, the file that was there before survives whole.
//!
//! | module | what |
//! | --- | --- |
//! | [`load()`] | weights into a network, strictly, or an encoder into a classifier |
//! | [`state`] | everything that a run needs to be resumed |
//! | [`parts`] | splitting and joining large files, with checksums |

mod atomic;
mod error;
mod format;
mod load;
mod mismatch;
pub mod parts;
mod positions;
pub mod state;
#[cfg(test)]
mod tests;

use std::path::Path;

pub use error::CheckpointError;
pub use load::{FloatTypes, LoadMode, LoadReport};
pub use mismatch::Mismatch;

pub(crate) use atomic::write_atomically;

use tch::Tensor;

use crate::parameters::Parameters;

/// Writes all tensors of a network to `path`. `metadata` describes them: architecture, configuration, results.
///
/// # Errors
/// [`CheckpointError::Write`]; the previous file is then unchanged.
pub fn save(
    path: &Path,
    parameters: &Parameters,
    metadata: &serde_json::Value,
) -> Result<(), CheckpointError> {
    let tensors = parameters.iter().map(|parameter| (parameter.name.clone(), parameter.tensor.detach()));
    format::save(path, tensors.collect(), metadata)
}

/// Writes these tensors to `path`, without saying what they are.
///
/// # Errors
/// [`CheckpointError::Write`]; the previous file is then unchanged.
pub fn save_tensors(path: &Path, tensors: Vec<(String, Tensor)>) -> Result<(), CheckpointError> {
    format::save(path, tensors, &serde_json::Value::Null)
}

/// Copies the tensors of the file at `path` into those of a network. Nothing is copied unless everything fits.
///
/// # Errors
/// [`CheckpointError::Read`], [`CheckpointError::Format`], [`CheckpointError::Mismatch`] with every difference.
pub fn load(
    path: &Path,
    parameters: &Parameters,
    load: LoadMode,
    floats: FloatTypes,
) -> Result<LoadReport, CheckpointError> {
    let file = format::SafetensorsFile::read(path)?;
    let targets =
        parameters.iter().map(|parameter| (parameter.name.clone(), parameter.tensor.shallow_clone()));
    load::load_tensors(&file, &targets.collect::<Vec<_>>(), load, floats)
}

/// The metadata that [`save`] wrote; null for a file of another program.
///
/// # Errors
/// [`CheckpointError::Read`], [`CheckpointError::Format`].
pub fn metadata(path: &Path) -> Result<serde_json::Value, CheckpointError> {
    format::SafetensorsFile::read(path)?.metadata()
}
