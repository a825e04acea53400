//! The iterations of a Loop, one at a time.
//!
//! `Loop(M, condition, v…)` runs its body `(i, condition, v…) → (condition, v…, scanned…)` while `i < M` and the
//! condition holds; either may be omitted. It returns the last `v…`, and each scanned value stacked over the iterations
//! along a new first axis. Operator page: ONNX `Loop-23`.

use super::budget::Budget;
use super::inline_body::{InlinedBody, inline_body};
use super::refuse;
use super::values::{check_count, constant_bool, constant_int, output_identities, trailing_inputs};
use crate::error::{Error, Result};
use crate::facts::Known;
use crate::graph::{Attribute, Attributes, Graph, Node, Subgraph, ValueId};
use crate::tensor::{DataType, Tensor};

/// The first opset whose Unsqueeze takes its axes as an input.
const AXES_AS_INPUT: u32 = 13;

/// The state of a Loop between two iterations.
#[derive(Debug)]
pub(super) struct Iteration {
    pub(super) node: Node,
    index: i64,
    /// The trip count, if there is one.
    trip_count: Option<i64>,
    /// Whether the body runs again; `None` for always.
    condition: Option<ValueId>,
    carried: Vec<ValueId>,
    /// For each scanned output, its values so far.
    scanned: Vec<Vec<ValueId>>,
}

impl Iteration {
    /// The state before the first iteration.
    pub(super) fn start(graph: &Graph, known: &Known, node: &Node) -> Result<Self> {
        let state = |node: &Node| -> Result<Self> {
            let body = node.attributes.graph("body")?;
            let trip_count = match node.optional_input(0) {
                Some(id) => Some(constant_int(graph, known, id).ok_or_else(refuse::trip_count)?),
                None => None,
            };
            let carried = carried_count(body)?;
            let inputs = &node.inputs[..node.inputs.len().saturating_sub(body.captures)];
            let carried = trailing_inputs(inputs.get(2..).unwrap_or_default(), carried)?;
            let scanned = body.graph.outputs().len().checked_sub(1 + carried.len());
            let scanned =
                scanned.ok_or_else(|| Error::format("its body returns fewer values than it carries"))?;
            check_count(carried.len() + scanned, node.outputs.len())?;
            let (condition, scanned) = (node.optional_input(1), vec![Vec::new(); scanned]);
            Ok(Self { node: node.clone(), index: 0, trip_count, condition, carried, scanned })
        };
        state(node).map_err(|error| error.at_node(node))
    }

    /// Whether the body runs once more.
    pub(super) fn continues(&self, graph: &Graph, known: &Known) -> Result<bool> {
        if self.trip_count.is_some_and(|trip_count| self.index >= trip_count) {
            return Ok(false);
        }
        match self.condition {
            Some(condition) => constant_bool(graph, known, condition).ok_or_else(refuse::condition),
            None => Ok(true),
        }
    }

    /// The nodes of this iteration, and the state after it.
    pub(super) fn unroll(mut self, graph: &mut Graph, budget: &mut Budget) -> Result<(Vec<Node>, Self)> {
        let body = self.node.attributes.graph("body")?;
        let prefix = format!("{}/{}", self.node.name, self.index);
        budget.spend(&prefix, body)?;
        let index = graph.add_constant(&format!("{prefix}/iteration"), Tensor::from_i64(&[], &[self.index]));
        let holds = Tensor::new(DataType::Bool, Vec::new(), vec![1].into())?;
        let holds = graph.add_constant(&format!("{prefix}/condition"), holds);
        let mut arguments = vec![index, holds];
        arguments.extend(&self.carried);
        arguments.extend(trailing_inputs(&self.node.inputs, body.captures)?);
        let InlinedBody { nodes, outputs } = inline_body(graph, body, &arguments, &prefix)?;
        let (condition, values) =
            outputs.split_first().ok_or_else(|| Error::format("its body returns no condition"))?;
        let (carried, scanned) = values.split_at(self.carried.len());
        self.scanned.iter_mut().zip(scanned).for_each(|(stack, value)| stack.push(*value));
        let (condition, carried) = (Some(*condition), carried.to_vec());
        Ok((nodes, Self { index: self.index + 1, condition, carried, ..self }))
    }

    /// The nodes that compute the outputs of the Loop, after its last iteration.
    pub(super) fn results(self, graph: &mut Graph) -> Result<Vec<Node>> {
        let (name, outputs) = (&self.node.name, &self.node.outputs);
        let mut nodes = output_identities(name, &self.carried, outputs);
        let scanned = outputs.get(self.carried.len()..).unwrap_or_default();
        let opset = self.node.attributes.graph("body")?.graph.opset;
        for (values, output) in self.scanned.iter().zip(scanned) {
            if let Some(output) = *output {
                nodes.extend(stacked(graph, (name, opset), values, output)?);
            }
        }
        Ok(nodes)
    }
}

fn carried_count(body: &Subgraph) -> Result<usize> {
    let parameters = body.parameters().len();
    parameters.checked_sub(2).ok_or_else(|| {
        Error::format(format!(
            "its body takes {parameters} values, wanted an iteration number and a condition first"
        ))
    })
}

/// `output = [values₀, values₁, …]` along a new first axis, in the operators of that opset.
fn stacked(
    graph: &mut Graph,
    (name, opset): (&str, u32),
    values: &[ValueId],
    output: ValueId,
) -> Result<Vec<Node>> {
    if values.is_empty() {
        return Err(Error::unsupported(
            "has zero iterations but returns values of iterations: export the model without this loop",
        ));
    }
    let axis = Attributes::from_pairs([("axis", Attribute::Int(0))]);
    let mut nodes = Vec::with_capacity(values.len() + 1);
    let mut rows = Vec::with_capacity(values.len());
    let axes = graph.add_constant(&format!("{name}/axes"), Tensor::vector_i64(&[0]));
    for (index, value) in values.iter().enumerate() {
        let row = graph.add_fresh_value(&format!("{name}/{index}/row"), None);
        let (inputs, attributes) = if opset >= AXES_AS_INPUT {
            (vec![Some(*value), Some(axes)], Attributes::default())
        } else {
            (vec![Some(*value)], Attributes::from_pairs([("axes", Attribute::Ints(vec![0]))]))
        };
        nodes.push(new_node(&format!("{name}/{index}"), "Unsqueeze", inputs, row, attributes));
        rows.push(Some(row));
    }
    nodes.push(new_node(name, "Concat", rows, output, axis));
    Ok(nodes)
}

fn new_node(
    name: &str,
    op_type: &str,
    inputs: Vec<Option<ValueId>>,
    output: ValueId,
    attributes: Attributes,
) -> Node {
    Node {
        name: format!("{name}/{op_type}"),
        op_type: op_type.to_owned(),
        inputs,
        outputs: vec![Some(output)],
        attributes,
    }
}
