//! Where the backward pass starts.

use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Builder, Dim, Graph, Shape, TensorType, ValueId};
use crate::tensor::{DataType, Tensor};

/// What the gradient graph differentiates, one scalar per image.
///
/// | head | inputs | outputs |
/// | --- | --- | --- |
/// | `Cotangent` | `images`, `cotangent` f32 `[N, K]` | `logits`, `images_gradient` |
/// | `CrossEntropy` | `images`, `labels` int64 `[N]` | `logits`, `loss` f32 `[N]`, `images_gradient` |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LossHead {
    /// `Σ_k cotangent_k · z_k` for a cotangent that the caller feeds: any loss of the logits `z`.
    Cotangent,
    /// Cross-entropy `log Σ_k exp z_k − z_y` of logits `z` and label `y`, computed stably.
    ///
    /// Labels must lie in `[0, K)`, which the caller checks: the graph counts `-K..0` from the last class, as OneHot
    /// does, and takes any other label for "no class".
    CrossEntropy,
}

/// Appends the head: returns the per-image loss, where the head has one, and the cotangent of the logits.
///
/// # Errors
/// [`ErrorKind::NotAClassifier`] when the logits are not `[N, K]`, or a name of the contract is taken.
pub(super) fn append(
    graph: &mut Graph,
    head: LossHead,
    logits: ValueId,
) -> Result<(Option<ValueId>, ValueId)> {
    let shape = graph.shape(logits)?.clone();
    let [batch, Dim::Fixed(classes)] = shape.0[..] else {
        return Err(Error::new(ErrorKind::NotAClassifier, format!("has shape {shape}, wanted [N, K]"))
            .at_tensor(&graph.value(logits).name));
    };
    match head {
        LossHead::Cotangent => Ok((None, add_input(graph, "cotangent", DataType::Float32, shape)?)),
        LossHead::CrossEntropy => {
            let labels = add_input(graph, "labels", DataType::Int64, Shape(vec![batch]))?;
            let (loss, seed) = cross_entropy(&mut Builder::new(graph, "loss"), logits, labels, classes)?;
            graph.rename(loss, "loss")?;
            Ok((Some(loss), seed))
        }
    }
}

fn add_input(graph: &mut Graph, name: &str, dtype: DataType, shape: Shape) -> Result<ValueId> {
    let id = graph.add_value(name, Some(TensorType { dtype, shape }))?;
    graph.add_input(id);
    Ok(id)
}

/// `−Σ_k y_k log p_k` `[N]` and its derivative by the logits, `p − y` `[N, K]`, for one-hot `y` and `p = softmax(z)`.
fn cross_entropy(
    builder: &mut Builder<'_>,
    logits: ValueId,
    labels: ValueId,
    classes: usize,
) -> Result<(ValueId, ValueId)> {
    let depth = builder.constant(Tensor::vector_i64(&[classes as i64]));
    let off_on = builder.constant(Tensor::from_f32(&[2], &[0.0, 1.0]));
    let one_hot = builder.op("OneHot", &[labels, depth, off_on])?; // [N, K]
    let log_p = builder.op_with("LogSoftmax", &[logits], [("axis", 1.into())])?;
    let picked = builder.op("Mul", &[log_p, one_hot])?;
    let axis = builder.ints(&[1]);
    let log_p_label = builder.op_with("ReduceSum", &[picked, axis], [("keepdims", 0.into())])?; // [N]
    let loss = builder.op("Neg", &[log_p_label])?;
    let p = builder.op("Exp", &[log_p])?;
    Ok((loss, builder.op("Sub", &[p, one_hot])?))
}
