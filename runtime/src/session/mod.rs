//! ONNX Runtime: where the library is found, and sessions over models that we serialised ourselves.
//!
//! Only `onnx_runtime.rs` names `ort`; everything else sees the types of this module. [`Engine::load`] finds and loads
//! the library once a process. [`RawSession`] runs any model with named inputs. [`OnnxModels`] makes the two sessions
//! of an attack worker: the original model, and its gradient graph.

mod locate;
mod onnx_models;
mod onnx_runtime;

pub use onnx_models::{OnnxModels, SessionPlan};
pub use onnx_runtime::{
    Data, Engine, EngineError, Input, Optimisation, Output, Precision, RawSession, SessionOptions,
};

#[cfg(test)]
mod tests;
