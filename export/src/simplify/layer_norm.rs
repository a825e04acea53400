//! Folds scale, shift and centring of a LayerNormalization into the weights of the MatMuls that read it.
//!
//! With `x̂ = (x − mean x)/√(var x + ε)`: `(x̂·γ + β)·W = x̂·(diag(γ)·W) + β·W`. And because the elements of `x̂` sum
//! to zero, `x̂·W = x̂·(C·W)` for the centring matrix `C = I − 11ᵀ/D`. The node then computes `x̂` alone. In the
//! backward pass `h = g·(C·W)ᵀ` has mean zero, which saves two passes over the activations, besides the two for `γ`
//! (`operators/gradient/layer_normalization.rs`).

use std::collections::HashMap;

use super::affine::f32_tensor;
use super::use_counts::use_counts;
use crate::graph::{Attributes, Graph, Node, NodeId, ValueId};
use crate::tensor::Tensor;

/// Rewrites each LayerNormalization over the last axis that is read only by MatMuls with constant matrices.
pub(super) fn fold_into_weights(graph: &mut Graph) {
    let (readers, uses) = (readers(graph), use_counts(graph));
    let mut rewritten: HashMap<NodeId, Vec<Node>> = HashMap::new();
    for index in 0..graph.nodes().len() {
        let id = NodeId(index as u32);
        let Some((output, norm)) = LayerNorm::from_node(graph, graph.node(id)) else { continue };
        let matrices = readers.get(&output).filter(|readers| uses.get(&output) == Some(&readers.len()));
        let Some(matrices) =
            matrices.filter(|readers| readers.iter().all(|id| norm.can_fold_into(graph, *id)))
        else {
            continue;
        };
        for matrix in matrices {
            let node = graph.node(*matrix).clone();
            if let Some(nodes) = norm.folded(graph, &node) {
                rewritten.insert(*matrix, nodes);
            }
        }
        norm.strip_parameters(graph, id);
    }
    let nodes = graph.nodes().iter().enumerate();
    let nodes = nodes
        .flat_map(|(index, node)| {
            rewritten.remove(&NodeId(index as u32)).unwrap_or_else(|| vec![node.clone()])
        })
        .collect();
    graph.set_nodes(nodes);
}

/// The nodes that read each value as their first input.
fn readers(graph: &Graph) -> HashMap<ValueId, Vec<NodeId>> {
    let mut readers: HashMap<ValueId, Vec<NodeId>> = HashMap::new();
    for (index, node) in graph.nodes().iter().enumerate() {
        if let Some(input) = node.optional_input(0) {
            readers.entry(input).or_default().push(NodeId(index as u32));
        }
    }
    readers
}

/// `γ` and `β` of a LayerNormalization over the last axis.
struct LayerNorm {
    scale: Vec<f64>,
    shift: Vec<f64>,
}

impl LayerNorm {
    /// The output and the parameters of the node.
    fn from_node(graph: &Graph, node: &Node) -> Option<(ValueId, Self)> {
        let output = node.optional_output(0).filter(|_| node.op_type == "LayerNormalization")?;
        let has_one_output = node.outputs.iter().skip(1).all(Option::is_none);
        let shape = graph.shape(output).ok()?;
        let axis = shape.axis(node.attributes.int("axis", -1).ok()?).ok()?;
        let width = shape.0.last()?.fixed().filter(|_| has_one_output && axis + 1 == shape.rank())?;
        let vector = |id: ValueId| -> Option<Vec<f64>> {
            let constant = graph.constant(id).filter(|constant| constant.dims() == [width])?;
            Some(constant.to_f32()?.into_iter().map(f64::from).collect())
        };
        let scale = vector(node.optional_input(1)?)?;
        let shift = match node.optional_input(2) {
            Some(id) => vector(id)?,
            None => vec![0.0; width],
        };
        Some((output, Self { scale, shift }))
    }

    /// Whether the node multiplies what it reads by a constant matrix.
    fn can_fold_into(&self, graph: &Graph, id: NodeId) -> bool {
        let node = graph.node(id);
        let weights = node.optional_input(1).and_then(|id| graph.constant(id));
        node.op_type == "MatMul"
            && weights.is_some_and(|weights| {
                matches!(weights.dims(), [rows, columns] if *rows == self.scale.len() && *columns > 0)
                    && weights.to_f32().is_some()
            })
    }

    /// `x̂·(C·diag(γ)·W) + β·W`: the MatMul, and an Add where `β` is not zero.
    fn folded(&self, graph: &mut Graph, node: &Node) -> Option<Vec<Node>> {
        let weights = graph.constant(node.optional_input(1)?)?;
        let (dims, values) = (weights.dims().to_vec(), weights.to_f32()?);
        let &[rows, columns] = &*dims else { return None };
        let (mut scaled, mut bias, mut sums) =
            (Vec::with_capacity(values.len()), vec![0.0; columns], vec![0.0; columns]);
        for ((row, scale), shift) in values.chunks_exact(columns).zip(&self.scale).zip(&self.shift) {
            for ((weight, bias), sum) in row.iter().zip(&mut bias).zip(&mut sums) {
                let weight = f64::from(*weight);
                *bias += weight * shift;
                *sum += weight * scale;
                scaled.push(weight * scale);
            }
        }
        for row in scaled.chunks_exact_mut(columns) {
            row.iter_mut().zip(&sums).for_each(|(weight, sum)| *weight -= sum / rows as f64);
        }
        let weights = graph.add_constant(&format!("{}/centred", node.name), f32_tensor(&dims, &scaled));
        let mut multiply = node.clone();
        multiply.inputs[1] = Some(weights);
        if bias.iter().all(|bias| *bias == 0.0) {
            return Some(vec![multiply]);
        }
        let bias = graph.add_constant(&format!("{}/bias", node.name), f32_tensor(&[columns], &bias));
        let tensor_type = graph.value(node.optional_output(0)?).tensor_type.clone();
        let product = graph.add_fresh_value(&format!("{}/product", node.name), tensor_type);
        multiply.outputs = vec![Some(product)];
        let add = Node {
            name: format!("{}/Add", node.name),
            op_type: "Add".to_owned(),
            inputs: vec![Some(product), Some(bias)],
            outputs: node.outputs.clone(),
            attributes: Attributes::default(),
        };
        Some(vec![multiply, add])
    }

    /// Makes the node compute `x̂`: the scale becomes one, the shift is removed.
    fn strip_parameters(&self, graph: &mut Graph, id: NodeId) {
        let ones = Tensor::from_f32(&[self.scale.len()], &vec![1.0; self.scale.len()]);
        let ones = graph.add_constant(&format!("{}/ones", graph.node(id).name), ones);
        let node = graph.node_mut(id);
        node.inputs.truncate(1);
        node.inputs.push(Some(ones));
    }
}
