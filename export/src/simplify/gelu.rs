//! Recognises `0.5 · x · (1 + erf(x / √2))`, in whichever order the factors stand, as the operator Gelu.
//!
//! Runtimes have one kernel for it, and its derivative has one rule. Opset 20 has the operator.

use std::collections::HashMap;

use super::uses;
use crate::graph::{Attributes, Graph, Node, NodeId, ValueId};

/// Relative distance within which a constant is √2 or its reciprocal: files carry them with six digits or more.
const TOLERANCE: f32 = 1e-5;

/// Replaces each such product; `prune` takes the parts away.
pub(super) fn recognise(graph: &mut Graph) {
    let pattern = Pattern { graph, producers: graph.producers(), uses: uses(graph) };
    let found: Vec<(NodeId, ValueId)> = (0..graph.nodes().len() as u32)
        .map(NodeId)
        .filter_map(|id| pattern.argument(graph.node(id)).map(|argument| (id, argument)))
        .collect();
    for (id, argument) in found {
        let node = graph.node_mut(id);
        node.op_type = "Gelu".to_owned();
        node.inputs = vec![Some(argument)];
        node.attributes = Attributes::default();
    }
}

struct Pattern<'g> {
    graph: &'g Graph,
    producers: HashMap<ValueId, NodeId>,
    uses: HashMap<ValueId, usize>,
}

impl Pattern<'_> {
    /// `x`, where the node is the outermost product.
    fn argument(&self, node: &Node) -> Option<ValueId> {
        let mut factors = self.pair(node, "Mul")?.to_vec();
        // A factor that is a product itself and used nowhere else is two factors.
        if let Some((index, inner)) = factors.iter().enumerate().find_map(|(index, id)| {
            let producer = self.producer(*id, "Mul").filter(|_| self.uses.get(id) == Some(&1))?;
            Some((index, self.pair(producer, "Mul")?))
        }) {
            factors.swap_remove(index);
            factors.extend(inner);
        }
        let half = factors.iter().position(|id| self.scalar(*id).is_some_and(|value| value == 0.5))?;
        factors.swap_remove(half);
        let &[a, b] = &*factors else { return None };
        [(a, b), (b, a)].into_iter().find(|(x, other)| self.one_plus_erf(*other) == Some(*x)).map(|(x, _)| x)
    }

    /// `x`, where the value is `1 + erf(x / √2)`.
    fn one_plus_erf(&self, id: ValueId) -> Option<ValueId> {
        let [a, b] = self.pair(self.producer(id, "Add")?, "Add")?;
        let (erf, _) = [(a, b), (b, a)].into_iter().find(|(_, one)| self.scalar(*one) == Some(1.0))?;
        let scaled = self.producer(erf, "Erf")?.optional_input(0)?;
        self.scaled(scaled, "Div", std::f32::consts::SQRT_2)
            .or_else(|| self.scaled(scaled, "Mul", std::f32::consts::FRAC_1_SQRT_2))
    }

    /// `x`, where the value is `x` divided or multiplied by that constant.
    fn scaled(&self, id: ValueId, op_type: &str, wanted: f32) -> Option<ValueId> {
        let [a, b] = self.pair(self.producer(id, op_type)?, op_type)?;
        let is_wanted =
            |id| self.scalar(id).is_some_and(|value| ((value - wanted) / wanted).abs() < TOLERANCE);
        match op_type {
            _ if is_wanted(b) => Some(a),
            "Mul" if is_wanted(a) => Some(b),
            _ => None,
        }
    }

    fn producer(&self, id: ValueId, op_type: &str) -> Option<&Node> {
        self.producers.get(&id).map(|id| self.graph.node(*id)).filter(|node| node.op_type == op_type)
    }

    fn pair(&self, node: &Node, op_type: &str) -> Option<[ValueId; 2]> {
        if node.op_type != op_type {
            return None;
        }
        Some([node.optional_input(0)?, node.optional_input(1)?])
    }

    fn scalar(&self, id: ValueId) -> Option<f32> {
        match self.graph.constant(id)?.to_f32()?[..] {
            [value] => Some(value),
            _ => None,
        }
    }
}
