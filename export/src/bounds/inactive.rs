//! Which units pass no gradient: on the whole box, and at the image itself.

use mimir_bundle::{ScannedNode, tensor_names};

use super::propagate::{FlatActivation, add_radius, flat_activations};
use crate::error::Result;
use crate::graph::{Attribute, Builder, Graph, Node, ValueId};
use crate::tensor::DataType;

/// Turns a typed classifier with one input, `images`, into a graph that counts units without gradient: from `images`
/// and `radius` to `inactive` and `silent`, both `f32 [N, A]`. Returns its `A` activations in their order; none where
/// no bounds reach any, and then the graph is not to be used.
///
/// A unit is inactive if its result is the same on the whole box, and silent if its result at the image is at one of its
/// bounds, so that its derivative there is zero. Inactive units are silent. The numbers are shares of all units of the
/// activation.
///
/// # Errors
/// As [`flat_activations`].
pub(crate) fn inactive_units(graph: &mut Graph, images: ValueId) -> Result<Vec<ScannedNode>> {
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
    Ok(activations.into_iter().map(|activation| named(activation.node)).collect())
}

fn named(node: Node) -> ScannedNode {
    ScannedNode { name: node.name, operator: node.op_type }
}

/// Which units are inactive, and which are silent.
fn without_gradient(builder: &mut Builder<'_>, activation: &FlatActivation) -> Result<[ValueId; 2]> {
    let (value, ends) = (activation.output, activation.after);
    let inactive = builder.op("LessOrEqual", &[ends.upper, ends.lower])?;
    let at_lower = builder.op("LessOrEqual", &[value, ends.lower])?;
    let at_upper = builder.op("GreaterOrEqual", &[value, ends.upper])?;
    Ok([inactive, builder.op("Or", &[at_lower, at_upper])?])
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
