//! BatchNormalization, whose training form is refused, and Dropout, which has none before opset 12.

use crate::error::{Error, Result};
use crate::graph::{Graph, Node};

/// BatchNormalization, opset 9: always per channel.
pub(super) fn drop_spatial(_: &mut Graph, mut node: Node) -> Result<Vec<Node>> {
    if node.attributes.int("spatial", 1)? != 1 {
        return Err(Error::unsupported(
            "normalises each pixel with its own statistics (spatial = 0), a form that opset 9 removed; export the \
             model with opset 9 or newer",
        ));
    }
    node.attributes.0.remove("spatial");
    Ok(vec![node])
}

/// BatchNormalization, opset 14: before it, more than one output meant training.
pub(super) fn refuse_training(_: &mut Graph, mut node: Node) -> Result<Vec<Node>> {
    if node.outputs.iter().flatten().count() > 1 {
        return Err(Error::unsupported(
            "returns the statistics of the batch, which only a model in training mode does; export it in inference \
             mode",
        ));
    }
    node.outputs.truncate(1);
    Ok(vec![node])
}

/// Dropout, opset 12: the ratio means nothing where nothing is dropped, and before opset 12 nothing was.
pub(super) fn drop_ratio(_: &mut Graph, mut node: Node) -> Result<Vec<Node>> {
    node.attributes.0.remove("ratio");
    Ok(vec![node])
}
