//! The static scan: what the operators of a model say about the reliability of its gradients.
//!
//! A zero gradient looks like robustness. The scan therefore names every operator on the path from the images to the
//! output whose gradient is zero or a straight-through estimate, every operator that draws random numbers, and every
//! operator through which the images of a batch influence each other, so that a verdict would depend on the other
//! images.

mod batch;
mod gradient;
mod scanned_node;
#[cfg(test)]
mod tests;

use mimir_bundle::{Scan, ScannedNode};

pub(crate) use batch::BatchAnalysis;
pub(crate) use scanned_node::scanned_node;

use crate::error::Result;
use crate::graph::{Graph, Node};
use crate::operators::is_random;
use crate::simplify::fold_shape_arithmetic;
use crate::working_copy::WorkingCopy;

/// Scans the working copy of a classifier; what mixes images is in `batch`, and what gradients are taken of is the first
/// output of `searched`.
pub(crate) fn scan(copy: &WorkingCopy, searched: &Graph, batch: &BatchAnalysis) -> Result<Scan> {
    let graph = &copy.graph;
    let gradient = gradient::scan(searched)?;
    Ok(Scan {
        gradient_cuts: gradient.cuts,
        straight_through: gradient.straight_through,
        random: scanned_nodes(graph.nodes().iter().filter(|node| is_random(graph, node))),
        mixes_images: batch.mixing.clone(),
        softmax_outputs: Vec::new(),
        float32_copy_of: copy.converted_types.iter().map(|dtype| dtype.long_name().to_owned()).collect(),
    })
}

fn scanned_nodes<'n>(nodes: impl Iterator<Item = &'n Node>) -> Vec<ScannedNode> {
    nodes.map(scanned_node).collect()
}

/// As [`batch::trace`], but if that finds mixing, the graph is traced again after its indices are folded.
///
/// PyTorch writes some views as a Gather from all pixels of a batch. Only the simplifier can see that each image reads
/// its own pixels.
pub(crate) fn batch(graph: &Graph) -> Result<BatchAnalysis> {
    let found = batch::trace(graph)?;
    if found.mixing.is_empty() {
        return Ok(found);
    }
    let mut folded = graph.clone();
    fold_shape_arithmetic(&mut folded)?;
    folded.prune();
    batch::trace(&folded)
}
