//! What stands in a model file, as a document: its canonical text for people and snapshots, and JSON for programs.
//!
//! A [`Listing`] shows the file as it is: its own opset, names, functions, bodies and element types, also those that
//! [`read_model`](super::read_model) refuses. It is as careful as the reader: sizes are counted before memory is
//! allocated, and external data is read only from the model's own folder.
//!
//! The text has one line for each input, constant, node and output: `%y: f32[N, 10] = Gemm(%x, %w, %b) {transB = 1}`.
//! Constants of at most eight elements show their values, others their SHA-256, so that a change of any weight shows.
//! Equal models give equal text. What does not change what a model computes is left out of the text (the name of the
//! graph, the program that wrote it, descriptions, the place of a weight inside or beside the file); JSON has it.
//!
//! The same text is the [`Display`](std::fmt::Display) of a [`Graph`](crate::graph::Graph): that of the file that it
//! would be written as.

mod collect;
mod digests;
mod document;
mod names;
mod read;
mod tensors;
mod text;
mod types;
mod values;

pub use document::{
    AttributeListing, FunctionListing, GraphListing, Listing, NodeListing, TensorListing, ValueListing,
};
pub(crate) use names::{quoted_unless_plain, value_name};
pub(super) use read::check_listed;
pub use read::{read_listing, read_listing_bundled, read_listing_bytes};
pub(crate) use text::{attribute_text, node_text};

#[cfg(test)]
mod tests;
