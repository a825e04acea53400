//! The copy of a model that is simplified and differentiated: one opset, float32, no control flow, no integer kernels.
//!
//! A file may compute in float16, or in 8-bit integers. Such a model alone decides what breaks an image, but its
//! arithmetic has no useful derivative, and few engines run it backwards. [`working_copy`] therefore makes a float32 copy
//! whose numbers are the model's up to rounding:
//! - `qlinear`: operators on quantised tensors become DequantizeLinear, the operator, QuantizeLinear;
//! - [`upgrade`]: one opset, types of all values, If and Loop written out;
//! - `precision`: values of another floating-point type become float32;
//! - `raise`: DequantizeLinear moves up to its QuantizeLinear, over operators that only move elements, so that integers
//!   stand between the two and nowhere else;
//! - `weights`: DequantizeLinear of constants becomes constants.

mod affine;
mod precision;
mod qlinear;
mod raise;
#[cfg(test)]
mod tests;
mod weights;

pub(crate) use affine::{integers, range, unknown_codes};

use crate::error::Result;
use crate::graph::Graph;
use crate::shape;
use crate::tensor::DataType;
use crate::upgrade::upgrade;

/// The copy of a file's graph, and what the file itself computes its output in.
#[derive(Debug)]
pub(crate) struct WorkingCopy {
    /// Typed, at the working opset, with float32 outputs.
    pub(crate) graph: Graph,
    /// Element type of the file's first output.
    pub(crate) output: DataType,
    /// The floating-point types besides float32 that image-dependent values of the file have.
    pub(crate) lifted: Vec<DataType>,
}

/// Makes the copy.
///
/// # Errors
/// As [`upgrade`]; names the node of a quantised operator in a form that we do not know.
pub(crate) fn working_copy(original: &Graph) -> Result<WorkingCopy> {
    let mut graph = upgrade(&qlinear::spelled_out(original)?)?;
    let output = match graph.outputs() {
        [first, ..] => graph.tensor_type(*first)?.dtype,
        [] => DataType::Float32,
    };
    let lifted = precision::lift(&mut graph)?;
    raise::dequantisation(&mut graph);
    weights::fold(&mut graph)?;
    graph.prune();
    graph.sort()?;
    graph.clear_types();
    shape::infer(&mut graph)?;
    Ok(WorkingCopy { graph, output, lifted })
}
