//! ONNX in and out, graphs, shapes and reverse-mode automatic differentiation. Pure Rust.
#![forbid(unsafe_code)]

pub mod autodiff;
mod classifier;
mod error;
mod evaluate;
mod facts;
pub mod graph;
pub mod onnx;
mod operators;
mod random;
mod rebatch;
mod scan;
pub mod shape;
pub mod simplify;
mod tensor;
#[cfg(test)]
mod testing;
mod unroll;
pub mod upgrade;
pub mod vit;
mod working_copy;

pub use classifier::{ImageClassifier, InputSpec, for_one_image};
pub use error::{Error, ErrorKind, Location, Result};
pub use tensor::{DataType, Tensor, checked_elements};
