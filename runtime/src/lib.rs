//! ONNX Runtime sessions, attacks, evaluation and certification.
#![forbid(unsafe_code)]

pub mod model;
