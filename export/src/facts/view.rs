//! What a rule sees of its node: types of inputs, attributes, and the elements that are known.

use std::borrow::Cow;

use super::{Content, Known, Symbol};
use crate::error::{Error, Result};
use crate::graph::{Dim, Graph, Node, Shape, TensorType};
use crate::tensor::{DataType, checked_elements};

/// One node and its surroundings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NodeView<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) node: &'a Node,
    pub(crate) known: &'a Known,
}

impl<'a> NodeView<'a> {
    /// Type of input `index`; an error that names the tensor where it is not known.
    pub(crate) fn input(&self, index: usize) -> Result<&'a TensorType> {
        self.graph.tensor_type(self.node.input(index)?)
    }

    /// Type of input `index`, where the node has one.
    pub(crate) fn optional(&self, index: usize) -> Result<Option<&'a TensorType>> {
        self.node.optional_input(index).map(|id| self.graph.tensor_type(id)).transpose()
    }

    /// Types of all inputs that the node has.
    pub(crate) fn inputs(&self) -> Result<Vec<&'a TensorType>> {
        self.node.inputs.iter().flatten().map(|id| self.graph.tensor_type(*id)).collect()
    }

    /// Shape of input `index`.
    pub(crate) fn shape(&self, index: usize) -> Result<&'a Shape> {
        self.input(index).map(|tensor_type| &tensor_type.shape)
    }

    /// Element type of input `index`.
    pub(crate) fn dtype(&self, index: usize) -> Result<DataType> {
        self.input(index).map(|tensor_type| tensor_type.dtype)
    }

    /// Whether the node has input `index`.
    pub(crate) fn has(&self, index: usize) -> bool {
        self.node.optional_input(index).is_some()
    }

    /// Elements of input `index`, where they are known.
    pub(crate) fn content(&self, index: usize) -> Option<Cow<'a, Content>> {
        self.known.content(self.graph, self.node.optional_input(index)?)
    }

    /// Elements of the integer input `index`, which may be unknown one by one but not as a whole.
    pub(crate) fn symbols(&self, index: usize) -> Result<Vec<Symbol>> {
        if let Some(symbols) = self.content(index).as_deref().and_then(Content::symbols) {
            return Ok(symbols.to_vec());
        }
        // A vector of unknown numbers still has a length, and that is a rank.
        let shape = self.shape(index)?;
        let length = shape.to_fixed().and_then(|dims| checked_elements(&dims)).filter(|length| *length <= 64);
        length.map(|length| vec![Symbol::Unknown; length]).ok_or_else(|| self.undetermined(index))
    }

    /// Elements of the integer input `index`, which must be numbers.
    pub(crate) fn ints(&self, index: usize) -> Result<Vec<i64>> {
        let known: Option<Vec<i64>> = self.symbols(index)?.into_iter().map(Symbol::int).collect();
        known.ok_or_else(|| self.undetermined(index))
    }

    /// Elements of the integer input `index`, where the node has it.
    pub(crate) fn optional_ints(&self, index: usize) -> Result<Option<Vec<i64>>> {
        if self.has(index) { self.ints(index).map(Some) } else { Ok(None) }
    }

    /// The attribute `axis`, made non-negative for a tensor with `rank` dimensions.
    pub(crate) fn axis(&self, default: i64, rank: usize) -> Result<usize> {
        crate::graph::normalise_axis(self.int("axis", default)?, rank)
    }

    /// An `INT` attribute.
    pub(crate) fn int(&self, name: &str, default: i64) -> Result<i64> {
        self.node.attributes.int(name, default)
    }

    /// An `INT` attribute that is a yes or a no.
    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool> {
        match self.int(name, i64::from(default))? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Error::format(format!("attribute `{name}` is {other}, wanted 0 or 1"))),
        }
    }

    /// The error for an input whose elements decide a shape but are not known before the graph runs.
    pub(crate) fn undetermined(&self, index: usize) -> Error {
        let name = self.node.optional_input(index).map_or("", |id| self.graph.value(id).name.as_str());
        Error::shape(format!(
            "its values determine the output shape of node `{}` ({}), but they are known only at run time; export \
             the model with all sizes fixed except the batch",
            self.node.name, self.node.op_type
        ))
        .at_tensor(name)
    }

    /// Refuses inputs that do not have `rank` dimensions.
    pub(crate) fn of_rank(&self, index: usize, rank: usize) -> Result<&'a Shape> {
        let shape = self.shape(index)?;
        if shape.rank() == rank {
            Ok(shape)
        } else {
            Err(Error::shape(format!("input {index} is {shape}, wanted {rank} dimensions")))
        }
    }
}

/// The number in `dim`; an error that says what it is where it depends on the batch.
pub(crate) fn fixed(dim: Dim, what: &str) -> Result<usize> {
    dim.fixed().ok_or_else(|| Error::shape(format!("{what} is {dim}, which depends on the batch")))
}

/// A type.
pub(crate) fn typed(dtype: DataType, dims: Vec<Dim>) -> TensorType {
    TensorType { dtype, shape: Shape(dims) }
}
