//! Tile: a tensor repeated along its axes.
//!
//! `dx = Σ g` over the repetitions. Operator page: ONNX `Tile-13`.

use super::broadcast::reshape;
use super::step::Step;
use crate::error::{Error, Result};
use crate::graph::{Builder, Dim, Shape, ValueId};

/// `dx = Σ g`.
pub(crate) fn tile(step: &mut Step<'_, '_>) -> Result<()> {
    let (shape, g) = (step.shape(step.input(0)?)?, step.cotangent()?);
    let repeats = step.ints(1)?.unwrap_or_default();
    let repeats: Option<Vec<usize>> =
        repeats.iter().map(|count| usize::try_from(*count).ok().filter(|count| *count > 0)).collect();
    let repeats = repeats
        .filter(|repeats| repeats.len() == shape.rank())
        .ok_or_else(|| Error::unsupported(format!("its repeats do not fit {shape}, or one is zero")))?;
    step.send(0, |builder| summed(builder, g, &shape, &repeats))
}

/// Each repeated axis as two, of which the first is summed.
fn summed(builder: &mut Builder<'_>, g: ValueId, shape: &Shape, repeats: &[usize]) -> Result<ValueId> {
    let (mut split, mut axes) = (Vec::new(), Vec::new());
    for (dim, count) in shape.0.iter().zip(repeats) {
        if *count > 1 {
            axes.push(split.len() as i64);
            split.push(Dim::Fixed(*count));
        }
        split.push(*dim);
    }
    if axes.is_empty() {
        return Ok(g);
    }
    let split = reshape(builder, g, &Shape(split))?; // [.., repeats, dim, ..]
    let axes = builder.ints(&axes);
    builder.op_with("ReduceSum", &[split, axes], [("keepdims", 0.into())])
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{Domain, Numbers, adjoint, backward_text, batched, check, function};

    #[test]
    fn gradients_match_central_differences() {
        for repeats in [[1, 1, 1], [1, 3, 1], [1, 2, 4]] {
            check(&format!("{repeats:?}"), Domain::Real, batched(&[2, 3]), |builder, x| {
                let repeats_input = builder.ints(&repeats);
                let y = builder.op("Tile", &[x, repeats_input])?;
                let factor = [2 * repeats[1] as usize, 3 * repeats[2] as usize];
                let factor = builder.constant(Numbers::new(1).tensor(&factor));
                builder.op("Mul", &[y, factor])
            });
        }
    }

    #[test]
    fn repetitions_are_summed() {
        let graph = function(batched(&[2, 3]), |builder, x| {
            let repeats = builder.ints(&[1, 2, 4]);
            builder.op("Tile", &[x, repeats])
        });
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @r"
        const %gradient/f/Tile/constant: i64[5] = [-1, 2, 2, 4, 3]
        const %gradient/f/Tile/constant_2: i64[2] = [1, 3]
        %gradient/f/Tile/Reshape: f32[N, 2, 2, 4, 3] = Reshape(%g, %gradient/f/Tile/constant)
        %gradient/f/Tile/ReduceSum: f32[N, 2, 3] = ReduceSum(%gradient/f/Tile/Reshape, %gradient/f/Tile/constant_2) {keepdims = 0}
        %dx/Identity: f32[N, 2, 3] = Identity(%gradient/f/Tile/ReduceSum)
        ");
    }

    #[test]
    fn no_repetition_is_refused() {
        let graph = function(batched(&[2, 3]), |builder, x| {
            let repeats = builder.ints(&[1, 0, 2]);
            builder.op("Tile", &[x, repeats])
        });
        let error = adjoint(&graph.unwrap()).unwrap_err().to_string();
        assert!(error.contains("its repeats do not fit [N, 2, 3], or one is zero"), "{error}");
    }
}
