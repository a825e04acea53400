//! The graph that counts units without gradient.

use mimir_bundle::tensor_names;

use super::preprocessing;
use crate::bounds::{CountedActivation, inactive_units};
use crate::error::Result;
use crate::graph::Graph;
use crate::onnx::write_model;
use crate::simplify::clean_up;

/// From `images`, `f32 [N, C, H, W]`, and `radius`, `f32 [N]`, to shares of units, each `f32 [N, A]` in `[0, 1]`:
/// `inactive`, whose result is the same for all images within `radius` in L∞, and `silent`, whose derivative at the image
/// is zero or nearly so, the inactive ones included. Of a Softmax, units are rows.
#[derive(Debug, Clone)]
pub struct UnitsGraph {
    /// The graph, as bytes of an ONNX file.
    pub onnx: Vec<u8>,
    /// The `A` activations that it counts in: those that bounds reach, and gates.
    pub activations: Vec<CountedActivation>,
}

/// Makes it of a simplified classifier; `None` where bounds reach no activation.
pub(super) fn units_graph(mut graph: Graph) -> Result<Option<UnitsGraph>> {
    for name in [tensor_names::RADIUS, tensor_names::INACTIVE, tensor_names::SILENT] {
        preprocessing::release_name(&mut graph, name)?;
    }
    let images = graph.inputs()[0];
    let activations = inactive_units(&mut graph, images)?;
    if activations.is_empty() {
        return Ok(None);
    }
    clean_up(&mut graph);
    for (output, name) in
        graph.outputs().to_vec().into_iter().zip([tensor_names::INACTIVE, tensor_names::SILENT])
    {
        preprocessing::assign_name(&mut graph, output, name)?;
    }
    Ok(Some(UnitsGraph { onnx: write_model(&graph)?, activations }))
}
