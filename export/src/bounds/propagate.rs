//! The walk over the nodes, forwards.

use std::collections::{HashMap, HashSet};

use mimir_bundle::tensor_names;

use crate::error::Result;
use crate::graph::{Builder, Graph, Node, Shape, TensorType, ValueId};
use crate::operators::bounds::step::{BoundsStep, Interval};
use crate::operators::row::Bounds;
use crate::operators::{reads_sizes_only, table};
use crate::tensor::DataType;

/// An activation that is flat over stretches of its input, where its derivative is zero.
#[derive(Debug, Clone)]
pub(super) struct FlatActivation {
    pub(super) node: Node,
    /// Its result.
    pub(super) output: ValueId,
    /// Position of the input that depends on the images.
    pub(super) index: usize,
    /// Bounds of that input.
    pub(super) before: Interval,
    /// Bounds of the result.
    pub(super) after: Interval,
}

/// Adds the input `radius`, `f32 [N]`, to a graph with that input of images.
pub(crate) fn add_radius(graph: &mut Graph, images: ValueId) -> Result<ValueId> {
    let shape = Shape(graph.shape(images)?.0[..1].to_vec());
    let tensor_type = TensorType { dtype: DataType::Float32, shape };
    let radius = graph.add_value(tensor_names::RADIUS, Some(tensor_type))?;
    graph.add_input(radius);
    Ok(radius)
}

/// Appends bounds of everything that they can be told of, and returns the flat activations among it.
///
/// # Errors
/// As shape inference; never on a graph that it accepted.
pub(super) fn flat_activations(
    graph: &mut Graph,
    images: ValueId,
    radius: ValueId,
) -> Result<Vec<FlatActivation>> {
    let nodes = graph.nodes().to_vec();
    let mut walk = Walk { dependent: HashSet::from([images]), ..Walk::default() };
    let mut builder = Builder::new(graph, "bounds");
    walk.intervals.insert(images, pixels_within(&mut builder, images, radius)?);
    for node in &nodes {
        builder.set_prefix(format!("bounds/{}", node.name));
        walk.visit(&mut builder, node).map_err(|error| error.at_node(node))?;
    }
    Ok(walk.flat)
}

/// `[x − r, x + r]`, cut to `[0, 1]`.
fn pixels_within(builder: &mut Builder<'_>, images: ValueId, radius: ValueId) -> Result<Interval> {
    let rank = builder.graph().shape(images)?.rank() as i64;
    let axes = builder.ints(&(1..rank).collect::<Vec<i64>>());
    let radius = builder.op("Unsqueeze", &[radius, axes])?;
    let (zero, one) = (builder.scalar(0.0), builder.scalar(1.0));
    let below = builder.op("Sub", &[images, radius])?;
    let above = builder.op("Add", &[images, radius])?;
    Ok(Interval { lower: builder.op("Max", &[below, zero])?, upper: builder.op("Min", &[above, one])? })
}

/// What the walk has found so far.
#[derive(Default)]
struct Walk {
    /// Values that depend on the pixels.
    dependent: HashSet<ValueId>,
    /// Bounds of those that have some.
    intervals: HashMap<ValueId, Interval>,
    flat: Vec<FlatActivation>,
}

impl Walk {
    fn visit(&mut self, builder: &mut Builder<'_>, node: &Node) -> Result<()> {
        let dependent: Vec<usize> = (0..node.inputs.len())
            .filter(|index| node.optional_input(*index).is_some_and(|id| self.dependent.contains(&id)))
            .collect();
        if dependent.is_empty() || reads_sizes_only(node) {
            return Ok(());
        }
        self.dependent.extend(node.outputs.iter().flatten());
        let known =
            |index: &usize| node.optional_input(*index).is_some_and(|id| self.intervals.contains_key(&id));
        let rule = match table::find(&node.op_type).map(|row| row.bounds) {
            Some(Bounds::Known(rule) | Bounds::Flat(rule)) if dependent.iter().all(known) => rule,
            _ => return Ok(()),
        };
        let Some(found) = rule(&mut BoundsStep::new(builder, node, &self.intervals))? else { return Ok(()) };
        if let ([index], Some(after)) = (&dependent[..], found.first()) {
            self.keep_flat(builder.graph(), node, *index, *after)?;
        }
        for (output, interval) in node.outputs.iter().zip(found) {
            if let Some(output) = output {
                self.intervals.insert(*output, interval);
            }
        }
        Ok(())
    }

    /// Keeps the node if it is a flat activation of floats: a Max with a constant is one, where no other shape comes of it.
    fn keep_flat(&mut self, graph: &Graph, node: &Node, index: usize, after: Interval) -> Result<()> {
        let is_flat = table::find(&node.op_type).is_some_and(|row| matches!(row.bounds, Bounds::Flat(_)));
        let (input, output) = (node.input(index)?, node.output(0)?);
        let output_type = graph.tensor_type(output)?;
        let is_elementwise = output_type == graph.tensor_type(input)?;
        if is_flat && is_elementwise && output_type.dtype == DataType::Float32 {
            let before = self.intervals[&input];
            self.flat.push(FlatActivation { node: node.clone(), output, index, before, after });
        }
        Ok(())
    }
}
