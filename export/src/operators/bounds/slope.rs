//! Activations with a slope for negative numbers, which rise where it is not negative, and such with one valley, which
//! fall before it and rise behind.

use super::ends::{rising, rising_in_the_first};
use super::step::{BoundsStep, Interval};
use crate::error::Result;
use crate::tensor::Tensor;

/// Slope by the attribute `alpha`.
pub(crate) fn leaky_relu(step: &mut BoundsStep<'_, '_>) -> Result<Option<Vec<Interval>>> {
    if step.node().attributes.float("alpha", 0.01)? < 0.0 {
        return Ok(None);
    }
    rising(step)
}

/// Constant slopes, one for each channel or element.
pub(crate) fn p_relu(step: &mut BoundsStep<'_, '_>) -> Result<Option<Vec<Interval>>> {
    let slope = step.node().input(1)?;
    let slopes = step.builder().graph().constant(slope).and_then(Tensor::to_f32);
    match slopes {
        Some(slopes) if slopes.iter().all(|slope| *slope >= 0.0) => rising_in_the_first(step),
        _ => Ok(None),
    }
}

/// Lowest at −3/2.
pub(crate) fn hard_swish(step: &mut BoundsStep<'_, '_>) -> Result<Option<Vec<Interval>>> {
    valley(step, -1.5)
}

/// Lowest at −0.7518, of its approximation by a hyperbolic tangent too.
pub(crate) fn gelu(step: &mut BoundsStep<'_, '_>) -> Result<Option<Vec<Interval>>> {
    valley(step, -0.751_8)
}

/// Lowest where the interval is closest to the bottom, highest at one of its ends.
fn valley(step: &mut BoundsStep<'_, '_>, bottom: f32) -> Result<Option<Vec<Interval>>> {
    let Some(interval) = step.interval(0) else { return Ok(None) };
    let bottom = step.builder().scalar(bottom);
    let nearest = step.op("Max", &[interval.lower, bottom])?;
    let nearest = step.op("Min", &[nearest, interval.upper])?;
    let mut at = |x| step.again(vec![Some(x)]);
    let (lower, left, right) = (at(nearest)?[0], at(interval.lower)?[0], at(interval.upper)?[0]);
    let upper = step.op("Max", &[left, right])?;
    Ok(Some(vec![Interval { lower, upper }]))
}
