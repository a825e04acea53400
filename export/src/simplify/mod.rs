//! Rewrites a graph so that less is computed, and so that what is constant is seen to be constant.
//!
//! Exporters write the size of everything as arithmetic that runs with the model. [`simplify`] computes all of it that
//! does not depend on the images now: what remains needs the batch size or the pixels. Every rewrite keeps the
//! results of the graph for every batch size; only `gelu` and `affine` change the last bits.

mod affine;
mod fold;
mod gelu;
mod noop;
mod pairs;
#[cfg(test)]
mod tests;
mod unexpand;

use std::collections::HashMap;

use crate::error::Result;
use crate::graph::{Graph, ValueId};
use crate::shape;

/// Rewrites a graph at the working opset (see [`upgrade`](crate::upgrade)); its types are inferred anew.
///
/// # Errors
/// As [`shape::infer`].
pub fn simplify(graph: &mut Graph) -> Result<()> {
    fold::constants(graph)?;
    fold::reshape_targets(graph);
    unexpand::skip_expansions(graph);
    noop::remove(graph);
    pairs::merge(graph);
    noop::remove(graph);
    gelu::recognise(graph);
    affine::normalise_in_place(graph);
    affine::fold_into_weights(graph);
    affine::merge_biases(graph);
    graph.prune();
    shape::infer(graph)
}

/// How often each value is used, by nodes and as an output of the graph.
fn uses(graph: &Graph) -> HashMap<ValueId, usize> {
    let mut uses = HashMap::new();
    let inputs = graph.nodes().iter().flat_map(|node| node.inputs.iter().flatten());
    for id in inputs.chain(graph.outputs()) {
        *uses.entry(*id).or_default() += 1;
    }
    uses
}
