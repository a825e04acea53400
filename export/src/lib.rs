//! ONNX in and out, graphs, shapes and reverse-mode automatic differentiation. Pure Rust.
#![forbid(unsafe_code)]

mod error;
mod evaluate;
pub mod graph;
pub mod onnx;
pub mod shape;
mod tensor;

pub use error::{Error, ErrorKind, Place, Result};
pub use tensor::{DataType, Tensor, checked_elements};
