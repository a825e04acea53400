//! The gradient graph of a simplified classifier, as fast as the engine that will run it allows.

use super::prefix;
use crate::autodiff::{Kernels, LossHead, differentiate};
use crate::error::Result;
use crate::graph::Graph;
use crate::simplify::{enter_blocks, fuse, open_gelus, take_out_factors, tidy};

/// Further names of the gradient graphs, which a file may have given to tensors of its own.
const ADDED_BY_DIFFERENTIATION: [&str; 5] = ["labels", "targets", "cotangent", "loss", "images_gradient"];

/// Logits, loss and input gradient of `forward`, whose sole output bears the name of logits.
///
/// # Errors
/// As [`differentiate`].
pub(crate) fn of(mut forward: Graph, head: LossHead, kernels: Kernels) -> Result<Graph> {
    for name in ADDED_BY_DIFFERENTIATION {
        prefix::free_name(&mut forward, name)?;
    }
    if kernels == Kernels::Standard {
        open_gelus(&mut forward)?;
    }
    let mut gradient = differentiate(&forward, head, kernels)?;
    drop(forward);
    take_out_factors(&mut gradient);
    if kernels == Kernels::Mimir {
        fuse(&mut gradient);
        if let Some(logits) = gradient.outputs().first().copied() {
            enter_blocks(&mut gradient, logits);
        }
    }
    let names: Vec<String> = gradient.outputs().iter().map(|id| gradient.value(*id).name.clone()).collect();
    tidy(&mut gradient);
    for (output, name) in gradient.outputs().to_vec().into_iter().zip(names) {
        prefix::claim_name(&mut gradient, output, &name)?;
    }
    Ok(gradient)
}
