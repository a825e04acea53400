//! What becomes of the sums of a convolution before they are written.

use super::super::simd::{LANES, Lanes, Simd};

/// What becomes of the sums: `gate > 0 ? relu(sum + residual) : 0`, where a gate below the smallest normal number counts as zero. Both tensors have the shape of the output.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::session) struct Epilogue<'a> {
    /// Added.
    pub(in crate::session) residual: Option<&'a [f32]>,
    /// Whether what is below zero becomes zero.
    pub(in crate::session) relu: bool,
    /// Where it is not above zero, the output is zero.
    pub(in crate::session) gate: Option<&'a [f32]>,
}

/// [`Epilogue`] in registers.
pub(super) struct Ending<'a> {
    residual: Option<&'a [Lanes]>,
    relu: bool,
    gate: Option<&'a [Lanes]>,
}

impl<'a> Ending<'a> {
    pub(super) fn new(epilogue: Epilogue<'a>) -> Self {
        let registers = |tensor: &'a [f32]| tensor.as_chunks::<LANES>().0;
        Self {
            residual: epilogue.residual.map(registers),
            relu: epilogue.relu,
            gate: epilogue.gate.map(registers),
        }
    }

    /// What becomes of a sum, which goes to that register of the output.
    #[inline(always)]
    pub(super) fn of<S: Simd>(&self, simd: S, mut sum: S::V, at: usize) -> S::V {
        if let Some(residual) = self.residual {
            sum = simd.add(sum, simd.load(&residual[at]));
        }
        if self.relu {
            // What is not a number stays so.
            sum = simd.zero_below(sum, simd.splat(0.0), sum);
        }
        if let Some(gate) = self.gate {
            sum = simd.zero_below(simd.load(&gate[at]), simd.splat(f32::MIN_POSITIVE), sum);
        }
        sum
    }
}
