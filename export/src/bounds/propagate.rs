//! The walk over the nodes, forwards.

use std::collections::{HashMap, HashSet};

use mimir_bundle::tensor_names;

use crate::error::Result;
use crate::graph::{Builder, Graph, Node, Shape, TensorType, ValueId};
use crate::operators::bounds::step::{BoundsStep, Interval};
use crate::operators::row::{Bounds, Limits};
use crate::operators::{reads_sizes_only, table};
use crate::tensor::DataType;

/// An activation that is flat over stretches of its input, where its derivative is zero, or nearly so.
#[derive(Debug, Clone)]
pub(super) struct FlatActivation {
    pub(super) node: Node,
    /// Its result.
    pub(super) output: ValueId,
    /// Position of the input that depends on the images.
    pub(super) index: usize,
    /// Bounds of that input, where they are known.
    pub(super) before: Option<Interval>,
    /// Bounds of the result, where they are known.
    pub(super) after: Option<Interval>,
    /// What its results tend to; none where it is flat in between too.
    pub(super) limits: Option<Limits>,
}

/// Adds the input `radius`, `f32 [N]`, to a graph with that input of images.
pub(crate) fn add_radius(graph: &mut Graph, images: ValueId) -> Result<ValueId> {
    let shape = Shape(graph.shape(images)?.0[..1].to_vec());
    let tensor_type = TensorType { dtype: DataType::Float32, shape };
    let radius = graph.add_value(tensor_names::RADIUS, Some(tensor_type))?;
    graph.add_input(radius);
    Ok(radius)
}

/// Appends bounds of everything that they can be told of, and returns the flat activations: those that bounds reach, and all that
/// tend to limits.
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
        let bounds = table::find(&node.op_type).map_or(Bounds::Unknown, |row| row.bounds);
        let found = match bounds {
            Bounds::Known(rule) | Bounds::Flat(rule) | Bounds::Saturating(rule, _)
                if dependent.iter().all(known) =>
            {
                rule(&mut BoundsStep::new(builder, node, &self.intervals))?.unwrap_or_default()
            }
            _ => Vec::new(),
        };
        if let [index] = dependent[..] {
            self.keep_flat(builder.graph(), node, (bounds, index), found.first().copied())?;
        }
        for (output, interval) in node.outputs.iter().zip(found) {
            if let Some(output) = output {
                self.intervals.insert(*output, interval);
            }
        }
        Ok(())
    }

    /// Keeps the node if it is a flat activation of floats: a Max with a constant is one, where no other shape comes of it.
    fn keep_flat(
        &mut self,
        graph: &Graph,
        node: &Node,
        (bounds, index): (Bounds, usize),
        after: Option<Interval>,
    ) -> Result<()> {
        let limits = match bounds {
            Bounds::Saturating(_, limits) => Some(limits),
            Bounds::Flat(_) if after.is_some() => None,
            _ => return Ok(()),
        };
        let (input, output) = (node.input(index)?, node.output(0)?);
        let output_type = graph.tensor_type(output)?;
        // As elements do, rows keep their shape.
        let keeps_shape = output_type == graph.tensor_type(input)?;
        let is_alone = limits == Some(Limits::OneOfRow) && row_length(node, &output_type.shape)? < Some(2);
        if keeps_shape && !is_alone && output_type.dtype == DataType::Float32 {
            let before = self.intervals.get(&input).copied();
            self.flat.push(FlatActivation { node: node.clone(), output, index, before, after, limits });
        }
        Ok(())
    }
}

/// Elements of a row of a Softmax; none where the batch runs along it. A row of one is 1 whatever it comes from.
fn row_length(node: &Node, shape: &Shape) -> Result<Option<usize>> {
    let axis = node.attributes.int("axis", -1)?;
    let axis = if axis < 0 { axis + shape.rank() as i64 } else { axis };
    Ok(usize::try_from(axis).ok().and_then(|axis| shape.0.get(axis)).and_then(|dim| dim.fixed()))
}
