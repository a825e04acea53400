//! The forward graph with its weights moved along two random directions, for pictures of the loss around them.

use std::collections::BTreeMap;

use mimir_bundle::tensor_names;

use super::preprocessing;
use crate::error::Result;
use crate::graph::{Builder, Graph, Node, NodeId, Shape, TensorType, ValueId};
use crate::onnx::write_model;
use crate::random::Numbers;
use crate::tensor::{DataType, Tensor};

/// From `images`, `f32 [N, C, H, W]`, and two lengths `first`, `second`, `f32 [1]`, to the logits of the model whose weights are
/// moved by so much along two random directions. Each filter of a direction is as long as that of the weights (Li et al.,
/// "Visualizing the Loss Landscape of Neural Nets", NeurIPS 2018); biases and scales of one dimension stay.
#[derive(Debug, Clone)]
pub struct DirectionsGraph {
    /// The file.
    pub onnx: Vec<u8>,
    /// Tensors that are moved.
    pub weights: usize,
}

/// A constant that a node takes as its weights, and the axis of its filters.
struct Weights {
    node: NodeId,
    input: usize,
    value: ValueId,
    axis: usize,
}

/// Makes it of a simplified classifier; `None` where no node has weights.
pub(super) fn directions_graph(mut graph: Graph, seed: u64) -> Result<Option<DirectionsGraph>> {
    let all = weights(&graph)?;
    if all.is_empty() {
        return Ok(None);
    }
    let lengths = [tensor_names::FIRST_DIRECTION, tensor_names::SECOND_DIRECTION].map(|name| {
        preprocessing::release_name(&mut graph, name)?;
        let tensor_type = TensorType { dtype: DataType::Float32, shape: Shape::fixed(&[1]) };
        let id = graph.add_value(name, Some(tensor_type))?;
        graph.add_input(id);
        Ok(id)
    });
    let [first, second] = lengths;
    let lengths = [first?, second?];
    let mut numbers = Numbers::new(seed);
    // Weights that several nodes share move once.
    let mut moved: BTreeMap<ValueId, ValueId> = BTreeMap::new();
    for Weights { node, input, value, axis } in &all {
        let to = match moved.get(value) {
            Some(to) => *to,
            None => move_weights(&mut graph, *value, *axis, lengths, &mut numbers)?,
        };
        moved.insert(*value, to);
        graph.node_mut(*node).inputs[*input] = Some(to);
    }
    graph.sort()?;
    Ok(Some(DirectionsGraph { onnx: write_model(&graph)?, weights: moved.len() }))
}

/// The weights of all nodes, in their order.
fn weights(graph: &Graph) -> Result<Vec<Weights>> {
    let mut all = Vec::new();
    for (index, node) in graph.nodes().iter().enumerate() {
        for (input, value) in node.inputs.iter().enumerate() {
            let Some(value) = value else { continue };
            let Some(tensor) = graph.constant(*value) else { continue };
            let is_tensor = tensor.dtype() == DataType::Float32 && tensor.dims().len() > 1;
            if let (true, Some(axis)) = (is_tensor, axis_of_filters(node, input, tensor.dims().len())?) {
                all.push(Weights { node: NodeId(index as u32), input, value: *value, axis });
            }
        }
    }
    Ok(all)
}

/// Along which axis of a constant the filters of a node lie; `None` where that input has no weights.
fn axis_of_filters(node: &Node, input: usize, rank: usize) -> Result<Option<usize>> {
    Ok(match (node.op_type.as_str(), input) {
        ("Conv", 1) => Some(0),
        ("ConvTranspose", 1) => Some(1),
        ("MatMul", 1) => Some(rank - 1),
        ("MatMul", 0) => Some(rank - 2),
        ("Gemm", 1) => Some(if node.attributes.int("transB", 0)? == 0 { 1 } else { 0 }),
        _ => None,
    })
}

/// The weights plus the two lengths times two directions.
fn move_weights(
    graph: &mut Graph,
    value: ValueId,
    axis: usize,
    lengths: [ValueId; 2],
    numbers: &mut Numbers,
) -> Result<ValueId> {
    let tensor = graph.constant(value).cloned();
    let Some((dims, numbers_of)) = tensor.and_then(|tensor| Some((tensor.dims().to_vec(), tensor.to_f32()?)))
    else {
        return Ok(value);
    };
    let mut moved = value;
    let mut builder = Builder::new(graph, "direction");
    for length in lengths {
        let direction = direction(&dims, &numbers_of, axis, numbers);
        let direction = builder.constant(Tensor::from_f32(&dims, &direction));
        let step = builder.op("Mul", &[direction, length])?;
        moved = builder.op("Add", &[moved, step])?;
    }
    Ok(moved)
}

/// Normal numbers, each filter as long as that of the weights.
fn direction(dims: &[usize], weights: &[f32], axis: usize, numbers: &mut Numbers) -> Vec<f32> {
    let inner: usize = dims[axis + 1..].iter().product();
    let filter = |index: usize| index / inner.max(1) % dims[axis];
    let mut direction: Vec<f32> = weights.iter().map(|_| numbers.normal()).collect();
    let squares = |values: &[f32]| {
        let mut sums = vec![0.0_f64; dims[axis]];
        for (index, value) in values.iter().enumerate() {
            sums[filter(index)] += f64::from(*value).powi(2);
        }
        sums
    };
    let (wanted, found) = (squares(weights), squares(&direction));
    for (index, value) in direction.iter_mut().enumerate() {
        let (wanted, found) = (wanted[filter(index)], found[filter(index)]);
        *value = if found > 0.0 { (f64::from(*value) * (wanted / found).sqrt()) as f32 } else { 0.0 };
    }
    direction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_filter_of_a_direction_is_as_long_as_that_of_the_weights() {
        let dims = [2, 3, 2];
        let weights: Vec<f32> = (0..12).map(|index| index as f32 - 4.0).collect();
        for axis in 0..3 {
            let found = direction(&dims, &weights, axis, &mut Numbers::new(1));
            let inner: usize = dims[axis + 1..].iter().product();
            for filter in 0..dims[axis] {
                let length = |values: &[f32]| -> f32 {
                    let own =
                        values.iter().enumerate().filter(|(index, _)| index / inner % dims[axis] == filter);
                    own.map(|(_, value)| value * value).sum::<f32>().sqrt()
                };
                assert!((length(&found) - length(&weights)).abs() < 1e-4, "axis {axis}, filter {filter}");
            }
            assert_ne!(found, direction(&dims, &weights, axis, &mut Numbers::new(2)));
        }
        assert_eq!(direction(&[1, 2], &[0.0, 0.0], 1, &mut Numbers::new(1)), [0.0, 0.0]);
    }
}
