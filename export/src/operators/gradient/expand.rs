//! Expand: repeats axes of size one.
//!
//! `dx = Σ g` over the repeated axes. Operator page: ONNX `Expand-13`.

use super::step::Step;
use crate::error::Result;

/// `dx = Σ g`.
pub(crate) fn expand(step: &mut Step<'_, '_>) -> Result<()> {
    let g = step.cotangent()?;
    step.send_summed(0, |_| Ok(g))
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{Domain, backward_text, batched, check, function};

    #[test]
    fn gradients_match_central_differences() {
        for target in [&[1, 4, 3][..], &[4, 1], &[5, 1, 4, 3], &[1]] {
            check(&format!("to {target:?}"), Domain::Real, batched(&[1, 3]), |builder, x| {
                let target = builder.ints(target);
                builder.op("Expand", &[x, target])
            });
        }
    }

    #[test]
    fn repeated_axes_are_summed() {
        let repeated = function(batched(&[1, 3]), |builder, x| {
            let target = builder.ints(&[5, 1, 4, 3]);
            builder.op("Expand", &[x, target])
        });
        insta::assert_snapshot!(backward_text(&repeated.unwrap()), @r"
            const %gradient/f/Expand/constant: i64[2] = [0, 2]
            const %gradient/f/Expand/constant_2: i64[3] = [-1, 1, 3]
            %gradient/f/Expand/ReduceSum: f32[1, N, 1, 3] = ReduceSum(%g, %gradient/f/Expand/constant) {keepdims = 1}
            %gradient/f/Expand/Reshape: f32[N, 1, 3] = Reshape(%gradient/f/Expand/ReduceSum, %gradient/f/Expand/constant_2)
            %dx/Identity: f32[N, 1, 3] = Identity(%gradient/f/Expand/Reshape)
        ");
    }
}
