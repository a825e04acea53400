//! Attention of our own, and its gradient: [`mimir_bundle::kernels`].

use mimir_bundle::kernels::{HEADS, PADDING, TOKENS};

use crate::error::{Error, Result};
use crate::facts::{NodeView, fixed, typed};
use crate::graph::{Dim, Graph, Node, TensorType};

/// What the attributes say.
#[derive(Debug, Clone, Copy)]
struct Attributes {
    heads: usize,
    /// Of an image.
    queries: usize,
    keys: usize,
}

impl Attributes {
    fn of(node: &Node) -> Result<Self> {
        let positive = |number: i64| usize::try_from(number).ok().filter(|number| *number > 0);
        let heads = positive(node.attributes.int(HEADS, 0)?);
        let tokens = match node.attributes.ints(TOKENS)? {
            Some(&[queries, keys]) => positive(queries).zip(positive(keys)),
            _ => None,
        };
        let malformed =
            || Error::format(format!("attributes `{HEADS}` and `{TOKENS}` are not positive numbers"));
        let (heads, (queries, keys)) = heads.zip(tokens).ok_or_else(malformed)?;
        Ok(Self { heads, queries, keys })
    }
}

/// `Attention`: the averages, and the probabilities.
pub(crate) fn attention(view: &NodeView) -> Result<Vec<TensorType>> {
    let Attributes { heads, queries, keys } = Attributes::of(view.node)?;
    let (rows, columns) = matrix(view, 0)?;
    let images = rows.divided_by(Dim::Fixed(queries));
    let width = match view.has(1) {
        false if queries == keys && columns % (3 * heads) == 0 => Some(columns / 3),
        true if columns % heads == 0 => {
            let (others, both) = matrix(view, 1)?;
            (others.divided_by(Dim::Fixed(keys)) == images && both == 2 * columns).then_some(columns)
        }
        _ => None,
    };
    let width = width.filter(|_| images.is_some()).ok_or_else(|| {
        Error::shape(format!("the inputs are not those of {heads} heads, {queries} queries and {keys} keys"))
    })?;
    let dtype = view.dtype(0)?;
    let padded = heads * keys.next_multiple_of(PADDING);
    Ok(vec![typed(dtype, vec![rows, Dim::Fixed(width)]), typed(dtype, vec![rows, Dim::Fixed(padded)])])
}

/// The type of the probabilities of an attention that has types.
pub(crate) fn probabilities(graph: &Graph, node: &Node) -> Result<TensorType> {
    let Attributes { heads, keys, .. } = Attributes::of(node)?;
    let averages = graph.tensor_type(node.output(0)?)?;
    let padded = heads * keys.next_multiple_of(PADDING);
    Ok(typed(averages.dtype, vec![averages.shape.0[0], Dim::Fixed(padded)]))
}

/// `AttentionGradient`: one gradient for each input of the attention, which follow those of its outputs.
pub(crate) fn gradient(view: &NodeView) -> Result<Vec<TensorType>> {
    Attributes::of(view.node)?;
    Ok(view.inputs()?.into_iter().skip(2).cloned().collect())
}

fn matrix(view: &NodeView, index: usize) -> Result<(Dim, usize)> {
    let shape = view.of_rank(index, 2)?;
    Ok((shape.0[0], fixed(shape.0[1], "the width of a row")?))
}
