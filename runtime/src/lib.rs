//! Engines and their sessions, attacks, evaluation and certification.
// Unsafe code is denied by the workspace, with one exception: asking ONNX Runtime for its version
// (`session/onnx_runtime.rs`).

mod archive;
pub mod attack;
pub mod ball;
pub mod cross_check;
mod error;
pub mod evaluate;
mod evaluation_set;
pub mod journal;
pub mod linear;
mod logits;
pub mod loss;
pub mod model;
mod monitor;
pub mod probe;
pub mod random;
pub mod report;
mod requirement;
mod scheduler;
pub mod session;
pub mod statistics;
pub mod tune;
pub mod verify;

pub use archive::{Archive, ArchiveError};
