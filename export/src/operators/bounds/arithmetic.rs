//! Differences, products and absolute values of intervals (Moore, "Interval Analysis", 1966).

use super::ends::rising_or_falling;
use super::step::{BoundsStep, Interval};
use crate::error::Result;

/// `[a, b] − [c, d] = [a − d, b − c]`.
pub(crate) fn sub(step: &mut BoundsStep<'_, '_>) -> Result<Option<Vec<Interval>>> {
    let (left, right) = (step.ends(0)?, step.ends(1)?);
    let lower = step.op("Sub", &[left.lower, right.upper])?;
    let upper = step.op("Sub", &[left.upper, right.lower])?;
    Ok(Some(vec![Interval { lower, upper }]))
}

/// The least and the largest of the products of ends; a square is at least zero.
pub(crate) fn mul(step: &mut BoundsStep<'_, '_>) -> Result<Option<Vec<Interval>>> {
    let (Some(left), Some(right)) = (step.interval(0), step.interval(1)) else {
        return rising_or_falling(step);
    };
    if left == right {
        let Interval { lower, upper } = magnitude(step, left)?;
        let (lower, upper) = (step.op("Mul", &[lower, lower])?, step.op("Mul", &[upper, upper])?);
        return Ok(Some(vec![Interval { lower, upper }]));
    }
    let mut products = Vec::with_capacity(4);
    for left in [left.lower, left.upper] {
        for right in [right.lower, right.upper] {
            products.push(step.op("Mul", &[left, right])?);
        }
    }
    let (lower, upper) = (step.op("Min", &products)?, step.op("Max", &products)?);
    Ok(Some(vec![Interval { lower, upper }]))
}

/// By an exact divisor.
pub(crate) fn div(step: &mut BoundsStep<'_, '_>) -> Result<Option<Vec<Interval>>> {
    match step.interval(1) {
        None => rising_or_falling(step),
        Some(_) => Ok(None),
    }
}

/// Zero where the interval holds it, else the end that is closer to it; the end that is farther from it.
pub(crate) fn abs(step: &mut BoundsStep<'_, '_>) -> Result<Option<Vec<Interval>>> {
    let Some(interval) = step.interval(0) else { return Ok(None) };
    Ok(Some(vec![magnitude(step, interval)?]))
}

/// `|[a, b]| = [max(a, −b, 0), max(−a, b)]`.
fn magnitude(step: &mut BoundsStep<'_, '_>, interval: Interval) -> Result<Interval> {
    let Interval { lower, upper } = interval;
    let (minus_lower, minus_upper) = (step.op("Neg", &[lower])?, step.op("Neg", &[upper])?);
    let zero = step.builder().scalar(0.0);
    let nearest = step.op("Max", &[lower, minus_upper, zero])?;
    let farthest = step.op("Max", &[minus_lower, upper])?;
    Ok(Interval { lower: nearest, upper: farthest })
}
