//! What the reductions other than sum and mean share: the axes, and cotangent and output with these axes kept.

use super::broadcast::reshape;
use super::reduce::{kept, reduced_axes};
use super::step::Step;
use crate::error::{Error, Result};
use crate::graph::{Shape, ValueId};

/// One reduction `y = f(x)`.
pub(super) struct Reduction {
    /// The input.
    pub(super) x: ValueId,
    /// The axes that are reduced, non-negative.
    pub(super) axes: Vec<usize>,
    /// Output, of the input's rank.
    pub(super) y: ValueId,
    /// Its cotangent, of the input's rank.
    pub(super) g: ValueId,
}

impl Reduction {
    /// The reduction of a node whose second input are the axes.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) when an axis is the batch: the gradients of different
    /// images would mix.
    pub(super) fn from_step(step: &mut Step<'_, '_>) -> Result<Self> {
        let axes = reduced_axes(step)?;
        Self::over(step, axes)
    }

    /// The reduction of a node over those axes.
    ///
    /// # Errors
    /// As [`Reduction::of`].
    pub(super) fn over(step: &mut Step<'_, '_>, axes: Vec<usize>) -> Result<Self> {
        let (x, y, g) = (step.input(0)?, step.output()?, step.cotangent()?);
        let shape = step.shape(x)?;
        check_axes(&shape, &axes)?;
        let kept = kept(&shape, &axes);
        let builder = step.builder();
        Ok(Self { x, axes, y: reshape(builder, y, &kept)?, g: reshape(builder, g, &kept)? })
    }
}

/// Refuses the batch among the axes that are reduced.
pub(super) fn check_axes(shape: &Shape, axes: &[usize]) -> Result<()> {
    match axes.iter().find(|axis| shape.0[**axis].fixed().is_none()) {
        None => Ok(()),
        Some(axis) => Err(Error::unsupported(format!(
            "it reduces axis {axis} of {shape}, which is the batch: gradients of different images would mix"
        ))),
    }
}
