//! The reverse walk over the nodes.

use std::collections::{BTreeSet, HashSet};

use super::activity::{active_between, active_values};
use crate::bounds::{Secant, Secants, secants};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::own_operators::is_ours;
use crate::graph::{Builder, Graph, Node, NodeId, ValueId};
use crate::operators::finite::FiniteValues;
use crate::operators::gradient::kind::Rule;
use crate::operators::gradient::ledger::Ledger;
use crate::operators::gradient::step::Step;
use crate::operators::row::Saves;
use crate::operators::{gradient_of, table};

/// Appends the nodes that pull `seed`, the cotangent of `output`, back to `input`, and returns `input`'s cotangent.
///
/// # Errors
/// As [`super::differentiate`].
pub(super) fn pull_back(
    graph: &mut Graph,
    input: ValueId,
    output: ValueId,
    seed: ValueId,
) -> Result<ValueId> {
    add_outputs(graph);
    let active = active_values(graph, input, output)?;
    let mut cotangents = walk(graph, &active, &[input], &[(output, seed)], &Secants::new())?;
    Ok(cotangents.remove(0))
}

/// As [`pull_back`] to the images, through the secants of flat activations over the box of that radius around them.
///
/// # Errors
/// As [`super::differentiate`].
pub(super) fn pull_back_relaxed(
    graph: &mut Graph,
    [images, radius]: [ValueId; 2],
    output: ValueId,
    seed: ValueId,
) -> Result<ValueId> {
    add_outputs(graph);
    let active = active_values(graph, images, output)?;
    let secants = secants(graph, images, radius)?;
    let mut cotangents = walk(graph, &active, &[images], &[(output, seed)], &secants)?;
    Ok(cotangents.remove(0))
}

/// As [`pull_back`], from several outputs, each with its seed, to several inputs at once.
///
/// # Errors
/// As [`super::vector_jacobian_product`].
pub(super) fn pull_back_all(
    graph: &mut Graph,
    inputs: &[ValueId],
    seeds: &[(ValueId, ValueId)],
) -> Result<Vec<ValueId>> {
    add_outputs(graph);
    let outputs: Vec<ValueId> = seeds.iter().map(|(output, _)| *output).collect();
    let active = active_between(graph, inputs, &outputs)?;
    walk(graph, &active, inputs, seeds, &Secants::new())
}

/// Lets nodes hand out what only the gradient needs: a rule sees its node as it is.
fn add_outputs(graph: &mut Graph) {
    for index in 0..graph.nodes().len() {
        let id = NodeId(index as u32);
        if let Some(Saves::Outputs(add)) = table::find(&graph.node(id).op_type).map(|row| row.saves) {
            add(graph, id);
        }
    }
}

/// The backward pass over active values: one cotangent an input, in their order. A node with a secant passes its slope.
fn walk(
    graph: &mut Graph,
    active: &HashSet<ValueId>,
    inputs: &[ValueId],
    seeds: &[(ValueId, ValueId)],
    secants: &Secants,
) -> Result<Vec<ValueId>> {
    let steps = plan(graph, active)?;
    let values = FiniteValues::new(graph);
    let mut ledger = Ledger::default();
    for (output, seed) in seeds {
        ledger.add_whole(*output, *seed);
    }
    let mut builder = Builder::new(graph, "gradient");
    for (node, rule) in steps.iter().rev() {
        builder.set_prefix(format!("gradient/{}", node.name));
        let secant = node.optional_output(0).and_then(|output| secants.get(&output));
        let mends = values.may_spoil(builder.graph(), node);
        apply(&mut builder, &mut ledger, active, node, (*rule, secant), mends)
            .map_err(|error| error.at_node(node))?;
    }
    builder.set_prefix("gradient");
    let mut cotangents = Vec::with_capacity(inputs.len());
    for input in inputs {
        cotangents.push(ledger.sum(&mut builder, *input)?.ok_or_else(|| nothing_sent(&builder, *input))?);
    }
    Ok(cotangents)
}

fn nothing_sent(builder: &Builder<'_>, input: ValueId) -> Error {
    Error::new(ErrorKind::NoGradient, "no gradient rule returned a gradient for it")
        .at_tensor(&builder.graph().value(input).name)
}

/// The nodes to walk, in forward order, each with its rule.
fn plan(graph: &Graph, active: &HashSet<ValueId>) -> Result<Vec<(Node, Rule)>> {
    let is_active = |ids: &[Option<ValueId>]| ids.iter().flatten().any(|id| active.contains(id));
    let nodes: Vec<&Node> =
        graph.nodes().iter().filter(|node| is_active(&node.inputs) && is_active(&node.outputs)).collect();
    let missing: Vec<&Node> = nodes.iter().copied().filter(|node| rule(&node.op_type).is_none()).collect();
    if let Some(first) = missing.first() {
        let operators: BTreeSet<&str> = missing.iter().map(|node| node.op_type.as_str()).collect();
        return Err(missing_rule(&operators).at_node(first));
    }
    Ok(nodes.into_iter().filter_map(|node| Some((node.clone(), rule(&node.op_type)?))).collect())
}

fn rule(op_type: &str) -> Option<Rule> {
    gradient_of(op_type)?.rule()
}

/// The operators that have a rule, in alphabetical order.
pub(super) fn supported() -> impl Iterator<Item = &'static str> {
    table::rows().filter(|row| !is_ours(row.name) && row.gradient.rule().is_some()).map(|row| row.name)
}

fn missing_rule(operators: &BTreeSet<&str>) -> Error {
    let operators: Vec<&str> = operators.iter().copied().collect();
    Error::unsupported(format!(
        "no gradient rule for {}; export the model with one of the operators that have a rule ({}), \
         or add a rule: docs/adding-an-operator.md",
        operators.join(", "),
        supported().collect::<Vec<_>>().join(", ")
    ))
}

/// Applies one rule to the settled cotangents of a node's outputs.
fn apply(
    builder: &mut Builder<'_>,
    ledger: &mut Ledger,
    active: &HashSet<ValueId>,
    node: &Node,
    (rule, secant): (Rule, Option<&Secant>),
    mends: bool,
) -> Result<()> {
    let mut cotangents = Vec::with_capacity(node.outputs.len());
    for output in &node.outputs {
        cotangents.push(match output {
            Some(id) if active.contains(id) => ledger.sum(builder, *id)?,
            _ => None,
        });
    }
    if cotangents.iter().all(Option::is_none) {
        return Ok(());
    }
    let mut step = Step::new(builder, ledger, node, cotangents, active, mends);
    match secant {
        None => rule(&mut step),
        Some(secant) => secant.send(&mut step),
    }
}
