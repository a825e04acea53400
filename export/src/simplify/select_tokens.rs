//! Hoists the selection of one token, or the mean of all tokens, so that less is computed for the others.
//!
//! A classifier head reads the class token or the mean. Operators before the selection that act on each token alone are
//! then computed for the selected token only. In the last block of a Vision Transformer these are all but keys and
//! values: 7 % of a network of twelve blocks, and as much of its backward pass. A mean is linear, so it can be taken
//! before a linear layer instead of after it.

use std::collections::HashMap;

use super::linear_to_gemm::ELEMENTWISE;
use super::reshape_node::reshape_node;
use super::use_counts::use_counts;
use crate::facts::{Known, NodeView};
use crate::graph::{Attribute, Attributes, Dim, Graph, Node, NodeId, Shape, ValueId};
use crate::operators::types::permutation;
use crate::tensor::Tensor;

/// What is selected along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Selection {
    axis: usize,
    selector: Selector,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Selector {
    /// One element.
    Index(i64),
    /// The mean of all.
    Mean,
}

/// Makes the nodes before a selection compute only what is selected.
pub(super) fn hoist(graph: &mut Graph) {
    let plan = Plan::new(graph);
    // A mean costs as much as an elementwise node that it shrinks; it pays only before a matrix product.
    let pays = |(id, selection): (&NodeId, &Selection)| {
        selection.selector != Selector::Mean || graph.node(*id).op_type == "MatMul"
    };
    if plan.narrowed.iter().any(pays) {
        rewrite(graph, &plan);
    }
}

/// The nodes that select, and the nodes that are computed for the selected part only.
#[derive(Default)]
struct Plan {
    selecting: HashMap<NodeId, Selection>,
    narrowed: HashMap<NodeId, Selection>,
}

impl Plan {
    fn new(graph: &Graph) -> Self {
        let uses = use_counts(graph);
        let mut plan = Self::default();
        // For each value, the number of readers that need only that part of it.
        let mut wanted: HashMap<ValueId, HashMap<Selection, usize>> = HashMap::new();
        for index in (0..graph.nodes().len()).rev() {
            let id = NodeId(index as u32);
            let node = graph.node(id);
            let Some(output) = node.optional_output(0).filter(|_| node.outputs.len() == 1) else { continue };
            let all = uses.get(&output);
            let narrowed =
                wanted.get(&output).and_then(|wanted| wanted.iter().find(|(_, count)| Some(*count) == all));
            let narrowed = narrowed.map(|(selection, _)| *selection);
            if let Some((selection, axes)) =
                narrowed.and_then(|selection| Some((selection, narrowed_axes(graph, node, selection)?)))
            {
                plan.narrowed.insert(id, selection);
                for (input, axis) in node.inputs.iter().zip(axes) {
                    if let (Some(input), Some(axis)) = (input, axis) {
                        *wanted
                            .entry(*input)
                            .or_default()
                            .entry(Selection { axis, ..selection })
                            .or_default() += 1;
                    }
                }
            } else if let Some((input, selection)) = selected(graph, node) {
                plan.selecting.insert(id, selection);
                *wanted.entry(input).or_default().entry(selection).or_default() += 1;
            }
        }
        plan
    }
}

/// Input and selection of a Gather of one element, or of a ReduceMean over one axis, but not of the batch or the last
/// axis.
fn selected(graph: &Graph, node: &Node) -> Option<(ValueId, Selection)> {
    let input = node.optional_input(0)?;
    let shape = graph.shape(input).ok()?;
    let single = |index: usize| match graph.constant(node.optional_input(index)?)?.to_i64()?[..] {
        [value] => Some(value),
        _ => None,
    };
    let (axis, selector) = match node.op_type.as_str() {
        "Gather" => (node.attributes.int("axis", 0).ok()?, Selector::Index(single(1)?)),
        "ReduceMean" => (single(1)?, Selector::Mean),
        _ => return None,
    };
    let axis = shape.axis(axis).ok()?;
    let size = shape.0[axis].fixed()?;
    let is_inner = axis > 0 && axis + 1 < shape.rank() && size > 1;
    is_inner.then_some((input, Selection { axis, selector }))
}

/// For each input, the axis along which it must be narrowed to narrow the output; `None` for inputs that stay whole.
/// `None` as a whole if the operator does not allow it.
fn narrowed_axes(graph: &Graph, node: &Node, selection: Selection) -> Option<Vec<Option<usize>>> {
    let output = graph.shape(node.optional_output(0)?).ok()?;
    let first = graph.shape(node.optional_input(0)?).ok()?;
    let rest = |axis: usize| {
        Some((0..node.inputs.len()).map(|index| (index == 0).then_some(axis)).collect::<Vec<_>>())
    };
    let same = || if first == output { rest(selection.axis) } else { None };
    let other_axis = |name: &str, default| {
        let axis = first.axis(node.attributes.int(name, default).ok()?).ok()?;
        (axis > selection.axis).then_some(())
    };
    let one = matches!(selection.selector, Selector::Index(_));
    match node.op_type.as_str() {
        "Add" | "Sub" => Some(broadcast_axes(graph, node, output, selection.axis)?),
        "Mul" | "Div" | "Pow" if one => Some(broadcast_axes(graph, node, output, selection.axis)?),
        "MatMul" => {
            let right = graph.shape(node.optional_input(1)?).ok()?;
            let is_row = selection.axis + 2 == output.rank()
                || (selection.axis + 2 < output.rank() && right.rank() == 2);
            if first.rank() == output.rank() && is_row { rest(selection.axis) } else { None }
        }
        "Transpose" => {
            let axes = permutation(&NodeView { graph, node, known: &Known::new(0) }).ok()?;
            rest(axes[selection.axis])
        }
        "Reshape" => {
            let kept = first.0.get(..=selection.axis)? == output.0.get(..=selection.axis)?;
            if kept { rest(selection.axis) } else { None }
        }
        "LayerNormalization" if one => other_axis("axis", -1).and_then(|()| same()),
        "Softmax" if one => other_axis("axis", -1).and_then(|()| same()),
        "ReduceMean" if one => {
            keeps_axis(graph, node, first, selection.axis).and_then(|()| rest(selection.axis))
        }
        op_type if one && ELEMENTWISE.contains(&op_type) => same(),
        _ => None,
    }
}

