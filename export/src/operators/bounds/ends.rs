//! Operators whose bounds are their own values at the ends of the interval.

use super::step::{BoundsStep, Interval};
use crate::error::Result;
use crate::graph::ValueId;

/// No output falls where an input rises: lower ends to lower ends, upper ends to upper ends. Inputs that move elements
/// (indices, shapes) or set parameters must be exact, which their integer types or their rules see to.
pub(crate) fn rising(step: &mut BoundsStep<'_, '_>) -> Result<Option<Vec<Interval>>> {
    let (lower, upper) = at_both_ends(step)?;
    Ok(Some(paired(lower, upper)))
}

/// As [`rising`] in the first input, where no other is an interval.
pub(crate) fn rising_in_the_first(step: &mut BoundsStep<'_, '_>) -> Result<Option<Vec<Interval>>> {
    match (step.interval(0), step.bounded_inputs()) {
        (Some(_), 1) => rising(step),
        _ => Ok(None),
    }
}

/// Each output element rises or falls with one element of the one interval: an affine function of it.
pub(crate) fn rising_or_falling(step: &mut BoundsStep<'_, '_>) -> Result<Option<Vec<Interval>>> {
    if step.bounded_inputs() != 1 {
        return Ok(None);
    }
    let (one, other) = at_both_ends(step)?;
    let mut intervals = Vec::with_capacity(one.len());
    for (one, other) in one.into_iter().zip(other) {
        let lower = step.op("Min", &[one, other])?;
        let upper = step.op("Max", &[one, other])?;
        intervals.push(Interval { lower, upper });
    }
    Ok(Some(intervals))
}

/// Nothing is known of what follows.
pub(crate) fn unknown(_: &mut BoundsStep<'_, '_>) -> Result<Option<Vec<Interval>>> {
    Ok(None)
}

/// All outputs of the operator at the lower ends of its intervals, and at the upper ends.
fn at_both_ends(step: &mut BoundsStep<'_, '_>) -> Result<(Vec<ValueId>, Vec<ValueId>)> {
    let inputs = &step.node().inputs;
    let end =
        |index: usize, choose: fn(Interval) -> ValueId| step.interval(index).map(choose).or(inputs[index]);
    let lower = (0..inputs.len()).map(|index| end(index, |ends| ends.lower)).collect();
    let upper = (0..inputs.len()).map(|index| end(index, |ends| ends.upper)).collect();
    Ok((step.again(lower)?, step.again(upper)?))
}

fn paired(lower: Vec<ValueId>, upper: Vec<ValueId>) -> Vec<Interval> {
    lower.into_iter().zip(upper).map(|(lower, upper)| Interval { lower, upper }).collect()
}
