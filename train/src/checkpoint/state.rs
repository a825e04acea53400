//! Everything that a run needs to be resumed: `state.safetensors`.
//!
//! | tensors | type | what |
//! | --- | --- | --- |
//! | `parameters.NAME` | F32 | all tensors of the network |
//! | `exp_avg.NAME`, `exp_avg_sq.NAME` | F32, compact BF16 | moments of the optimiser |
//! | `average.NAME` | F32 | weight average, where there is one |
//! | `average_change.NAME` | BF16 | compact: the average less the parameters |
//!
//! Counters are in the metadata. Every random number of a run is keyed by seed, epoch and sample
//! ([`random`](crate::random)), so that no state of a generator has to be kept.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::format::{self, SafetensorsFile};
use super::load::load_tensors;
use super::{CheckpointError, FloatTypes, LoadMode};
use crate::optim::{AdamW, FlatParameters, ModelEma};
use crate::parameters::Parameters;

/// Version of the layout above.
const VERSION: u32 = 1;

/// The progress of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Optimizer steps so far.
    pub step: u64,
    /// Epoch of the next step, from 0.
    pub epoch: u64,
    /// Sum of the losses of the steps of this epoch that are done, for its mean in the log.
    pub epoch_loss: f64,
    /// Images skipped so far because they could not be decoded; an image counts each time.
    pub skipped: u64,
    /// The best epoch so far by the held-out split.
    pub best: Option<Best>,
    /// Seed of the run.
    pub seed: u64,
    /// Digest of the effective configuration ([`config_digest`](crate::run::config_digest)).
    pub config_digest: String,
}

/// The best epoch by the held-out split.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// Its metric, finite.
    pub metric: f64,
    /// The epoch, from 0.
    pub epoch: u64,
}

/// Precision of the saved moments and average.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// In float32: a resumed run computes the same numbers as one that was never stopped.
    Exact,
    /// Moments, and the average's distance from the parameters, in bfloat16: 8 bytes for each scalar of the network, 10
    /// with an average, instead of 12 and 16. A resumed run differs in the last digits: relative 2⁻⁸ of each moment.
    Compact,
}

/// The parts of a run that a state file holds.
#[derive(Debug)]
pub struct TrainingState<'a> {
    /// All tensors of the network.
    pub parameters: &'a Parameters,
    /// The trained ones.
    pub flat: &'a FlatParameters,
    /// Moments and count of steps.
    pub optimizer: &'a mut AdamW,
    /// The weight average, where the run has one.
    pub average: Option<&'a mut ModelEma>,
}

/// The metadata of a state file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateMetadata {
    state_version: u32,
    precision: Precision,
    optimizer_steps: u64,
    average_updates: Option<u64>,
    position: Position,
}

/// Writes the state to `path`.
///
/// # Errors
/// [`CheckpointError::Write`]; the previous file is then unchanged.
pub fn save(
    path: &Path,
    training: &TrainingState<'_>,
    position: &Position,
    precision: Precision,
) -> Result<(), CheckpointError> {
    let metadata = StateMetadata {
        state_version: VERSION,
        precision,
        optimizer_steps: training.optimizer.steps(),
        average_updates: training.average.as_ref().map(|average| average.updates()),
        position: position.clone(),
    };
    let metadata =
        serde_json::to_value(metadata).map_err(|error| CheckpointError::write(path, error.into()))?;
    let tensors = tch::no_grad(|| training.tensors_to_save(precision));
    format::save(path, tensors, &metadata)
}

/// Puts the state at `path` into network, optimiser and average, which must have the shape that they had. Nothing is
/// changed unless everything fits.
///
/// # Errors
/// [`CheckpointError::Read`], [`CheckpointError::Format`], [`CheckpointError::Mismatch`] with every difference; an
/// average on one side only shows as missing or unexpected tensors.
pub fn load(path: &Path, training: &mut TrainingState<'_>) -> Result<Position, CheckpointError> {
    let file = SafetensorsFile::read(path)?;
    let metadata = StateMetadata::read(&file)?;
    tch::no_grad(|| training.restore(&file, metadata.precision))?;
    training.optimizer.set_steps(metadata.optimizer_steps);
    if let (Some(average), Some(updates)) = (&mut training.average, metadata.average_updates) {
        average.set_updates(updates);
    }
    Ok(metadata.position)
}

/// The progress of the run whose state is at `path`, without a network.
///
/// # Errors
/// [`CheckpointError::Read`], [`CheckpointError::Format`].
pub fn position(path: &Path) -> Result<Position, CheckpointError> {
    Ok(StateMetadata::read(&SafetensorsFile::read(path)?)?.position)
}

impl StateMetadata {
    fn read(file: &SafetensorsFile) -> Result<Self, CheckpointError> {
        let wrong =
            |found: &str| CheckpointError::format(file.path(), found, "the state of a run, version 1");
        let metadata: Self =
            serde_json::from_value(file.metadata()?).map_err(|error| wrong(&error.to_string()))?;
        if metadata.state_version != VERSION {
            return Err(wrong(&format!("state version {}", metadata.state_version)));
        }
        Ok(metadata)
    }
}

impl TrainingState<'_> {
    fn tensors_to_save(&self, precision: Precision) -> Vec<(String, Tensor)> {
        let mut tensors = self.parameter_tensors();
        let kind = match precision {
            Precision::Exact => Kind::Float,
            Precision::Compact => Kind::BFloat16,
        };
        for (name, moment) in self.optimizer.moments() {
            tensors.extend(self.named(name, &moment.to_kind(kind)));
        }
        if let Some(average) = &self.average {
            let (name, tensor) = match precision {
                Precision::Exact => ("average", average.average().shallow_clone()),
                Precision::Compact => {
                    ("average_change", (average.average() - self.flat.values()).to_kind(kind))
                }
            };
            tensors.extend(self.named(name, &tensor));
        }
        tensors
    }

    fn restore(&self, file: &SafetensorsFile, precision: Precision) -> Result<(), CheckpointError> {
        let mut targets = self.parameter_tensors();
        for (name, moment) in self.optimizer.moments() {
            targets.extend(self.named(name, moment));
        }
        let Some(average) = &self.average else {
            load_tensors(file, &targets, LoadMode::Strict, FloatTypes::WithHalf)?;
            return Ok(());
        };
        let name = match precision {
            Precision::Exact => "average",
            Precision::Compact => "average_change",
        };
        let read = average.average().zeros_like();
        targets.extend(self.named(name, &read));
        load_tensors(file, &targets, LoadMode::Strict, FloatTypes::WithHalf)?;
        let read = match precision {
            Precision::Exact => read,
            Precision::Compact => read + self.flat.values(),
        };
        average.average().shallow_clone().copy_(&read);
        Ok(())
    }

    fn parameter_tensors(&self) -> Vec<(String, Tensor)> {
        let all = self.parameters.iter();
        all.map(|parameter| (format!("parameters.{}", parameter.name), parameter.tensor.detach())).collect()
    }

    /// The views of a flat tensor under `kind.NAME`.
    fn named(&self, kind: &str, flat: &Tensor) -> Vec<(String, Tensor)> {
        self.flat.views(flat).map(|(name, view)| (format!("{kind}.{name}"), view)).collect()
    }
}
