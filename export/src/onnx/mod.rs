//! ONNX files in and out.
//!
//! [`read_model`] turns a foreign file into a [`Graph`](crate::graph::Graph) and trusts nothing in it: sizes are
//! counted before memory is allocated ([`Limits`]), functions are inlined under a budget, external data is read only
//! from the model's own folder, and whatever we do not support is an error that names the node or tensor.
//! [`write_model`] writes a graph as a self-contained file, deterministically; ONNX Runtime only ever sees its output.
//! What is accepted and refused, in one page: `docs/onnx-files.md`.

mod build;
mod digest;
mod external;
mod functions;
mod limits;
mod names;
mod node;
mod proto;
mod read;
mod scope;
mod storage;
mod tensor;
mod types;
mod versions;
mod wire;
mod write;

#[cfg(test)]
mod tests;

pub use limits::Limits;
pub use read::{ModelFile, read_model, read_model_bytes};
pub use write::write_model;
