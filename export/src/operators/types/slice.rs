//! Slice.

use crate::error::{Error, Result};
use crate::facts::Symbol;
use crate::facts::{NodeView, typed};
use crate::graph::{Dim, TensorType};

/// What a Slice takes of one axis: `start`, `start + step`, …, `length` elements in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AxisRange {
    /// First element.
    pub(crate) start: i64,
    /// Distance; negative to go backwards.
    pub(crate) step: i64,
    /// Number of elements.
    pub(crate) length: Dim,
}

/// `Slice(x, starts, ends, axes, steps)`
pub(crate) fn slice(view: &NodeView) -> Result<Vec<TensorType>> {
    let dims = axis_ranges(view)?.into_iter().map(|range| range.length).collect();
    Ok(vec![typed(view.dtype(0)?, dims)])
}

/// What a Slice takes of each axis of its input.
pub(crate) fn axis_ranges(view: &NodeView) -> Result<Vec<AxisRange>> {
    let shape = view.shape(0)?;
    let (starts, ends) = (view.symbols(1)?, view.symbols(2)?);
    let axes: Vec<i64> = match view.optional_ints(3)? {
        Some(axes) => axes,
        None => (0..starts.len() as i64).collect(),
    };
    let steps = view.optional_ints(4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()].iter().any(|count| *count != starts.len()) {
        return Err(Error::shape(format!(
            "{} starts, {} ends, {} axes and {} steps",
            starts.len(),
            ends.len(),
            axes.len(),
            steps.len()
        )));
    }
    let whole = |dim: &Dim| AxisRange { start: 0, step: 1, length: *dim };
    let mut ranges: Vec<AxisRange> = shape.0.iter().map(whole).collect();
    for (index, axis) in axes.iter().enumerate() {
        let axis = shape.axis(*axis)?;
        let range = match shape.0[axis] {
            Dim::Fixed(size) => fixed_range(size, starts[index], ends[index], steps[index]),
            batch => batch_range(batch, starts[index], ends[index], steps[index]),
        };
        ranges[axis] = range.ok_or_else(|| {
            let taken = format!("{:?}..{:?} in steps of {}", starts[index], ends[index], steps[index]);
            Error::shape(format!(
                "takes {taken} of axis {axis} of {shape}, whose length is known only at run time"
            ))
        })?;
    }
    Ok(ranges)
}

fn fixed_range(size: usize, start: Symbol, end: Symbol, step: i64) -> Option<AxisRange> {
    let size = i64::try_from(size).ok()?;
    let (start, end) = (start.int()?, end.int()?);
    let from_end = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
    let (lowest, highest) = if step > 0 { (0, size) } else { (-1, size - 1) };
    let first = from_end(start).clamp(lowest.max(0), highest.max(0));
    // A very negative end means "past the first element" when going backwards.
    let last = from_end(end).clamp(lowest, highest);
    let distance = if step > 0 { last - first } else { first - last };
    let step_length = i64::try_from(step.unsigned_abs()).ok().filter(|length| *length > 0)?;
    let length = if size == 0 || distance <= 0 { 0 } else { (distance - 1) / step_length + 1 };
    Some(AxisRange { start: first, step, length: Dim::Fixed(usize::try_from(length).ok()?) })
}

/// Of the batch, only all of it can be taken.
fn batch_range(batch: Dim, start: Symbol, end: Symbol, step: i64) -> Option<AxisRange> {
    let to_the_end = match end {
        Symbol::Int(end) => end >= i64::from(i32::MAX),
        symbol => symbol == Symbol::from(batch),
    };
    (start == Symbol::Int(0) && to_the_end && step == 1).then_some(AxisRange {
        start: 0,
        step: 1,
        length: batch,
    })
}
