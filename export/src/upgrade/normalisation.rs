//! BatchNormalization, whose training form is refused except on weights, and Dropout, which has none before opset 12.

use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::graph::{Dim, Graph, Node, ValueId};

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
pub(super) fn refuse_training(graph: &mut Graph, mut node: Node) -> Result<Vec<Node>> {
    if trains_on_weights(graph, &node)? {
        return Ok(vec![instance(node)]);
    }
    if node.outputs.iter().flatten().count() > 1 {
        return Err(Error::unsupported(
            "returns the statistics of the batch, which only a model in training mode does; export it in inference \
             mode",
        ));
    }
    node.outputs.truncate(1);
    Ok(vec![node])
}

/// BatchNormalization in training mode over one image that is none: networks without normalised activations (Brock et
/// al. 2021) standardise the weights of their convolutions so, and TorchScript exports that as it stands.
pub(super) fn of_weights(graph: &mut Graph, node: Node) -> Result<Vec<Node>> {
    if node.attributes.int("training_mode", 0)? != 0 && trains_on_weights(graph, &node)? {
        return Ok(vec![instance(node)]);
    }
    Ok(vec![node])
}

/// Whether the input is a batch of one that does not depend on the images. Its statistics are then those of each channel.
fn trains_on_weights(graph: &Graph, node: &Node) -> Result<bool> {
    let trains = node.outputs.iter().flatten().count() > 1 || node.attributes.int("training_mode", 0)? != 0;
    let input = node.input(0)?;
    let one = graph.shape(input)?.0.first() == Some(&Dim::Fixed(1));
    Ok(trains && one && is_constant(graph, input))
}

/// Whether no input of the graph reaches the value.
fn is_constant(graph: &Graph, value: ValueId) -> bool {
    let producers = graph.producers();
    let (mut seen, mut waiting) = (HashSet::new(), vec![value]);
    while let Some(id) = waiting.pop() {
        if graph.inputs().contains(&id) {
            return false;
        }
        if seen.insert(id)
            && let Some(producer) = producers.get(&id)
        {
            waiting.extend(graph.node(*producer).inputs.iter().flatten());
        }
    }
    true
}

/// The same for one image, by its own statistics.
fn instance(mut node: Node) -> Node {
    node.op_type = "InstanceNormalization".to_owned();
    node.inputs.truncate(3);
    node.outputs.truncate(1);
    node.attributes.0.retain(|name, _| name == "epsilon");
    node
}

/// Dropout, opset 12: the ratio means nothing where nothing is dropped, and before opset 12 nothing was.
pub(super) fn drop_ratio(_: &mut Graph, mut node: Node) -> Result<Vec<Node>> {
    node.attributes.0.remove("ratio");
    Ok(vec![node])
}
