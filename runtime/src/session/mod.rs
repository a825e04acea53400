//! The engines, and sessions over models that we serialised ourselves.
//!
//! [`Engine`] is ONNX Runtime, found and loaded once a process, or rten, which is linked in. [`RawSession`] runs any
//! model with named inputs on either. [`OnnxModels`] makes the two sessions of an attack worker: the original model,
//! and its gradient graph. [`SharedSession`] serves any number of threads at once. Only `onnx_runtime.rs` and its folder name `ort`, only `rten.rs` and its folder name `rten`;
//! everything else sees the types of this module.

mod device;
mod engine;
mod error;
mod interruption;
mod kernels;
mod kind;
mod library_file;
mod library_probe;
mod locate;
mod log;
mod loss_inputs;
mod onnx_models;
mod onnx_runtime;
mod options;
mod raw_session;
mod rten;
mod shared_session;
mod specialise;
mod stop_reason;
mod weights;

pub use device::{Device, DeviceError};
pub use engine::Engine;
pub use error::EngineError;
pub use interruption::{Cancellation, RunLimits};
pub use kind::EngineKind;
pub use log::{LogLevel, LogSink};
pub use onnx_models::{OnnxModels, SessionPlan};
pub use options::{
    Data, HostNodes, Input, Optimisation, Output, OutputBuffer, Precision, SessionOptions, SharedOptions,
};
pub use raw_session::RawSession;
pub use shared_session::SharedSession;
pub use stop_reason::StopReason;
pub use weights::{LoadedGraph, WeightPool};

#[cfg(test)]
mod tests;
