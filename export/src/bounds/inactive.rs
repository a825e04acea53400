//! Which units pass no gradient: on the whole box, and at the image itself.

use mimir_bundle::{ScannedNode, tensor_names};

use super::propagate::{FlatActivation, add_radius, flat_activations};
use crate::error::{Error, Result};
use crate::graph::{Attribute, Builder, Graph, Node, ValueId};
use crate::operators::row::Limits;
use crate::tensor::DataType;

/// What is that near to a limit passes hardly any gradient: about that much of a change of the score that it comes from.
const NEARLY: f32 = 1e-6;

/// An activation whose units are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountedActivation {
    /// Its node.
    pub node: ScannedNode,
    /// Whether its results tend to limits on both sides, as those of a Sigmoid do or the rows of a Softmax: near them its
    /// units are off or on for good, and are counted as silent.
    pub is_gate: bool,
}

/// Turns a typed classifier with one input, `images`, into a graph that counts units without gradient: from `images`
/// and `radius` to `inactive` and `silent`, both `f32 [N, A]`. Returns its `A` activations in their order; none where
/// no bounds reach any, and then the graph is not to be used.
///
/// A unit is inactive if its result is the same on the whole box, and silent if its result at the image is at one of its
/// bounds, so that its derivative there is zero, or, of a gate, within [`NEARLY`] of a limit, so that hardly any gradient passes.
/// Inactive units are silent. The numbers are shares of all units of the activation; of a Softmax a unit is a row.
///
/// # Errors
/// As [`flat_activations`].
pub(crate) fn inactive_units(graph: &mut Graph, images: ValueId) -> Result<Vec<CountedActivation>> {
    // One where the number of images is open.
    let rows = graph.shape(images)?.0[0].at_batch(1);
    let radius = add_radius(graph, images)?;
    let activations = flat_activations(graph, images, radius)?;
    if activations.is_empty() {
        return Ok(Vec::new());
    }
    let mut builder = Builder::new(graph, "units");
    let (mut inactive, mut silent) = (Vec::new(), Vec::new());
    for activation in &activations {
        builder.set_prefix(format!("units/{}", activation.node.name));
        let [is_inactive, is_silent] = without_gradient(&mut builder, activation)?;
        inactive.push(share(&mut builder, is_inactive, rows)?);
        silent.push(share(&mut builder, is_silent, rows)?);
    }
    builder.set_prefix("units");
    let axis = || [("axis", Attribute::Int(1))];
    let inactive = builder.op_with("Concat", &inactive, axis())?;
    let silent = builder.op_with("Concat", &silent, axis())?;
    graph.rename(inactive, tensor_names::INACTIVE)?;
    graph.rename(silent, tensor_names::SILENT)?;
    graph.set_outputs(vec![inactive, silent]);
    graph.prune();
    Ok(activations.into_iter().map(counted).collect())
}

fn counted(activation: FlatActivation) -> CountedActivation {
    let Node { name, op_type: operator, .. } = activation.node;
    CountedActivation { node: ScannedNode { name, operator }, is_gate: activation.limits.is_some() }
}

/// Which units are inactive, and which are silent.
fn without_gradient(builder: &mut Builder<'_>, activation: &FlatActivation) -> Result<[ValueId; 2]> {
    let value = activation.output;
    let saturated = activation.limits.map(|limits| saturated(builder, activation, limits)).transpose()?;
    match (activation.after, saturated) {
        // At the end of its bounds, what rises everywhere still has a derivative: a black pixel is at the end of the box.
        (Some(ends), Some(saturated)) => {
            let inactive = builder.op("LessOrEqual", &[ends.upper, ends.lower])?;
            Ok([inactive, builder.op("Or", &[inactive, saturated])?])
        }
        (Some(ends), None) => {
            let inactive = builder.op("LessOrEqual", &[ends.upper, ends.lower])?;
            let at_lower = builder.op("LessOrEqual", &[value, ends.lower])?;
            let at_upper = builder.op("GreaterOrEqual", &[value, ends.upper])?;
            Ok([inactive, builder.op("Or", &[at_lower, at_upper])?])
        }
        (None, Some(saturated)) => {
            // Of none it is known.
            let moving = builder.op("Not", &[saturated])?;
            Ok([builder.op("And", &[saturated, moving])?, saturated])
        }
        (None, None) => Err(Error::unsupported("an activation without bounds or limits")),
    }
}

/// Which units are within [`NEARLY`] of their limits: one for each element, or one for each row.
fn saturated(builder: &mut Builder<'_>, activation: &FlatActivation, limits: Limits) -> Result<ValueId> {
    let at_least = |builder: &mut Builder<'_>, value: ValueId, least: f32| {
        let least = builder.scalar(least);
        builder.op("GreaterOrEqual", &[value, least])
    };
    let value = activation.output;
    match limits {
        Limits::ZeroAndOne => {
            let half = builder.scalar(0.5);
            let centred = builder.op("Sub", &[value, half])?;
            let size = builder.op("Abs", &[centred])?;
            at_least(builder, size, 0.5 - NEARLY)
        }
        Limits::MinusOneAndOne => {
            let size = builder.op("Abs", &[value])?;
            at_least(builder, size, 1.0 - NEARLY)
        }
        Limits::OneOfRow => {
            let axes = builder.ints(&[activation.node.attributes.int("axis", -1)?]);
            let largest = builder.op("ReduceMax", &[value, axes])?;
            at_least(builder, largest, 1.0 - NEARLY)
        }
    }
}

/// The share of an image's units for which that holds, `[N, 1]`.
fn share(builder: &mut Builder<'_>, holds: ValueId, rows: usize) -> Result<ValueId> {
    let units = builder.graph().shape(holds)?.elements().map_or(1, |elements| elements.at_batch(1));
    let target = builder.ints(&[-1, (units / rows.max(1)) as i64]);
    let counted = builder.cast(holds, DataType::Float32)?;
    let rows = builder.op("Reshape", &[counted, target])?;
    let axes = builder.ints(&[1]);
    builder.op("ReduceMean", &[rows, axes])
}
