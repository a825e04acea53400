//! The run folder: files of a run, progress, stopping and resuming.
//!
//! | file | what | owner |
//! | --- | --- | --- |
//! | `config.toml` | the effective configuration | [`RunFolder`] |
//! | `log.jsonl` | one JSON object for each event | [`Log`] |
//! | `events.out.tfevents.…` | the same numbers for TensorBoard | [`Events`] |
//! | `state.safetensors` | everything needed to resume | [`checkpoint::state`](crate::checkpoint::state) |
//! | `last.safetensors`, `best.safetensors` | weights | [`checkpoint`](crate::checkpoint) |
//! | `lock` | held while a process works in the folder | [`RunFolder`] |

mod config;
mod error;
mod events;
mod folder;
mod log;
mod progress;
mod stop;

pub use config::{config_differences, config_digest};
pub use error::RunError;
pub use events::Events;
pub use folder::RunFolder;
pub use log::Log;
pub use progress::{Progress, StepMetrics};
pub use stop::{EXIT_STOPPED, StopReason, StopSignal};
