//! Activations with a slope for negative numbers: they rise where it is not negative.

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
