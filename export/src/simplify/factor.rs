//! Factors out the common factors of a sum of two products: `g·a + g·u·b = g·(a + u·b)`.
//!
//! Reverse mode passes the cotangent of a product to both factors, so that the gradient of `x·f(x)` (Gelu, SiLU, Mish)
//! is such a sum. Each common factor saves one pass over the tensor.

use std::collections::HashMap;

use super::use_counts::use_counts;
use crate::graph::{Attributes, Graph, Node, NodeId, Shape, ValueId};
use crate::tensor::Tensor;

/// Products of more factors are not searched.
const MAX_FACTORS: usize = 8;

/// Rewrites every Add of two products that nothing else reads and that share a factor of their own shape.
pub(crate) fn factor_out_common(graph: &mut Graph) {
    let (producers, uses) = (graph.producers(), use_counts(graph));
    let mut nodes = Vec::with_capacity(graph.nodes().len());
    for index in 0..graph.nodes().len() {
        let node = graph.node(NodeId(index as u32)).clone();
        let sum = Sum::from_node(graph, &producers, &uses, &node);
        match sum.and_then(|sum| sum.rewritten(graph, &node)) {
            Some(rewritten) => nodes.extend(rewritten),
            None => nodes.push(node),
        }
    }
    graph.set_nodes(nodes);
    graph.prune();
}

/// `Π common · (Π left + Π right)`; not both sides are empty.
struct Sum {
    common: Vec<ValueId>,
    left: Vec<ValueId>,
    right: Vec<ValueId>,
}

impl Sum {
    fn from_node(
        graph: &Graph,
        producers: &HashMap<ValueId, NodeId>,
        uses: &HashMap<ValueId, usize>,
        node: &Node,
    ) -> Option<Self> {
        let (a, b) = (node.optional_input(0).filter(|_| node.op_type == "Add")?, node.optional_input(1)?);
        let shape = graph.shape(node.optional_output(0)?).ok()?;
        let product = |value| {
            let mut factors = Vec::new();
            let read_once = |value| producers.get(&value).filter(|_| uses.get(&value) == Some(&1));
            collect_factors(graph, &read_once, shape, value, &mut factors);
            (factors.len() <= MAX_FACTORS).then_some(factors)
        };
        let (mut left, mut right) = (product(a)?, product(b)?);
        let mut common = Vec::new();
        left.retain(|factor| {
            let position = right.iter().position(|other| other == factor);
            position.inspect(|position| common.push(right.swap_remove(*position))).is_none()
        });
        let differs = !left.is_empty() || !right.is_empty();
        (differs && !common.is_empty()).then_some(Self { common, left, right })
    }

    fn rewritten(&self, graph: &mut Graph, node: &Node) -> Option<Vec<Node>> {
        let output = node.optional_output(0)?;
        let mut nodes = Vec::new();
        let mut names = 0;
        let mut binary = |graph: &mut Graph, op_type: &str, a: ValueId, b: ValueId, to: Option<ValueId>| {
            names += 1;
            let name = format!("{}/factor_{names}", node.name);
            let tensor_type = graph.value(output).tensor_type.clone();
            let to = to.unwrap_or_else(|| graph.add_fresh_value(&name, tensor_type));
            nodes.push(Node {
                name,
                op_type: op_type.to_owned(),
                inputs: vec![Some(a), Some(b)],
                outputs: vec![Some(to)],
                attributes: Attributes::default(),
            });
            to
        };
        let mut side = |graph: &mut Graph, factors: &[ValueId]| match factors.split_first() {
            Some((first, rest)) => {
                rest.iter().fold(*first, |product, factor| binary(graph, "Mul", product, *factor, None))
            }
            None => graph.add_constant(&format!("{}/one", node.name), Tensor::scalar_f32(1.0)),
        };
        let (left, right) = (side(graph, &self.left), side(graph, &self.right));
        let common = side(graph, &self.common);
        let sum = binary(graph, "Add", left, right, None);
        binary(graph, "Mul", common, sum, Some(output));
        Some(nodes)
    }
}

/// Collects the factors of a value: the operands of nested products that nothing else reads, all of `shape`.
fn collect_factors<'a>(
    graph: &Graph,
    read_once: &impl Fn(ValueId) -> Option<&'a NodeId>,
    shape: &Shape,
    value: ValueId,
    factors: &mut Vec<ValueId>,
) {
    let has_shape = |id: ValueId| graph.shape(id).is_ok_and(|found| found == shape);
    let product = read_once(value).map(|id| graph.node(*id)).filter(|node| node.op_type == "Mul");
    let operands = product.and_then(|node| Some([node.optional_input(0)?, node.optional_input(1)?]));
    match operands.filter(|operands| operands.iter().all(|id| has_shape(*id)) && factors.len() < MAX_FACTORS)
    {
        Some(operands) => {
            operands
                .into_iter()
                .for_each(|operand| collect_factors(graph, read_once, shape, operand, factors));
        }
        None => factors.push(value),
    }
}
