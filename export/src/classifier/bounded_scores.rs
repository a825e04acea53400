//! Scores that go on beyond a bound, such as that of a last Clip, in the order in which equal ones are ranked.
//!
//! Of equal scores the first class wins. At an upper bound a class before another need only reach the bound, however far
//! the other lies beyond it; a class behind wins only once the other has come back below. A search that follows the
//! scores before the bound sees neither: it goes where one rises over the other most steeply.
//!
//! So beyond a bound scores go on with slopes that differ by class: at the upper bound from nearly one for the first class
//! to nearly none for the last, at the lower bound the other way round. Between a class and one behind it, it then counts how
//! far the former lies beyond the upper bound, and not how far the latter does: what the file's ranking needs. Where there
//! are both bounds, the largest score is hardly ever at the lower one: scores there only have to leave it, and go on with
//! the same slope.

use super::class_axis::class_axis;
use super::order::{Effect, StepBack};
use crate::error::Result;
use crate::graph::{Builder, Dim, Graph, Node, ValueId};
use crate::tensor::{DataType, Tensor};

/// The exponents of two of the largest and the smallest slope.
const SLOPES: [f32; 2] = [-1.0, -13.0];

/// Appends the scores that `steps`, which go back from the output, lead to, made so; `None` where the last of them are no
/// bounds that leave other scores as they are.
pub(super) fn leaning(
    graph: &mut Graph,
    output: ValueId,
    steps: &[StepBack],
    batch: Dim,
    classes: usize,
) -> Result<Option<ValueId>> {
    let bounds = steps.iter().rev().take_while(|step| step.effect == Effect::Bounds).count();
    let (after, bounds) = steps.split_at(steps.len() - bounds);
    let Some(last) = bounds.last() else { return Ok(None) };
    let bounded = after.last().map_or(output, |step| step.before);
    let same = graph.tensor_type(bounded)?.dtype == DataType::Float32
        && graph.shape(bounded)? == graph.shape(last.before)?;
    let Some(axis) = class_axis(graph.shape(bounded)?, batch, classes).filter(|_| same) else {
        return Ok(None);
    };
    let producers = graph.producers();
    let nodes = std::iter::once(bounded).chain(bounds.iter().map(|step| step.before)).take(bounds.len());
    let nodes: Option<Vec<Node>> =
        nodes.map(|id| producers.get(&id).map(|id| graph.node(*id).clone())).collect();
    let Some(nodes) = nodes else { return Ok(None) };
    let rank = graph.shape(bounded)?.rank();
    let mut builder = Builder::new(graph, "scores");
    let unbounded = match &nodes[..] {
        [node] if node.op_type == "HardSigmoid" => {
            let (slope, offset) = (node.attributes.float("alpha", 0.2)?, node.attributes.float("beta", 0.5)?);
            let (slope, offset) = (builder.scalar(slope), builder.scalar(offset));
            let scaled = builder.op("Mul", &[last.before, slope])?;
            builder.op("Add", &[scaled, offset])?
        }
        nodes if nodes.iter().any(|node| node.op_type == "HardSigmoid") => return Ok(None),
        _ => last.before,
    };
    // The output may fall where the scores rise.
    let turns = after.iter().filter(|step| step.turns).count() % 2 == 1;
    let falling = slopes(classes);
    let lower = match has_both_bounds(&nodes) {
        true => vec![SLOPES[0].exp2(); classes],
        false => falling.iter().rev().copied().collect(),
    };
    let (above, below) = if turns { (lower, falling) } else { (falling, lower) };
    let dims: Vec<usize> = std::iter::once(classes).chain(std::iter::repeat_n(1, rank - 1 - axis)).collect();
    let (above, below) = (
        builder.constant(Tensor::from_f32(&dims, &above)),
        builder.constant(Tensor::from_f32(&dims, &below)),
    );
    // Not by Relu, whose units are counted.
    let beyond = builder.op("Sub", &[unbounded, bounded])?;
    let zero = builder.scalar(0.0);
    let is_below = builder.op("Less", &[beyond, zero])?;
    let slope = builder.op("Where", &[is_below, below, above])?;
    let beyond = builder.op("Mul", &[beyond, slope])?;
    builder.op("Add", &[bounded, beyond]).map(Some)
}

fn has_both_bounds(nodes: &[Node]) -> bool {
    let has = |bound: usize, op_types: &[&str]| {
        nodes.iter().any(|node| match node.op_type.as_str() {
            "HardSigmoid" => true,
            "Clip" => node.optional_input(bound).is_some(),
            op_type => op_types.contains(&op_type),
        })
    };
    has(1, &["Max", "Relu"]) && has(2, &["Min"])
}

/// One for each class, falling.
fn slopes(classes: usize) -> Vec<f32> {
    let [first, last] = SLOPES;
    let share = |class: usize| class as f32 / (classes - 1).max(1) as f32;
    (0..classes).map(|class| (first + (last - first) * share(class)).exp2()).collect()
}
