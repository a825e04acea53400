//! Rewrites linear layers on tokens `[N, T, D]`, a MatMul and an Add, as one Gemm on the matrix `[N·T, D]` of all
//! tokens.
//!
//! ONNX Runtime adds the bias of a Gemm, and applies a following Relu, while it writes the product. An Add of a vector
//! to `[N, T, D]` is a pass of its own, with one short loop a token: 2.3 µs an image instead of 1.7 for eight layers of
//! 48 on five tokens (ONNX Runtime 1.32, one thread, batch 32).

use std::collections::HashMap;

use super::affine::bias_addition;
use super::reshape_node::reshape_node;
use super::use_counts::use_counts;
use crate::graph::{Attributes, Dim, Graph, Node, NodeId, Shape, ValueId};

/// Elementwise operators: they commute with Reshape.
pub(super) const ELEMENTWISE: [&str; 12] = [
    "Relu",
    "Gelu",
    "Sigmoid",
    "Tanh",
    "Erf",
    "Exp",
    "Sqrt",
    "Elu",
    "LeakyRelu",
    "HardSigmoid",
    "HardSwish",
    "Softplus",
];

/// What becomes of a linear layer without bias, to which Gemm gives no speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Biasless {
    /// It stays a MatMul.
    Leave,
    /// It becomes a Gemm, too.
    ToGemm,
}

/// Rewrites every `MatMul → Add` of constants on three axes or more as `Reshape → Gemm → Reshape`.
pub(super) fn rewrite(graph: &mut Graph, biasless: Biasless) {
    let (producers, uses) = (graph.producers(), use_counts(graph));
    let mut flat: HashMap<ValueId, ValueId> = HashMap::new();
    let mut nodes = Vec::with_capacity(graph.nodes().len());
    for index in 0..graph.nodes().len() {
        let node = graph.node(NodeId(index as u32)).clone();
        let layer = linear_layer(graph, &producers, &uses, &node);
        let layer = layer.or_else(|| match biasless {
            Biasless::Leave => None,
            Biasless::ToGemm => layer_without_bias(graph, &node),
        });
        match layer.and_then(|layer| gemm(graph, &node, &layer, &mut flat)) {
            Some(rewritten) => nodes.extend(rewritten),
            None => nodes.push(node),
        }
    }
    graph.set_nodes(nodes);
    graph.prune();
}

/// A linear layer `x·weights + bias`.
struct Linear {
    x: ValueId,
    weights: ValueId,
    bias: Option<ValueId>,
}

/// The linear layer whose bias this Add is.
fn linear_layer(
    graph: &Graph,
    producers: &HashMap<ValueId, NodeId>,
    uses: &HashMap<ValueId, usize>,
    add: &Node,
) -> Option<Linear> {
    let (product, vector) = bias_addition(graph, add)?;
    let matmul = graph.node(*producers.get(&product).filter(|_| uses.get(&product) == Some(&1))?);
    let (x, weights) = (matmul.optional_input(0)?, matmul.optional_input(1)?);
    let &[_, columns] = graph.constant(weights)?.dims() else { return None };
    let fits = matmul.op_type == "MatMul" && columns == vector.len() && graph.shape(x).ok()?.rank() >= 3;
    let bias = add.inputs.iter().flatten().copied().find(|id| *id != product)?;
    fits.then_some(Linear { x, weights, bias: Some(bias) })
}

/// The linear layer that this MatMul is.
fn layer_without_bias(graph: &Graph, node: &Node) -> Option<Linear> {
    let (x, weights) = (node.optional_input(0)?, node.optional_input(1)?);
    let is_matrix = graph.constant(weights)?.dims().len() == 2;
    let fits = node.op_type == "MatMul" && is_matrix && graph.shape(x).ok()?.rank() >= 3;
    fits.then_some(Linear { x, weights, bias: None })
}

fn gemm(
    graph: &mut Graph,
    last: &Node,
    layer: &Linear,
    flat: &mut HashMap<ValueId, ValueId>,
) -> Option<Vec<Node>> {
    let output = last.optional_output(0)?;
    let (input, result) =
        (matrix_shape(graph.shape(layer.x).ok()?)?, matrix_shape(graph.shape(output).ok()?)?);
    let mut nodes = Vec::new();
    let x = match flat.get(&layer.x) {
        Some(known) => *known,
        None => {
            let reshape = reshape_node(graph, &format!("{}/rows", last.name), layer.x, &input)?;
            let x = reshape.optional_output(0)?;
            flat.insert(layer.x, x);
            nodes.push(reshape);
            x
        }
    };
    let mut tensor_type = graph.tensor_type(output).ok()?.clone();
    let shape = std::mem::replace(&mut tensor_type.shape, result);
    let product = graph.add_fresh_value(&format!("{}/Gemm", last.name), Some(tensor_type));
    let name = graph.value(product).name.clone();
    nodes.push(Node {
        name,
        op_type: "Gemm".to_owned(),
        inputs: [Some(x), Some(layer.weights)].into_iter().chain(layer.bias.map(Some)).collect(),
        outputs: vec![Some(product)],
        attributes: Attributes::default(),
    });
    let mut back = reshape_node(graph, &format!("{}/tokens", last.name), product, &shape)?;
    back.outputs = vec![Some(output)];
    nodes.push(back);
    Some(nodes)
}

/// The shape as a matrix `[rows, D]`; `None` if the number of rows is not linear in the batch.
fn matrix_shape(shape: &Shape) -> Option<Shape> {
    let (width, rest) = shape.0.split_last()?;
    let rows = rest.iter().try_fold(Dim::Fixed(1), |product, dim| product.times(*dim))?;
    let empty = rows == Dim::Fixed(0) || *width == Dim::Fixed(0);
    (!empty && width.fixed().is_some()).then(|| Shape(vec![rows, *width]))
}

/// Moves elementwise operators before a Reshape that they read, next to the Gemm before it.
pub(super) fn activation_before_reshape(graph: &mut Graph) {
    let (mut producers, uses) = (graph.producers(), use_counts(graph));
    for index in 0..graph.nodes().len() {
        let id = NodeId(index as u32);
        let function = graph.node(id).clone();
        let is_function = ELEMENTWISE.contains(&&*function.op_type);
        let Some(read) = function.optional_input(0).filter(|id| is_function && uses.get(id) == Some(&1))
        else {
            continue;
        };
        let Some(first) = producers.get(&read).copied() else { continue };
        let reshape = graph.node(first).clone();
        let Some(input) = reshape.optional_input(0).filter(|_| reshape.op_type == "Reshape") else {
            continue;
        };
        let Ok(tensor_type) = graph.tensor_type(input).cloned() else { continue };
        let value = graph.add_fresh_value(&format!("{}/rows", function.name), Some(tensor_type));
        producers.insert(value, first);
        producers.extend(function.outputs.iter().flatten().map(|output| (*output, id)));
        *graph.node_mut(id) = Node { outputs: function.outputs.clone(), ..reshape };
        graph.node_mut(id).inputs[0] = Some(value);
        *graph.node_mut(first) = Node { outputs: vec![Some(value)], ..function };
        graph.node_mut(first).inputs[0] = Some(input);
    }
}
