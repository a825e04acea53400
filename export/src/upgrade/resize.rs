//! Upsample, which became Resize, and Resize before its coordinates could be chosen.

use super::attributes_to_inputs::attributes_to_inputs;
use crate::error::{Error, Result};
use crate::graph::{Graph, Node};
use crate::tensor::Tensor;

/// Upsample, opset 9: the scales became an input.
pub(super) fn upsample_scales(graph: &mut Graph, node: Node) -> Result<Vec<Node>> {
    attributes_to_inputs(graph, node, &[("scales", 1)])
}

/// Upsample, opset 10: it is called Resize.
pub(super) fn rename_upsample(_: &mut Graph, mut node: Node) -> Result<Vec<Node>> {
    node.op_type = "Resize".to_owned();
    Ok(vec![node])
}

/// Resize, opset 11: before it, output element `o` was at `o / scale`, and the nearest element was the one below, or
/// the one above when the image shrinks.
pub(super) fn coordinates(graph: &mut Graph, mut node: Node) -> Result<Vec<Node>> {
    let scales = node.inputs.get(1).copied().flatten();
    let known = scales.and_then(|scales| graph.constant(scales)).and_then(Tensor::to_f32);
    if node.attributes.text("mode", "nearest")? == "nearest" {
        let scales = known.ok_or_else(|| {
            Error::unsupported("its scales are computed, which opset 10 does not say how to round")
        })?;
        let (grows, shrinks) =
            (scales.iter().any(|scale| *scale > 1.0), scales.iter().any(|scale| *scale < 1.0));
        if grows && shrinks {
            return Err(Error::unsupported(
                "grows along one axis and shrinks along another, a form that no newer opset has; export the model with \
                 opset 11 or newer",
            ));
        }
        node.attributes.0.insert("nearest_mode".to_owned(), if shrinks { "ceil" } else { "floor" }.into());
    }
    node.attributes.0.insert("coordinate_transformation_mode".to_owned(), "asymmetric".into());
    node.inputs = vec![node.inputs.first().copied().flatten(), None, scales];
    Ok(vec![node])
}
