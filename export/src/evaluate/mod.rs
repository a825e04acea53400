//! A small evaluator for what does not depend on the pixels: shape arithmetic and constants.
//!
//! Shape inference follows integers through it, elements being numbers or multiples of the batch; simplification
//! uses the same rules to fold constants. Operators that it does not know are left to the run time.

#[cfg(test)]
mod tests;

use crate::facts::{Content, NodeView};
use crate::graph::{Dim, TensorType};
use crate::operators::row::Constants;
use crate::operators::table;

/// The elements of a node's outputs, given their types; `None` where any is not known or the operator is not evaluated.
pub(crate) fn evaluate(view: &NodeView, outputs: &[TensorType]) -> Option<Vec<Content>> {
    let elements = |output: &TensorType| output.shape.elements().and_then(Dim::fixed);
    if !outputs.iter().all(|output| elements(output).is_some_and(|count| count <= view.known.largest())) {
        return None;
    }
    let output = outputs.first()?;
    let dims = output.shape.to_fixed()?;
    let contents = match table::find(&view.node.op_type)?.constants {
        Constants::Evaluated(function) => vec![function(view, &dims)?],
        Constants::Converted(function) => vec![function(view, output.dtype)?],
        Constants::Elements(elementwise) => vec![elementwise.evaluate(view, &dims)?],
        Constants::Parts(function) => function(view)?,
        Constants::NotEvaluated(_) => return None,
    };
    Some(contents.into_iter().zip(outputs).map(|(content, output)| content.rounded(output.dtype)).collect())
}
