//! A small evaluator for what does not depend on the pixels: shape arithmetic and constants.
//!
//! Shape inference follows integers through it, elements being numbers or multiples of the batch; simplification
//! uses the same rules to fold constants. Operators that it does not know are left to the run time.

#[cfg(test)]
mod tests;

use crate::facts::{Content, NodeView};
use crate::graph::{Dim, TensorType};
use crate::operators::constants::{arithmetic, create, movement, reduce, scatter};
use crate::random_operators::dropout_is_active;

/// The elements of a node's outputs, given their types; `None` where any is not known or the operator is not one of
/// ours.
pub(crate) fn evaluate(view: &NodeView, outputs: &[TensorType]) -> Option<Vec<Content>> {
    let elements = |output: &TensorType| output.shape.elements().and_then(Dim::fixed);
    if !outputs.iter().all(|output| elements(output).is_some_and(|count| count <= view.known.largest())) {
        return None;
    }
    let contents = match view.node.op_type.as_str() {
        "Split" => movement::split(view)?,
        _ => vec![single(view, outputs.first()?)?],
    };
    Some(contents.into_iter().zip(outputs).map(|(content, output)| content.rounded(output.dtype)).collect())
}

fn single(view: &NodeView, output: &TensorType) -> Option<Content> {
    let dims = output.shape.to_fixed()?;
    match view.node.op_type.as_str() {
        "Constant" => create::constant(view),
        "Shape" => create::shape(view),
        "Size" => create::size(view),
        "ConstantOfShape" => create::constant_of_shape(view, &dims),
        "Range" => create::range(view, &dims),
        "NonZero" => create::non_zero(view, &dims),
        "Identity" => Some(view.content(0)?.into_owned()),
        "Dropout" if dropout_is_active(view.graph, view.node) == Some(false) => {
            Some(view.content(0)?.into_owned())
        }
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => movement::reshape(view, &dims),
        "Transpose" => movement::transpose(view, &dims),
        "Expand" => movement::expand(view, &dims),
        "Tile" => movement::tile(view, &dims),
        "Slice" => movement::slice(view, &dims),
        "Gather" => movement::gather(view, &dims),
        "GatherElements" => scatter::gather_elements(view, &dims),
        "GatherND" => scatter::gather_nd(view, &dims),
        "ScatterElements" => scatter::scatter_elements(view),
        "ScatterND" => scatter::scatter_nd(view),
        "Concat" => movement::concat(view, &dims),
        "ReduceSum" | "ReduceProd" => reduce::reduce(view, &dims),
        "Where" => movement::where_(view, &dims),
        "Cast" | "CastLike" => arithmetic::cast(view, output.dtype),
        "Clip" => arithmetic::clip(view),
        _ => arithmetic::elementwise(view, &dims),
    }
}
