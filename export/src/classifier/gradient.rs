//! The gradient graph of a simplified classifier, optimised for the engine that will run it.

use mimir_bundle::{Loss, tensor_names};

use super::preprocessing;
use crate::autodiff::{Kernels, differentiate, differentiate_cut_open};
use crate::error::Result;
use crate::graph::Graph;
use crate::simplify::{
    clean_up, enter_blocked_layout, expand_gelu, factor_out_common, fuse, turn_batch_last,
    use_image_gradients, use_products, use_winograd,
};

/// Logits, loss and input gradient of `forward`, whose first output is named `logits`, and its further outputs.
///
/// # Errors
/// As [`differentiate`].
pub(crate) fn gradient_graph(mut forward: Graph, loss: Loss, kernels: Kernels) -> Result<Graph> {
    if kernels == Kernels::Standard {
        expand_gelu(&mut forward)?;
    }
    differentiated(forward, kernels, |forward| differentiate(forward, loss, kernels))
}

/// Logits and input gradient of `forward`, whose first output is named `logits` and whose last one are features, for
/// cotangents of both.
///
/// # Errors
/// As [`differentiate_cut_open`].
pub(crate) fn feature_gradient_graph(mut forward: Graph, kernels: Kernels) -> Result<Graph> {
    if kernels == Kernels::Standard {
        expand_gelu(&mut forward)?;
    }
    differentiated(forward, kernels, |forward| differentiate_cut_open(forward, kernels))
}

/// [`gradient_graph`] with standard operators, and no other weights than `forward` has.
///
/// # Errors
/// As [`differentiate`].
pub(crate) fn gradient_graph_keeping_weights(forward: Graph, loss: Loss) -> Result<Graph> {
    differentiated(forward, Kernels::Standard, |forward| differentiate(forward, loss, Kernels::Standard))
}

fn differentiated(
    mut forward: Graph,
    kernels: Kernels,
    differentiate: impl FnOnce(&Graph) -> Result<Graph>,
) -> Result<Graph> {
    // The file may have given these names to tensors of its own.
    for name in tensor_names::OF_GRADIENT_GRAPHS {
        preprocessing::release_name(&mut forward, name)?;
    }
    let mut gradient = differentiate(&forward)?;
    drop(forward);
    factor_out_common(&mut gradient);
    if kernels != Kernels::Standard {
        fuse(&mut gradient);
        let is_turned = kernels.turn_batch_last() && turn_batch_last(&mut gradient);
        if !is_turned {
            use_image_gradients(&mut gradient);
            use_winograd(&mut gradient)?;
        }
        if let Some(logits) = gradient.outputs().first().copied().filter(|_| !is_turned) {
            enter_blocked_layout(&mut gradient, logits);
        }
        if let Some(factors) = kernels.factors() {
            use_products(&mut gradient, factors);
        }
    }
    let names: Vec<String> = gradient.outputs().iter().map(|id| gradient.value(*id).name.clone()).collect();
    clean_up(&mut gradient);
    for (output, name) in gradient.outputs().to_vec().into_iter().zip(names) {
        preprocessing::assign_name(&mut gradient, output, &name)?;
    }
    Ok(gradient)
}
