//! The margin of the label in float64, which tells counterexamples from those that only exist in rounding.
//!
//! The graph is the model's own, not the simplified one, so that every number in it is one of the file's. Engines have
//! few kernels for float64: `decompose` writes what they lack in operators that they have. What it does not know stays,
//! and an engine refuses the graph.

mod convert;
mod decompose;
mod erf;
mod number;
mod windows;

use mimir_bundle::tensor_names;

use crate::error::{Error, Result};
use crate::graph::{Attribute, Builder, Dim, Graph, Shape, TensorType, ValueId};
use crate::shape;
use crate::tensor::{DataType, Tensor};

/// From a typed float32 classifier, `images` to `logits`, to a graph from `images`, `f32 [N, C, H, W]`, and `labels`,
/// `i64 [N]`, to `margin`, `f32 [N]`: the score of the label less the highest of the others, computed in float64 and then
/// rounded once.
///
/// # Errors
/// When types do not fit: an operator takes no float64.
pub(crate) fn margin_graph(mut graph: Graph) -> Result<Graph> {
    convert::to_float64(&mut graph)?;
    decompose::decompose(&mut graph)?;
    let &[logits, ..] = graph.outputs() else { return Err(Error::format("the graph has no output")) };
    let margin = add_margin(&mut graph, logits)?;
    graph.set_outputs(vec![margin]);
    graph.prune();
    Ok(graph)
}

fn add_margin(graph: &mut Graph, logits: ValueId) -> Result<ValueId> {
    let shape = graph.shape(logits)?.clone();
    let &[batch, Dim::Fixed(classes)] = shape.0.as_slice() else {
        return Err(Error::shape(format!("logits are {shape}, wanted [N, K]")));
    };
    let labels_type = TensorType { dtype: DataType::Int64, shape: Shape(vec![batch]) };
    let labels = graph.add_value(tensor_names::LABELS, Some(labels_type))?;
    graph.add_input(labels);
    let mut builder = Builder::new(graph, tensor_names::MARGIN);
    let (one, zero) = (builder.ints(&[1]), builder.constant(Tensor::scalar_f64(0.0)));
    let lost = builder.constant(Tensor::scalar_f64(f64::NEG_INFINITY));
    let index: Vec<i64> = (0..classes as i64).collect();
    let index = builder.constant(Tensor::from_i64(&[1, classes], &index));
    let column = builder.op("Unsqueeze", &[labels, one])?;
    let is_label = builder.op("Equal", &[column, index])?; // [N, K]
    let own = builder.op("Where", &[is_label, logits, zero])?;
    let others = builder.op("Where", &[is_label, lost, logits])?;
    let dropped = || [("keepdims", Attribute::Int(0))];
    let own = builder.op_with("ReduceSum", &[own, one], dropped())?;
    let others = builder.op_with("ReduceMax", &[others, one], dropped())?;
    let margin = builder.op("Sub", &[own, others])?;
    let margin = builder.cast(margin, DataType::Float32)?;
    graph.rename(margin, tensor_names::MARGIN)?;
    shape::infer(graph)?;
    Ok(margin)
}

#[cfg(test)]
mod tests;
