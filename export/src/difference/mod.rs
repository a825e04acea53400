//! What differs between two models: graph and weights.
//!
//! Two models are equal when they have the same operator sets, inputs, outputs and functions, and their nodes and
//! constants can be paired so that each pair has the same operator, attributes, stated types, elements, and paired
//! inputs. Names of inner values do not count, but are reported; nor does the order of nodes and constants, nor
//! anything that the canonical text leaves out ([`listing`](crate::onnx::listing)).
//!
//! Nodes are paired by the name of their first output where nothing but inputs differs; then, in their order, those
//! alike in operator, attributes and types (an exporter that numbers its values gives every node after an insertion
//! another name); then by name. A `Constant` node counts as a constant.
//!
//! Two bundles are equal when their models, their gradient graphs and what their manifests say of the model are.

mod bundle;
mod document;
mod elements;
mod graph;
mod pairs;
mod text;
mod weights;

pub use bundle::compare_bundles;
pub use document::{
    BundleDifferences, Change, Difference, ElementDifferences, GraphDifference, NodeChange, NodeDifferences,
    WeightChange, WeightDifferences,
};
pub use graph::compare;

#[cfg(test)]
mod tests;
