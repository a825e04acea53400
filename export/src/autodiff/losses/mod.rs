//! Where the backward pass starts: one file for each family of losses.
//!
//! The nodes of a loss compute it from the logits and also write down its derivative by them, because both share most
//! of their nodes: one forward and one backward pass serve a step of an attack. What each loss takes is a row of the
//! table in `mimir_bundle` (`export/bundle/src/loss.rs`).

mod cross_entropy;
mod logits_ratio;
mod lost;
mod one_hot;
#[cfg(test)]
mod tests;

use mimir_bundle::{Loss, LossInput, tensor_names};

use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Builder, Dim, Graph, Shape, TensorType, ValueId};
use crate::operators::finite::FiniteValues;
use crate::tensor::DataType;

/// A class so far behind the others has no share in a softmax.
const NO_SHARE: f32 = 1e4;

/// Appends a loss with its inputs: returns the loss of each image, `[N]`, where the graph computes it, and the
/// cotangent of the logits, `[N, K]`.
///
/// # Errors
/// [`ErrorKind::NotAClassifier`] when the logits are not `[N, K]`, [`ErrorKind::Unsupported`] when there are fewer
/// classes than the loss compares, [`ErrorKind::Format`] when a name of the contract is taken.
pub(super) fn append(graph: &mut Graph, loss: Loss, logits: ValueId) -> Result<(Option<ValueId>, ValueId)> {
    let shape = graph.shape(logits)?.clone();
    let [_, Dim::Fixed(classes)] = shape.0[..] else {
        return Err(Error::new(ErrorKind::NotAClassifier, format!("has shape {shape}, wanted [N, K]"))
            .at_tensor(&graph.value(logits).name));
    };
    if classes < loss.min_classes() {
        return Err(Error::unsupported(format!(
            "{classes} classes, and the loss {loss:?} compares {}: use the loss Margin in its place",
            loss.min_classes()
        ))
        .at_tensor(&graph.value(logits).name));
    }
    let inputs = Inputs::add(graph, loss, &shape)?;
    let may_be_lost = !FiniteValues::new(graph).of(graph, logits).is_finite();
    let mut builder = Builder::new(graph, "loss");
    let logits = match loss {
        Loss::CrossEntropy if may_be_lost => lost::with_finite_scores(&mut builder, logits, NO_SHARE)?,
        Loss::Dlr | Loss::TargetedDlr if may_be_lost => lost::with_finite_scores(&mut builder, logits, 0.0)?,
        _ => logits,
    };
    let (value, cotangent) = match loss {
        Loss::CrossEntropy => {
            cross_entropy::cross_entropy(&mut builder, logits, inputs.get(LossInput::Labels)?, classes)?
        }
        Loss::Dlr => logits_ratio::dlr(&mut builder, logits, inputs.get(LossInput::Labels)?, classes)?,
        Loss::TargetedDlr => {
            let [label, target] = [inputs.get(LossInput::Labels)?, inputs.get(LossInput::Targets)?];
            logits_ratio::targeted_dlr(&mut builder, logits, [label, target], classes)?
        }
        Loss::Margin | Loss::RelaxedMargin => return Ok((None, inputs.get(LossInput::Cotangent)?)),
    };
    graph.rename(value, tensor_names::LOSS)?;
    Ok((Some(value), cotangent))
}

/// The inputs that the row of a loss declares, added to a graph.
struct Inputs {
    loss: Loss,
    ids: Vec<(LossInput, ValueId)>,
}

impl Inputs {
    /// Adds them in the order of the row; `logits` is the shape `[N, K]`.
    fn add(graph: &mut Graph, loss: Loss, logits: &Shape) -> Result<Self> {
        let classes = || (DataType::Int64, Shape(logits.0[..1].to_vec()));
        let mut ids = Vec::with_capacity(loss.inputs().len());
        for input in loss.inputs() {
            let (dtype, shape) = match input {
                LossInput::Labels | LossInput::Targets => classes(),
                LossInput::Cotangent => (DataType::Float32, logits.clone()),
                LossInput::Radius => (DataType::Float32, Shape(logits.0[..1].to_vec())),
            };
            let id = graph.add_value(input.name(), Some(TensorType { dtype, shape }))?;
            graph.add_input(id);
            ids.push((*input, id));
        }
        Ok(Self { loss, ids })
    }

    /// One of them.
    fn get(&self, input: LossInput) -> Result<ValueId> {
        let found = self.ids.iter().find(|(declared, _)| *declared == input);
        found.map(|(_, id)| *id).ok_or_else(|| {
            Error::unsupported(format!("the row of the loss {:?} does not declare {input:?}", self.loss))
        })
    }
}
