//! The operators of ours that a graph may hold for its engine.

use crate::autodiff::Kernels;
use crate::error::Result;
use crate::graph::Graph;
use crate::simplify::{fuse, turn_batch_last, use_image_gradients, use_products, use_winograd};

/// Replaces operators of a typed graph that is not differentiated any more by those that the engine has kernels for.
///
/// # Errors
/// As [`crate::shape::infer`].
pub(super) fn use_kernels(graph: &mut Graph, kernels: Kernels) -> Result<()> {
    if kernels == Kernels::Standard {
        return Ok(());
    }
    fuse(graph);
    if kernels.turn_batch_last() && turn_batch_last(graph) {
        return Ok(());
    }
    use_image_gradients(graph);
    use_winograd(graph)?;
    if let Some(factors) = kernels.factors() {
        use_products(graph, factors);
    }
    Ok(())
}
