//! The static scan: what the operators of a model say about how far its gradients can be trusted.
//!
//! A zero gradient looks like robustness. The scan therefore names every operator on the path from the images to the
//! output that has none, or only a stand-in; those that draw random numbers; and those through which the images of a batch
//! influence each other, so that a verdict would depend on its neighbours.

mod batch;
mod gradient;
#[cfg(test)]
mod tests;

use mimir_bundle::{Scan, ScannedNode};

pub(crate) use batch::Batch;

use crate::error::Result;
use crate::graph::{Graph, Node};
use crate::lower::WorkingCopy;
use crate::random_operators::is_random;
use crate::simplify::work_out_shapes;

/// Scans the working copy of a classifier; what mixes images is in `batch`.
pub(crate) fn scan(copy: &WorkingCopy, batch: &Batch) -> Result<Scan> {
    let graph = &copy.graph;
    let gradient = gradient::scan(graph)?;
    Ok(Scan {
        gradient_cuts: gradient.cuts,
        straight_through: gradient.straight_through,
        random: named(graph.nodes().iter().filter(|node| is_random(graph, node))),
        mixes_images: batch.mixing.clone(),
        softmax_outputs: Vec::new(),
        float32_copy_of: copy.lifted.iter().map(|dtype| dtype.long_name().to_owned()).collect(),
    })
}

fn named<'n>(nodes: impl Iterator<Item = &'n Node>) -> Vec<ScannedNode> {
    nodes.map(name).collect()
}

/// The node as a report names it.
pub(crate) fn name(node: &Node) -> ScannedNode {
    ScannedNode { name: node.name.clone(), operator: node.op_type.clone() }
}

/// Whether any of a node's inputs satisfies a condition.
fn reads(node: &Node, condition: impl Fn(&crate::graph::ValueId) -> bool) -> bool {
    node.inputs.iter().flatten().any(condition)
}

/// As [`batch::of`]: what the file mixes, or what it is seen to mix once its indices are worked out.
///
/// PyTorch writes some views as a choice from all pixels of a batch. It takes the simplifier to see that each image is given
/// its own.
pub(crate) fn batch(graph: &Graph) -> Result<Batch> {
    let found = batch::of(graph)?;
    if found.mixing.is_empty() {
        return Ok(found);
    }
    let mut worked_out = graph.clone();
    work_out_shapes(&mut worked_out)?;
    worked_out.prune();
    batch::of(&worked_out)
}
