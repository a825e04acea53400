//! A classifier that looks at one token, or at the mean of all: pulled up, so that less is computed for the others.
//!
//! What comes before the choice and acts on each token alone is computed for the one token: in the last block of a Vision
//! Transformer that is everything but keys and values, 7 % of a network of twelve blocks, and as much of its backward
//! pass. A mean is linear, so it comes before a linear layer as well as after.

use std::collections::HashMap;

use super::rows::ELEMENTWISE;
use super::{reshape_node, uses};
use crate::graph::{Attribute, Attributes, Dim, Graph, Node, NodeId, Shape, ValueId};
use crate::shape::{Known, NodeView, permutation};
use crate::tensor::Tensor;

/// What is wanted of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Choice {
    axis: usize,
    pick: Pick,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Pick {
    One(i64),
    Mean,
}

/// Lets the nodes in front of a choice compute what is chosen only.
pub(super) fn pull_up(graph: &mut Graph) {
    let plan = Plan::of(graph);
    // A mean costs as much as the addition that it saves, not as a product.
    let pays =
        |(id, choice): (&NodeId, &Choice)| choice.pick != Pick::Mean || graph.node(*id).op_type == "MatMul";
    if plan.narrowed.iter().any(pays) {
        rewrite(graph, &plan);
    }
}

/// Which nodes choose, and which are computed for the chosen part alone.
#[derive(Default)]
struct Plan {
    choosing: HashMap<NodeId, Choice>,
    narrowed: HashMap<NodeId, Choice>,
}

impl Plan {
    fn of(graph: &Graph) -> Self {
        let uses = uses(graph);
        let mut plan = Self::default();
        // How many readers want the same part of a value, and no more of it.
        let mut wanted: HashMap<ValueId, HashMap<Choice, usize>> = HashMap::new();
        for index in (0..graph.nodes().len()).rev() {
            let id = NodeId(index as u32);
            let node = graph.node(id);
            let Some(output) = node.optional_output(0).filter(|_| node.outputs.len() == 1) else { continue };
            let all = uses.get(&output);
            let narrowed =
                wanted.get(&output).and_then(|wanted| wanted.iter().find(|(_, count)| Some(*count) == all));
            let narrowed = narrowed.map(|(choice, _)| *choice);
            if let Some((choice, axes)) =
                narrowed.and_then(|choice| Some((choice, inputs(graph, node, choice)?)))
            {
                plan.narrowed.insert(id, choice);
                for (input, axis) in node.inputs.iter().zip(axes) {
                    if let (Some(input), Some(axis)) = (input, axis) {
                        *wanted.entry(*input).or_default().entry(Choice { axis, ..choice }).or_default() += 1;
                    }
                }
            } else if let Some((input, choice)) = chosen(graph, node) {
                plan.choosing.insert(id, choice);
                *wanted.entry(input).or_default().entry(choice).or_default() += 1;
            }
        }
        plan
    }
}

/// What a Gather of one element, or a ReduceMean over one axis, reads and chooses; never of the batch or the last axis.
fn chosen(graph: &Graph, node: &Node) -> Option<(ValueId, Choice)> {
    let input = node.optional_input(0)?;
    let shape = graph.shape(input).ok()?;
    let single = |index: usize| match graph.constant(node.optional_input(index)?)?.to_i64()?[..] {
        [value] => Some(value),
        _ => None,
    };
    let (axis, pick) = match node.op_type.as_str() {
        "Gather" => (node.attributes.int("axis", 0).ok()?, Pick::One(single(1)?)),
        "ReduceMean" => (single(1)?, Pick::Mean),
        _ => return None,
    };
    let axis = shape.axis(axis).ok()?;
    let size = shape.0[axis].fixed()?;
    let is_inner = axis > 0 && axis + 1 < shape.rank() && size > 1;
    is_inner.then_some((input, Choice { axis, pick }))
}

/// The axis on which each input has to be narrowed so that the output is; `None` for inputs that are read as they are.
/// `None` altogether where the operator does not allow it.
fn inputs(graph: &Graph, node: &Node, choice: Choice) -> Option<Vec<Option<usize>>> {
    let output = graph.shape(node.optional_output(0)?).ok()?;
    let first = graph.shape(node.optional_input(0)?).ok()?;
    let rest = |axis: usize| {
        Some((0..node.inputs.len()).map(|index| (index == 0).then_some(axis)).collect::<Vec<_>>())
    };
    let same = || if first == output { rest(choice.axis) } else { None };
    let other_axis = |name: &str, default| {
        let axis = first.axis(node.attributes.int(name, default).ok()?).ok()?;
        (axis > choice.axis).then_some(())
    };
    let one = matches!(choice.pick, Pick::One(_));
    match node.op_type.as_str() {
        "Add" | "Sub" => Some(broadcast(graph, node, output, choice.axis)?),
        "Mul" | "Div" | "Pow" if one => Some(broadcast(graph, node, output, choice.axis)?),
        "MatMul" => {
            let right = graph.shape(node.optional_input(1)?).ok()?;
            let is_row =
                choice.axis + 2 == output.rank() || (choice.axis + 2 < output.rank() && right.rank() == 2);
            if first.rank() == output.rank() && is_row { rest(choice.axis) } else { None }
        }
        "Transpose" => {
            let axes = permutation(&NodeView { graph, node, known: &Known::new(0) }).ok()?;
            rest(axes[choice.axis])
        }
        "Reshape" => {
            let kept = first.0.get(..=choice.axis)? == output.0.get(..=choice.axis)?;
            if kept { rest(choice.axis) } else { None }
        }
        "LayerNormalization" if one => other_axis("axis", -1).and_then(|()| same()),
        "Softmax" if one => other_axis("axis", -1).and_then(|()| same()),
        "ReduceMean" if one => keeps_axis(graph, node, first, choice.axis).and_then(|()| rest(choice.axis)),
        op_type if one && ELEMENTWISE.contains(&op_type) => same(),
        _ => None,
    }
}

