//! ONNX Runtime sessions, attacks, evaluation and certification.
// Unsafe code is denied by the workspace, with one exception: asking ONNX Runtime for its version
// (`session/onnx_runtime.rs`).

pub mod model;
pub mod report;
pub mod session;
pub mod statistics;
