//! ONNX files in and out.
//!
//! [`read_model`] turns a foreign file into a [`Graph`](crate::graph::Graph) and trusts nothing in it: sizes are
//! counted before memory is allocated ([`Limits`]), functions are inlined under a budget, external data is read only
//! from the model's own folder, and everything that we do not support is an error that names the node or tensor.
//! [`write_model`] writes a graph as a self-contained file, deterministically; ONNX Runtime only ever sees its output.
//! What is accepted and refused, in one page: `docs/onnx-files.md`.
//!
//! ```
//! use mimir_export::graph::{Attributes, Dim, Graph, Node, Shape, TensorType};
//! use mimir_export::onnx::{Limits, read_model_bytes, write_model};
//! use mimir_export::DataType;
//!
//! let mut graph = Graph::new("relu", 17);
//! let images = TensorType { dtype: DataType::Float32, shape: Shape(vec![Dim::N, Dim::Fixed(4)]) };
//! let (x, y) = (graph.add_value("x", Some(images))?, graph.add_value("y", None)?);
//! let (inputs, outputs) = (vec![Some(x)], vec![Some(y)]);
//! let attributes = Attributes::default();
//! graph.push_node(Node { name: "relu".into(), op_type: "Relu".into(), inputs, outputs, attributes });
//! graph.add_input(x);
//! graph.add_output(y);
//!
//! let file = read_model_bytes(write_model(&graph)?.into(), None, &Limits::default())?;
//! assert_eq!(file.graph, graph);
//! # Ok::<(), mimir_export::Error>(())
//! ```

mod body;
mod build;
mod bundled;
mod domains;
mod external;
mod frames;
mod function_scope;
mod functions;
mod limits;
pub mod listing;
mod names;
mod names_read;
mod node;
mod non_tensor_outputs;
mod proto;
mod read;
mod reference;
mod shared;
mod storage;
mod tensor;
mod types;
mod versions;
mod wanted;
mod wire;
mod write;
mod write_beside;

#[cfg(test)]
mod tests;

pub use bundled::check_bundled;
pub use limits::Limits;
pub use read::{ModelFile, read_bundled, read_model, read_model_bytes};
pub(crate) use read::{folder_of, read_file};
pub use shared::SharedWeights;
pub use versions::OPSETS;
pub use write::{write_model, write_prepared};
pub use write_beside::WeightFile;
