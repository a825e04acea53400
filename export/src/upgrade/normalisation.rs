//! BatchNormalization, whose training mode is refused except on weights, and Dropout, which has no training mode before
//! opset 12.

use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::graph::{Dim, Graph, Node, ValueId};

/// BatchNormalization, opset 9: always per channel.
pub(super) fn remove_spatial(_: &mut Graph, mut node: Node) -> Result<Vec<Node>> {
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
    if is_training_on_weights(graph, &node)? {
        return Ok(vec![to_instance_normalization(node)]);
    }
    if node.outputs.iter().flatten().count() > 1 {
        return Err(Error::unsupported(
            "returns the statistics of the batch, so it is in training mode; export it in inference mode",
        ));
    }
    node.outputs.truncate(1);
    Ok(vec![node])
}

/// BatchNormalization in training mode on weights, with a batch of one. Normaliser-free networks (Brock et al. 2021)
/// standardise the weights of their convolutions with it, and TorchScript exports it unchanged.
pub(super) fn weight_standardisation(graph: &mut Graph, node: Node) -> Result<Vec<Node>> {
    if node.attributes.int("training_mode", 0)? != 0 && is_training_on_weights(graph, &node)? {
        return Ok(vec![to_instance_normalization(node)]);
    }
    Ok(vec![node])
}

/// Whether the input is a batch of one that does not depend on the images. Its statistics are then those of each
/// channel.
fn is_training_on_weights(graph: &Graph, node: &Node) -> Result<bool> {
    let is_training =
        node.outputs.iter().flatten().count() > 1 || node.attributes.int("training_mode", 0)? != 0;
    let input = node.input(0)?;
    let one = graph.shape(input)?.0.first() == Some(&Dim::Fixed(1));
    Ok(is_training && one && is_constant(graph, input))
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

/// InstanceNormalization, which for a batch of one computes the same.
fn to_instance_normalization(mut node: Node) -> Node {
    node.op_type = "InstanceNormalization".to_owned();
    node.inputs.truncate(3);
    node.outputs.truncate(1);
    node.attributes.0.retain(|name, _| name == "epsilon");
    node
}

/// Dropout, opset 12: before it, Dropout was the identity at inference, and its ratio had no effect.
pub(super) fn remove_ratio(_: &mut Graph, mut node: Node) -> Result<Vec<Node>> {
    node.attributes.0.remove("ratio");
    Ok(vec![node])
}
