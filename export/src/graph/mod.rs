//! A graph of tensor operators: values, nodes in topological order, constants, inputs, outputs.
//!
//! A [`Graph`] is what the reader makes of an ONNX file and what the writer turns back into one. It keeps the
//! operators in the opset of the file ([`Graph::opset`]); [`upgrade`](crate::upgrade) brings a copy to the one
//! opset that shape inference and the gradient rules know. Values and nodes have newtype ids that stay valid
//! while nodes are added. A [`Builder`] adds nodes so that code reads like the formula.

mod attribute;
mod builder;
mod check;
mod declared;
mod dim;
mod neighbours;
mod nodes;
mod order;
pub(crate) mod own_operators;
mod structure;
mod values;
pub(crate) mod visits;

pub use builder::Builder;
pub use declared::{DeclaredDim, InputType, OpenInput};
pub use dim::{Dim, Shape, normalise_axis};
pub(crate) use neighbours::Neighbours;
pub use structure::{Attribute, Attributes, Graph, Node, NodeId, Subgraph, TensorType, Value, ValueId};
