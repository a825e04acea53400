//! Cross-entropy.

use super::one_hot;
use crate::error::Result;
use crate::graph::{Builder, ValueId};

/// `−Σ_k y_k log p_k` `[N]` and its derivative by the logits, `p − y` `[N, K]`, for one-hot `y` and `p = softmax(z)`.
pub(super) fn cross_entropy(
    builder: &mut Builder<'_>,
    logits: ValueId,
    labels: ValueId,
    classes: usize,
) -> Result<(ValueId, ValueId)> {
    let one_hot = one_hot(builder, labels, classes, 1.0)?; // [N, K]
    let log_p = builder.op_with("LogSoftmax", &[logits], [("axis", 1.into())])?;
    let picked = builder.op("Mul", &[log_p, one_hot])?;
    let axis = builder.ints(&[1]);
    let log_p_label = builder.op_with("ReduceSum", &[picked, axis], [("keepdims", 0.into())])?; // [N]
    let loss = builder.op("Neg", &[log_p_label])?;
    let p = builder.op("Exp", &[log_p])?;
    Ok((loss, builder.op("Sub", &[p, one_hot])?))
}