/// Whether a reduction keeps this axis and the rank.
fn keeps_axis(graph: &Graph, node: &Node, shape: &Shape, axis: usize) -> Option<()> {
    let reduced = graph.constant(node.optional_input(1)?)?.to_i64()?;
    let keeps = node.attributes.int("keepdims", 1).ok()? == 1 && !reduced.is_empty();
    let other = |reduced: &i64| shape.axis(*reduced).is_ok_and(|reduced| reduced != axis);
    (keeps && reduced.iter().all(other)).then_some(())
}

/// For operators that broadcast: inputs that have the axis are narrowed, inputs that broadcast along it are not.
fn broadcast_axes(graph: &Graph, node: &Node, output: &Shape, axis: usize) -> Option<Vec<Option<usize>>> {
    let narrow = |input: &Option<ValueId>| {
        let shape = graph.shape((*input)?).ok()?;
        let own = axis.checked_sub(output.rank() - shape.rank());
        Some(own.filter(|own| shape.0[*own] != Dim::Fixed(1)))
    };
    node.inputs.iter().map(narrow).collect()
}

/// The nodes under construction, and the narrowed values so far.
struct Narrowing<'g> {
    graph: &'g mut Graph,
    nodes: Vec<Node>,
    parts: HashMap<(ValueId, Selection), ValueId>,
}

fn rewrite(graph: &mut Graph, plan: &Plan) {
    let old = graph.nodes().to_vec();
    let mut narrowing = Narrowing { graph, nodes: Vec::with_capacity(old.len()), parts: HashMap::new() };
    for (index, node) in old.into_iter().enumerate() {
        let id = NodeId(index as u32);
        let done = match (plan.selecting.get(&id), plan.narrowed.get(&id)) {
            (Some(selection), _) => narrowing.select(&node, *selection),
            (_, Some(selection)) => narrowing.narrow(&node, *selection),
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
    /// The selected part in the shape of the node's output.
    fn select(&mut self, node: &Node, selection: Selection) -> Option<()> {
        let output = node.optional_output(0)?;
        let shape = self.graph.shape(output).ok()?.clone();
        let part = self.part(node.optional_input(0)?, selection)?;
        let mut reshape = reshape_node(self.graph, &format!("{}/chosen", node.name), part, &shape)?;
        reshape.outputs = vec![Some(output)];
        self.nodes.push(reshape);
        Some(())
    }

    /// The same node for the selected part; its whole output is no longer read.
    fn narrow(&mut self, node: &Node, selection: Selection) -> Option<()> {
        let output = node.optional_output(0)?;
        let axes = narrowed_axes(self.graph, node, selection)?;
        let mut narrow = node.clone();
        for (input, axis) in narrow.inputs.iter_mut().zip(axes) {
            if let (Some(whole), Some(axis)) = (*input, axis) {
                *input = Some(self.part(whole, Selection { axis, ..selection })?);
            }
        }
        let result = self.value_of_part(output, selection, &node.name)?;
        if node.op_type == "Reshape" {
            let shape = self.graph.shape(result).ok()?.clone();
            narrow =
                reshape_node(self.graph, &format!("{}/part", node.name), narrow.optional_input(0)?, &shape)?;
        }
        narrow.outputs = vec![Some(result)];
        narrow.name.clone_from(&self.graph.value(result).name);
        self.nodes.push(narrow);
        self.parts.insert((output, selection), result);
        Some(())
    }

    fn value_of_part(&mut self, whole: ValueId, selection: Selection, name: &str) -> Option<ValueId> {
        let mut tensor_type = self.graph.tensor_type(whole).ok()?.clone();
        tensor_type.shape.0[selection.axis] = Dim::Fixed(1);
        Some(self.graph.add_fresh_value(&format!("{name}/part"), Some(tensor_type)))
    }

    /// The selected part of a value; its axis has size 1.
    fn part(&mut self, whole: ValueId, selection: Selection) -> Option<ValueId> {
        if let Some(part) = self.parts.get(&(whole, selection)) {
            return Some(*part);
        }
        let name = self.graph.value(whole).name.clone();
        let result = self.value_of_part(whole, selection, &name)?;
        let axis = selection.axis as i64;
        let (op_type, index, attribute) = match selection.selector {
            Selector::Index(index) => ("Gather", index, ("axis", Attribute::Int(axis))),
            Selector::Mean => ("ReduceMean", axis, ("keepdims", Attribute::Int(1))),
        };
        let index = self.graph.add_constant(&format!("{name}/part/index"), Tensor::vector_i64(&[index]));
        self.nodes.push(Node {
            name: self.graph.value(result).name.clone(),
            op_type: op_type.to_owned(),
            inputs: vec![Some(whole), Some(index)],
            outputs: vec![Some(result)],
            attributes: Attributes::from_pairs([attribute]),
        });
        self.parts.insert((whole, selection), result);
        Some(result)
    }
}
