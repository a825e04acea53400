//! The copy of a model that is simplified and differentiated: one opset, float32, no control flow, no integer kernels.
//!
//! A file may compute in float16 or in 8-bit integers. Only the model itself decides whether an image is misclassified,
//! but its arithmetic has no useful derivative, and few engines have backward kernels for it. [`WorkingCopy::new`]
//! therefore makes a float32 copy whose results are the model's up to rounding:
//! - `decompose_qlinear`: operators on quantised tensors become DequantizeLinear, the operator, QuantizeLinear;
//! - [`upgrade`]: one opset, types of all values, If inlined and Loop unrolled;
//! - `conversions`: CastLike becomes Cast;
//! - `levels`: the integers of a model that takes 8-bit levels become float32;
//! - `precision`: values of another floating-point type become float32;
//! - `hoist_dequantize`: DequantizeLinear moves up to its QuantizeLinear, past operators that only move elements, so
//!   that only the edge between the two carries integers;
//! - `fold_quantised`: DequantizeLinear of constants becomes constants;
//! - `relus`, `sigmoids` and `softmaxes`: ReLU, the logistic function and Softmax in other words become Relu, Sigmoid and
//!   Softmax;
//! - `thresholds`: comparisons and conversions to integers that become numbers again are written as Sign, Floor and
//!   Ceil, which have a straight-through gradient;
//! - `straight_through`: what passes no gradient because two parts of it cancel passes one.

mod conversions;
mod decompose_qlinear;
mod fold_quantised;
mod hoist_dequantize;
mod levels;
mod precision;
mod quantisation;
mod relus;
mod sigmoids;
mod softmaxes;
mod straight_through;
#[cfg(test)]
mod tests;
mod thresholds;

use crate::error::Result;
use crate::graph::Graph;
use crate::shape;
use crate::tensor::DataType;
use crate::upgrade::upgrade;

pub(crate) use levels::TO_LEVELS;

/// The copy of a file's graph, and the floating-point types of the file itself.
#[derive(Debug)]
pub(crate) struct WorkingCopy {
    /// Typed, at the working opset, with float32 outputs.
    pub(crate) graph: Graph,
    /// Element type of the file's first output.
    pub(crate) output: DataType,
    /// The floating-point types of the file's image-dependent values, besides float32.
    pub(crate) converted_types: Vec<DataType>,
}

impl WorkingCopy {
    /// Makes the copy.
    ///
    /// # Errors
    /// As [`upgrade`]; names the node of a quantised operator in a form that we do not know.
    pub(crate) fn new(original: &Graph) -> Result<Self> {
        let mut graph = upgrade(&decompose_qlinear::decompose(original)?)?;
        let output = match graph.outputs() {
            [first, ..] => graph.tensor_type(*first)?.dtype,
            [] => DataType::Float32,
        };
        conversions::state_types(&mut graph)?;
        levels::as_floats(&mut graph)?;
        let converted_types = precision::convert_to_float32(&mut graph)?;
        hoist_dequantize::hoist(&mut graph);
        fold_quantised::fold(&mut graph)?;
        graph.prune();
        graph.sort()?;
        graph.clear_types();
        shape::infer(&mut graph)?;
        for rewrite in [
            relus::write_as_relu,
            sigmoids::write_as_sigmoid,
            softmaxes::write_as_softmax,
            thresholds::write_as_numbers,
            straight_through::let_pass,
        ] {
            if rewrite(&mut graph)? {
                // What is new stands behind its readers.
                graph.sort()?;
                graph.prune();
                graph.clear_types();
                shape::infer(&mut graph)?;
            }
        }
        Ok(Self { graph, output, converted_types })
    }
}
