//! The attribute `post_transform` of classifiers: a function of the scores.

use crate::error::{Error, Result};
use crate::graph::{Builder, Node, ValueId};

/// SOFTMAX_ZERO treats scores of a smaller magnitude as zero.
const ZERO: f32 = 1e-7;

/// The function that is applied to the scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PostTransform {
    None,
    Logistic,
    Softmax,
    SoftmaxZero,
    Probit,
}

impl PostTransform {
    /// Reads the attribute.
    ///
    /// # Errors
    /// For another name.
    pub(super) fn from_node(node: &Node) -> Result<Self> {
        Ok(match node.attributes.text("post_transform", "NONE")? {
            "NONE" => Self::None,
            "LOGISTIC" => Self::Logistic,
            "SOFTMAX" => Self::Softmax,
            "SOFTMAX_ZERO" => Self::SoftmaxZero,
            "PROBIT" => Self::Probit,
            other => {
                return Err(Error::format(format!(
                    "attribute `post_transform` is `{other}`, wanted NONE, LOGISTIC, SOFTMAX, SOFTMAX_ZERO or PROBIT"
                )));
            }
        })
    }

    /// Applies it to scores `[N, K]`.
    pub(super) fn apply(self, builder: &mut Builder<'_>, scores: ValueId) -> Result<ValueId> {
        match self {
            Self::None => Ok(scores),
            Self::Logistic => builder.op("Sigmoid", &[scores]),
            Self::Softmax => builder.op("Softmax", &[scores]),
            Self::SoftmaxZero => softmax_zero(builder, scores),
            Self::Probit => probit(builder, scores),
        }
    }
}

/// Softmax over the scores that are not zero; one that is becomes `score·exp(−largest)` over the sum of the others.
fn softmax_zero(builder: &mut Builder<'_>, scores: ValueId) -> Result<ValueId> {
    let (axes, least, zero) = (builder.ints(&[1]), builder.scalar(ZERO), builder.scalar(0.0));
    let largest = builder.op("ReduceMax", &[scores, axes])?;
    let below = builder.op("Sub", &[scores, largest])?;
    let exponential = builder.op("Exp", &[below])?;
    let size = builder.op("Abs", &[scores])?;
    let counts = builder.op("Greater", &[size, least])?;
    let counted = builder.op("Where", &[counts, exponential, zero])?;
    let sum = builder.op("ReduceSum", &[counted, axes])?;
    let negated = builder.op("Neg", &[largest])?;
    let factor = builder.op("Exp", &[negated])?;
    let small = builder.op("Mul", &[scores, factor])?;
    let chosen = builder.op("Where", &[counts, exponential, small])?;
    builder.op("Div", &[chosen, sum])
}

/// `√2·erf⁻¹(2p − 1)` as ONNX Runtime approximates it, after Winitzki (2008), "A handy approximation for the error
/// function and its inverse": with `l = ln(1 − x²)` and `v = 2/(π·0.147) + l/2` it is `sign(x)·√(√(v² − l/0.147) − v)`.
#[expect(clippy::approx_constant, reason = "the digits of π that ONNX Runtime has")]
fn probit(builder: &mut Builder<'_>, scores: ValueId) -> Result<ValueId> {
    const A: f32 = 0.147;
    let [two, one, half] = [2.0, 1.0, 0.5].map(|value| builder.scalar(value));
    let doubled = builder.op("Mul", &[scores, two])?;
    let x = builder.op("Sub", &[doubled, one])?;
    let (below, above) = (builder.op("Sub", &[one, x])?, builder.op("Add", &[one, x])?);
    let product = builder.op("Mul", &[below, above])?;
    let logarithm = builder.op("Log", &[product])?;
    let halved = builder.op("Mul", &[logarithm, half])?;
    let offset = builder.scalar(2.0 / (3.141_59 * A));
    let v = builder.op("Add", &[halved, offset])?;
    let square = builder.op("Mul", &[v, v])?;
    let inverse = builder.scalar(1.0 / A);
    let scaled = builder.op("Mul", &[logarithm, inverse])?;
    let difference = builder.op("Sub", &[square, scaled])?;
    let root = builder.op("Sqrt", &[difference])?;
    let rest = builder.op("Sub", &[root, v])?;
    let size = builder.op("Sqrt", &[rest])?;
    let negated = builder.op("Neg", &[size])?;
    let zero = builder.scalar(0.0);
    let is_negative = builder.op("Less", &[x, zero])?;
    let inverse_error = builder.op("Where", &[is_negative, negated, size])?;
    let factor = builder.scalar(std::f32::consts::SQRT_2);
    builder.op("Mul", &[inverse_error, factor])
}
