//! The configuration: one TOML file for each experiment, with a section for each stage.
//!
//! [`Experiment::read`] puts the layers of a file together, parses and checks; unknown keys and keys without effect are errors. The effective form, with
//! every default filled in, is what [`Experiment::to_toml`] writes into the run folder.

mod data;
mod error;
mod evaluate;
mod experiment;
mod finetune;
mod grid;
mod layers;
mod model;
mod paper;
mod pixels;
mod pretrain;
mod training;

pub use data::DataConfig;
pub use error::ConfigError;
pub use evaluate::{EvaluateConfig, EvaluatedPart, EvaluatedSet};
pub use experiment::Experiment;
pub use finetune::{FinetuneAttack, FinetuneConfig, InitialWeights, MixConfig, SelectionConfig};
pub use grid::{Grid, GridCertify, GridMethod};
pub use model::ModelConfig;
pub use paper::PaperResult;
pub use pixels::PixelDistance;
pub use pretrain::{AdversaryVariant, Method, PretrainAdversary, PretrainConfig};
pub use training::{OptimizerConfig, Precision, ScheduleConfig, TrainingConfig};
