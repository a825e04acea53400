//! Transpose: axes in another order.
//!
//! `dx` is `g` with the inverse permutation. Operator page: ONNX `Transpose-13`.

use super::step::Step;
use crate::error::Result;
use crate::graph::normalise_axis;

/// `dx = transpose(g, perm⁻¹)`.
pub(crate) fn transpose(step: &mut Step<'_, '_>) -> Result<()> {
    let rank = step.shape(step.input(0)?)?.rank();
    let g = step.cotangent()?;
    let inverse = match step.node().attributes.ints("perm")? {
        None => (0..rank as i64).rev().collect(),
        Some(permutation) => inverted(permutation, rank)?,
    };
    step.send(0, |builder| builder.op_with("Transpose", &[g], [("perm", inverse.into())]))
}

fn inverted(permutation: &[i64], rank: usize) -> Result<Vec<i64>> {
    let mut inverse = vec![0; rank];
    for (target, source) in permutation.iter().enumerate() {
        inverse[normalise_axis(*source, rank)?] = target as i64;
    }
    Ok(inverse)
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{Domain, Numbers, backward_text, batched, check, function};
    use crate::graph::Shape;

    #[test]
    fn gradients_match_central_differences() {
        for permutation in [[0, 2, 3, 1], [2, 0, 3, 1], [3, 1, 0, 2]] {
            check(&format!("{permutation:?}"), Domain::Real, batched(&[2, 3, 4]), |builder, x| {
                let y = builder.op_with("Transpose", &[x], [("perm", permutation.to_vec().into())])?;
                builder.op("Mul", &[y, y])
            });
        }
        check("reversed by default", Domain::Real, Shape::fixed(&[2, 3, 4]), |builder, x| {
            let y = builder.op("Transpose", &[x])?;
            let factor = builder.constant(Numbers::new(1).tensor(&[4, 3, 2]));
            builder.op("Mul", &[y, factor])
        });
    }

    #[test]
    fn the_permutation_is_inverted() {
        let heads = function(batched(&[2, 3, 4]), |builder, x| {
            builder.op_with("Transpose", &[x], [("perm", vec![2, 0, 3, 1].into())])
        });
        insta::assert_snapshot!(backward_text(&heads.unwrap()), @r"
            %gradient/f/Transpose/Transpose: f32[N, 2, 3, 4] = Transpose(%g) {perm = [1, 3, 0, 2]}
            %dx/Identity: f32[N, 2, 3, 4] = Identity(%gradient/f/Transpose/Transpose)
        ");
    }
}