/// Whether a reduction leaves the axis, and the number of axes, as they are.
fn keeps_axis(graph: &Graph, node: &Node, shape: &Shape, axis: usize) -> Option<()> {
    let reduced = graph.constant(node.optional_input(1)?)?.to_i64()?;
    let keeps = node.attributes.int("keepdims", 1).ok()? == 1 && !reduced.is_empty();
    let other = |reduced: &i64| shape.axis(*reduced).is_ok_and(|reduced| reduced != axis);
    (keeps && reduced.iter().all(other)).then_some(())
}

/// For operators that broadcast: inputs that have the axis are narrowed, inputs that are repeated along it are not.
fn broadcast(graph: &Graph, node: &Node, output: &Shape, axis: usize) -> Option<Vec<Option<usize>>> {
    let narrow = |input: &Option<ValueId>| {
        let shape = graph.shape((*input)?).ok()?;
        let own = axis.checked_sub(output.rank() - shape.rank());
        Some(own.filter(|own| shape.0[*own] != Dim::Fixed(1)))
    };
    node.inputs.iter().map(narrow).collect()
}

/// The nodes under construction.
struct Narrowing<'g> {
    graph: &'g mut Graph,
    nodes: Vec<Node>,
    parts: HashMap<(ValueId, Choice), ValueId>,
}

fn rewrite(graph: &mut Graph, plan: &Plan) {
    let old = graph.nodes().to_vec();
    let mut narrowing = Narrowing { graph, nodes: Vec::with_capacity(old.len()), parts: HashMap::new() };
    for (index, node) in old.into_iter().enumerate() {
        let id = NodeId(index as u32);
        let done = match (plan.choosing.get(&id), plan.narrowed.get(&id)) {
            (Some(choice), _) => narrowing.choose(&node, *choice),
            (_, Some(choice)) => narrowing.narrow(&node, *choice),
            _ => None,
        };
        if done.is_none() {
            narrowing.nodes.push(node);
        }
    }
    let nodes = narrowing.nodes;
    graph.set_nodes(nodes);
    graph.prune();
}

impl Narrowing<'_> {
    /// The chosen part in the shape in which the node gave it.
    fn choose(&mut self, node: &Node, choice: Choice) -> Option<()> {
        let output = node.optional_output(0)?;
        let shape = self.graph.shape(output).ok()?.clone();
        let part = self.part(node.optional_input(0)?, choice)?;
        let mut reshape = reshape_node(self.graph, &format!("{}/chosen", node.name), part, &shape)?;
        reshape.outputs = vec![Some(output)];
        self.nodes.push(reshape);
        Some(())
    }

    /// The same node for the chosen part; its whole output is read no more.
    fn narrow(&mut self, node: &Node, choice: Choice) -> Option<()> {
        let output = node.optional_output(0)?;
        let axes = inputs(self.graph, node, choice)?;
        let mut narrow = node.clone();
        for (input, axis) in narrow.inputs.iter_mut().zip(axes) {
            if let (Some(whole), Some(axis)) = (*input, axis) {
                *input = Some(self.part(whole, Choice { axis, ..choice })?);
            }
        }
        let result = self.value_of_part(output, choice, &node.name)?;
        if node.op_type == "Reshape" {
            let shape = self.graph.shape(result).ok()?.clone();
            narrow =
                reshape_node(self.graph, &format!("{}/part", node.name), narrow.optional_input(0)?, &shape)?;
        }
        narrow.outputs = vec![Some(result)];
        narrow.name.clone_from(&self.graph.value(result).name);
        self.nodes.push(narrow);
        self.parts.insert((output, choice), result);
        Some(())
    }

    fn value_of_part(&mut self, whole: ValueId, choice: Choice, name: &str) -> Option<ValueId> {
        let mut tensor_type = self.graph.tensor_type(whole).ok()?.clone();
        tensor_type.shape.0[choice.axis] = Dim::Fixed(1);
        Some(self.graph.add_fresh_value(&format!("{name}/part"), Some(tensor_type)))
    }

    /// The chosen part of a value, its axis being 1 long.
    fn part(&mut self, whole: ValueId, choice: Choice) -> Option<ValueId> {
        if let Some(part) = self.parts.get(&(whole, choice)) {
            return Some(*part);
        }
        let name = self.graph.value(whole).name.clone();
        let result = self.value_of_part(whole, choice, &name)?;
        let axis = choice.axis as i64;
        let (op_type, index, attribute) = match choice.pick {
            Pick::One(index) => ("Gather", index, ("axis", Attribute::Int(axis))),
            Pick::Mean => ("ReduceMean", axis, ("keepdims", Attribute::Int(1))),
        };
        let index = self.graph.add_constant(&format!("{name}/part/index"), Tensor::vector_i64(&[index]));
        self.nodes.push(Node {
            name: self.graph.value(result).name.clone(),
            op_type: op_type.to_owned(),
            inputs: vec![Some(whole), Some(index)],
            outputs: vec![Some(result)],
            attributes: Attributes::from_pairs([attribute]),
        });
        self.parts.insert((whole, choice), result);
        Some(result)
    }
}
