//! Products with an exact factor: matrix products and convolutions.
//!
//! With centre `c` and radius `r` of the interval, `W·x` lies within `W·c ± |W|·r` (Gowal et al., "On the effectiveness
//! of interval bound propagation for training verifiably robust models", 2018, equation 6).

use super::step::{BoundsStep, Interval};
use crate::error::Result;
use crate::graph::ValueId;

/// A matrix product of which one factor is exact.
pub(crate) fn mat_mul(step: &mut BoundsStep<'_, '_>) -> Result<Option<Vec<Interval>>> {
    match (step.interval(0), step.interval(1)) {
        (Some(factor), None) => linear(step, 0, factor).map(Some),
        (None, Some(factor)) => linear(step, 1, factor).map(Some),
        _ => Ok(None),
    }
}

/// `α·A·B + β·C` of which one factor and the summand are exact.
pub(crate) fn gemm(step: &mut BoundsStep<'_, '_>) -> Result<Option<Vec<Interval>>> {
    if step.interval(2).is_some() {
        return Ok(None);
    }
    mat_mul(step)
}

/// A convolution, transposed or not, with exact weights and bias.
pub(crate) fn conv(step: &mut BoundsStep<'_, '_>) -> Result<Option<Vec<Interval>>> {
    match (step.interval(0), step.bounded_inputs()) {
        (Some(images), 1) => linear(step, 0, images).map(Some),
        _ => Ok(None),
    }
}

/// The operator at the centre of input `bounded`, plus and minus its linear part, of absolute weights, at the radius.
fn linear(step: &mut BoundsStep<'_, '_>, bounded: usize, interval: Interval) -> Result<Vec<Interval>> {
    let half = step.builder().scalar(0.5);
    let sum = step.op("Add", &[interval.lower, interval.upper])?;
    let width = step.op("Sub", &[interval.upper, interval.lower])?;
    let (centre, radius) = (step.op("Mul", &[sum, half])?, step.op("Mul", &[width, half])?);
    let weights = step.node().input(1 - bounded)?;
    let absolute = step.op("Abs", &[weights])?;

    let mut inputs = step.node().inputs.clone();
    inputs[bounded] = Some(centre);
    let at_centre = first(&step.again(inputs)?);
    let mut factors = vec![None; 2];
    (factors[bounded], factors[1 - bounded]) = (Some(radius), Some(absolute));
    let spread = first(&step.again(factors)?);
    // A negative α of Gemm.
    let spread = step.op("Abs", &[spread])?;
    let lower = step.op("Sub", &[at_centre, spread])?;
    let upper = step.op("Add", &[at_centre, spread])?;
    Ok(vec![Interval { lower, upper }])
}

/// These operators have one output.
fn first(outputs: &[ValueId]) -> ValueId {
    outputs[0]
}
