//! Identity, Cast and CastLike: `y = x`. Ceil, Floor, Hardmax, Round and Sign, straight through: as if `y = x`.
//!
//! `dx = g`. A conversion that carries gradient goes from `float` to `float`: others are refused or cut the path, see
//! `autodiff/activity.rs`. The others have the derivative zero almost everywhere, so that a search would see nothing;
//! the straight-through estimator (Bengio, Léonard and Courville 2013, arXiv:1308.3432) takes each for its argument.
//! Operator pages: ONNX `Identity-16`, `Cast-13`, `CastLike-15`, `Ceil-13`, `Floor-13`, `Hardmax-13`, `Round-11`,
//! `Sign-13`.

use super::step::Step;
use crate::error::Result;

/// What conversions must keep.
/// `dx = g`.
pub(crate) fn identity(step: &mut Step<'_, '_>) -> Result<()> {
    let g = step.cotangent()?;
    step.send(0, |_| Ok(g))
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{Domain, Numbers, backward_text, batched, check, function};
    use crate::tensor::DataType;

    #[test]
    fn gradients_match_central_differences() {
        check("Identity and Cast", Domain::Real, batched(&[3]), |builder, x| {
            let same = builder.op("Identity", &[x])?;
            let cast = builder.cast(same, DataType::Float32)?;
            let cast = builder.op("CastLike", &[cast, same])?;
            let weight = builder.constant(Numbers::new(1).tensor(&[3, 2]));
            builder.op("MatMul", &[cast, weight])
        });
    }

    #[test]
    fn the_cotangent_passes_unchanged() {
        let graph = function(batched(&[3]), |builder, x| builder.op("Identity", &[x]));
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @"");
    }
}
