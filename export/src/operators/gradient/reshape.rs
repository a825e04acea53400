//! Reshape, Flatten, Squeeze and Unsqueeze: the same elements under other dimensions.
//!
//! `dx` is `g` under the dimensions of `x`. Operator pages: ONNX `Reshape-14`, `Flatten-13`, `Squeeze-13`,
//! `Unsqueeze-13`.

use super::broadcast;
use super::step::Step;
use crate::error::Result;

/// `dx = reshape(g, shape of x)`.
pub(crate) fn reshape(step: &mut Step<'_, '_>) -> Result<()> {
    let shape = step.shape(step.input(0)?)?;
    let g = step.cotangent()?;
    step.send(0, |builder| broadcast::reshape(builder, g, &shape))
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{Domain, Numbers, backward_text, batched, check, function};
    use crate::error::Result;
    use crate::graph::{Builder, ValueId};

    fn squared(builder: &mut Builder<'_>, value: ValueId) -> Result<ValueId> {
        builder.op("Mul", &[value, value])
    }

    #[test]
    fn gradients_match_central_differences() {
        for target in [&[-1, 6][..], &[0, 3, 2], &[-1, 3]] {
            check(&format!("Reshape to {target:?}"), Domain::Real, batched(&[2, 3]), |builder, x| {
                let target = builder.ints(target);
                let y = builder.op("Reshape", &[x, target])?;
                squared(builder, y)
            });
        }
        for axis in [1, 2, -1] {
            check(&format!("Flatten at {axis}"), Domain::Real, batched(&[2, 3, 2]), |builder, x| {
                let y = builder.op_with("Flatten", &[x], [("axis", axis.into())])?;
                squared(builder, y)
            });
        }
        for axes in [&[1][..], &[1, -1], &[-1]] {
            check(&format!("Squeeze and Unsqueeze {axes:?}"), Domain::Real, batched(&[3]), |builder, x| {
                let axes = builder.ints(axes);
                let stretched = builder.op("Unsqueeze", &[x, axes])?;
                let y = builder.op("Squeeze", &[stretched, axes])?;
                let factor = builder.constant(Numbers::new(1).tensor(&[3]));
                builder.op("Mul", &[y, factor])
            });
        }
    }

    #[test]
    fn the_batch_stays_dynamic() {
        let flat = function(batched(&[2, 3]), |builder, x| builder.op("Flatten", &[x]));
        insta::assert_snapshot!(backward_text(&flat.unwrap()), @r"
            const %gradient/f/Flatten/constant: i64[3] = [-1, 2, 3]
            %gradient/f/Flatten/Reshape: f32[N, 2, 3] = Reshape(%g, %gradient/f/Flatten/constant)
            %dx/Identity: f32[N, 2, 3] = Identity(%gradient/f/Flatten/Reshape)
        ");
    }
}
