//! Where the backward pass starts: one file per loss.
//!
//! A head with a loss computes it from the logits and also writes down its derivative, because both share most of
//! their nodes: one forward and one backward pass serve a step of an attack.

mod cross_entropy;
mod logits_ratio;
mod one_hot;
#[cfg(test)]
mod tests;

use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Builder, Dim, Graph, Shape, TensorType, ValueId};
use crate::tensor::DataType;

/// What the gradient graph differentiates, one scalar per image.
///
/// | head | inputs | outputs |
/// | --- | --- | --- |
/// | `Cotangent` | `images`, `cotangent` f32 `[N, K]` | `logits`, `images_gradient` |
/// | `CrossEntropy` | `images`, `labels` int64 `[N]` | `logits`, `loss` f32 `[N]`, `images_gradient` |
/// | `Dlr` | `images`, `labels` int64 `[N]` | `logits`, `loss` f32 `[N]`, `images_gradient` |
/// | `TargetedDlr` | `images`, `labels` int64 `[N]`, `targets` int64 `[N]` | `logits`, `loss` f32 `[N]`, `images_gradient` |
///
/// Labels and targets must lie in `[0, K)`, which the caller checks: the graph counts `-K..0` from the last class, as
/// OneHot does, and takes any other for "no class".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LossHead {
    /// `Σ_k cotangent_k · z_k` for a cotangent that the caller feeds: any loss of the logits `z`.
    Cotangent,
    /// Cross-entropy `log Σ_k exp z_k − z_y` of logits `z` and label `y`, computed stably.
    CrossEntropy,
    /// Difference of logits ratio `(max_{j≠y} z_j − z_y) / (z_(1) − z_(3) + 1e-12)`, where `z_(r)` is the `r`-th
    /// largest logit; at least 3 classes (Croce and Hein 2020).
    Dlr,
    /// Towards class `t`: `(z_t − z_y) / (z_(1) − ½(z_(3) + z_(4)) + 1e-12)`; at least 4 classes (Croce and Hein
    /// 2020).
    TargetedDlr,
}

/// Appends the head: returns the per-image loss, where the head has one, and the cotangent of the logits.
///
/// # Errors
/// [`ErrorKind::NotAClassifier`] when the logits are not `[N, K]`, [`ErrorKind::Unsupported`] when there are fewer
/// classes than the loss compares, [`ErrorKind::Format`] when a name of the contract is taken.
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
    let (loss, seed) = match head {
        LossHead::Cotangent => return Ok((None, add_input(graph, "cotangent", DataType::Float32, shape)?)),
        LossHead::CrossEntropy => {
            let labels = add_classes(graph, "labels", batch)?;
            cross_entropy::cross_entropy(&mut builder(graph), logits, labels, classes)?
        }
        LossHead::Dlr => {
            let labels = add_classes(graph, "labels", batch)?;
            logits_ratio::dlr(&mut builder(graph), logits, labels, classes)?
        }
        LossHead::TargetedDlr => {
            let labels = add_classes(graph, "labels", batch)?;
            let targets = add_classes(graph, "targets", batch)?;
            logits_ratio::targeted_dlr(&mut builder(graph), logits, [labels, targets], classes)?
        }
    };
    graph.rename(loss, "loss")?;
    Ok((Some(loss), seed))
}

fn builder(graph: &mut Graph) -> Builder<'_> {
    Builder::new(graph, "loss")
}

/// An input with one class an image.
fn add_classes(graph: &mut Graph, name: &str, batch: Dim) -> Result<ValueId> {
    add_input(graph, name, DataType::Int64, Shape(vec![batch]))
}

fn add_input(graph: &mut Graph, name: &str, dtype: DataType, shape: Shape) -> Result<ValueId> {
    let id = graph.add_value(name, Some(TensorType { dtype, shape }))?;
    graph.add_input(id);
    Ok(id)
}
