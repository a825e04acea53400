//! Which bytes of its external files a model wants, known before any of them is read: one pass over a file then digests it
//! and keeps them.

use std::collections::BTreeMap;

use mimir_bundle::parts::Ranges;

use super::proto::{AttributeProto, EXTERNAL, GraphProto, ModelProto, NodeProto, TensorProto};
use super::reference::{Reference, name_of};
use crate::error::{Error, Result};
use crate::tensor::{checked_elements, element_bits};

/// The ranges of each file, by the name that [`name_of`] gives its location.
#[derive(Debug, Default)]
pub(super) struct Wanted(BTreeMap<String, Ranges>);

impl Wanted {
    /// Those of all tensors of a model, whether they will be read or not. What is wrong with one of them is for whoever
    /// reads it to say.
    pub(super) fn by(model: &ModelProto) -> Self {
        let mut wanted = Self::default();
        model.graph.iter().for_each(|graph| wanted.add_graph(graph));
        for function in &model.functions {
            wanted.add_nodes(&function.node);
            function.attribute_proto.iter().for_each(|attribute| wanted.add_attribute(attribute));
        }
        wanted
    }

    /// Those of the file of that name.
    pub(super) fn of(&self, name: &str) -> Ranges {
        self.0.get(name).cloned().unwrap_or_default()
    }

    fn add_graph(&mut self, graph: &GraphProto) {
        graph.initializer.iter().for_each(|tensor| self.add(tensor));
        let sparse = graph.sparse_initializer.iter();
        sparse.flat_map(|sparse| [&sparse.values, &sparse.indices]).flatten().for_each(|part| self.add(part));
        self.add_nodes(&graph.node);
    }

    /// A body lies as deep as messages may be nested (`wire::check`).
    fn add_nodes(&mut self, nodes: &[NodeProto]) {
        nodes.iter().flat_map(|node| &node.attribute).for_each(|attribute| self.add_attribute(attribute));
    }

    fn add_attribute(&mut self, attribute: &AttributeProto) {
        let AttributeProto { t, tensors, sparse_tensor, sparse_tensors, g, graphs, .. } = attribute;
        t.iter().map(Box::as_ref).chain(tensors).for_each(|tensor| self.add(tensor));
        let sparse = sparse_tensor.iter().map(Box::as_ref).chain(sparse_tensors);
        sparse.flat_map(|sparse| [&sparse.values, &sparse.indices]).flatten().for_each(|part| self.add(part));
        g.iter().map(Box::as_ref).chain(graphs).for_each(|graph| self.add_graph(graph));
    }

    fn add(&mut self, tensor: &TensorProto) {
        if tensor.data_location() != EXTERNAL {
            return;
        }
        let (Ok(bytes), Ok(reference)) = (external_bytes(tensor), Reference::parse(&tensor.external_data))
        else {
            return;
        };
        let Reference { location, offset, .. } = reference;
        let end = u64::try_from(bytes).ok().and_then(|bytes| offset.checked_add(bytes));
        if let Some(end) = end {
            self.0.entry(name_of(location)).or_default().add(offset..end);
        }
    }
}

/// How many bytes the elements of a tensor take in a file, packed types packed.
///
/// # Errors
/// When there are more than a machine can count, or its elements have no size.
fn external_bytes(tensor: &TensorProto) -> Result<usize> {
    let dims = tensor.dims.iter().map(|dim| usize::try_from(*dim).ok()).collect::<Option<Vec<usize>>>();
    let bits = element_bits(tensor.data_type())?;
    let bits = dims.and_then(|dims| checked_elements(&dims)?.checked_mul(bits?));
    bits.map(|bits| bits.div_ceil(8)).ok_or_else(|| Error::format("has no size that can be counted"))
}
