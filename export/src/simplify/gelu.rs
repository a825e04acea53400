//! Recognises `0.5 · x · (1 + erf(x / √2))`, with its factors in any order, as the operator Gelu of opset 20.
//!
//! Runtimes have one kernel for it, and the gradient has one rule.

use std::collections::HashMap;

use super::use_counts::use_counts;
use crate::graph::{Attributes, Graph, Node, NodeId, ValueId};

/// Relative distance within which a constant counts as √2 or its reciprocal: exporters write six digits or more.
const TOLERANCE: f32 = 1e-5;

/// Replaces each such product. The nodes that it no longer needs are left for `prune`.
pub(super) fn recognise(graph: &mut Graph) {
    let pattern = Pattern { graph, producers: graph.producers(), uses: use_counts(graph) };
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
    /// `x`, if the node is the outermost product.
    fn argument(&self, node: &Node) -> Option<ValueId> {
        let mut factors = self.operands(node, "Mul")?.to_vec();
        // A factor that is itself a product, and used nowhere else, counts as two factors.
        if let Some((index, inner)) = factors.iter().enumerate().find_map(|(index, id)| {
            let producer = self.producer(*id, "Mul").filter(|_| self.uses.get(id) == Some(&1))?;
            Some((index, self.operands(producer, "Mul")?))
        }) {
            factors.swap_remove(index);
            factors.extend(inner);
        }
        let half = factors.iter().position(|id| self.scalar(*id).is_some_and(|value| value == 0.5))?;
        factors.swap_remove(half);
        let &[a, b] = &*factors else { return None };
        [(a, b), (b, a)].into_iter().find(|(x, other)| self.one_plus_erf(*other) == Some(*x)).map(|(x, _)| x)
    }

    /// `x`, if the value is `1 + erf(x / √2)`.
    fn one_plus_erf(&self, id: ValueId) -> Option<ValueId> {
        let [a, b] = self.operands(self.producer(id, "Add")?, "Add")?;
        let (erf, _) = [(a, b), (b, a)].into_iter().find(|(_, one)| self.scalar(*one) == Some(1.0))?;
        let scaled = self.producer(erf, "Erf")?.optional_input(0)?;
        self.scaled(scaled, "Div", std::f32::consts::SQRT_2)
            .or_else(|| self.scaled(scaled, "Mul", std::f32::consts::FRAC_1_SQRT_2))
    }

    /// `x`, if the value is `x` divided or multiplied by that constant.
    fn scaled(&self, id: ValueId, op_type: &str, wanted: f32) -> Option<ValueId> {
        let [a, b] = self.operands(self.producer(id, op_type)?, op_type)?;
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

    fn operands(&self, node: &Node, op_type: &str) -> Option<[ValueId; 2]> {
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
