//! ReduceMax, ReduceMin and GlobalMaxPool.
//!
//! `dx = g·[x = y]/c`, where `c` counts the elements that are equal to `y`: a tie is split evenly, as in PyTorch's
//! `amax`. Operator pages: ONNX `ReduceMax-20`, `ReduceMin-20`, `GlobalMaxPool-1`.

use super::reduction::Reduction;
use super::step::Step;
use super::sums;
use crate::error::Result;
use crate::tensor::DataType;

/// `dx = g·[x = y]/c`.
pub(crate) fn reduce_extremum(step: &mut Step<'_, '_>) -> Result<()> {
    let reduction = Reduction::from_step(step)?;
    split_evenly(step, &reduction)
}

/// `dx = g·[x = y]/c` over the spatial axes.
pub(crate) fn global_max_pool(step: &mut Step<'_, '_>) -> Result<()> {
    let rank = step.shape(step.input(0)?)?.rank();
    let reduction = Reduction::over(step, (2..rank).collect())?;
    split_evenly(step, &reduction)
}

fn split_evenly(step: &mut Step<'_, '_>, reduction: &Reduction) -> Result<()> {
    let Reduction { x, ref axes, y, g } = *reduction;
    step.send(0, |builder| {
        if axes.is_empty() {
            return Ok(g);
        }
        let equal = builder.op("Equal", &[x, y])?;
        let mask = builder.cast(equal, DataType::Float32)?;
        let count = sums::sum(builder, mask, axes)?;
        let share = builder.op("Div", &[g, count])?;
        builder.op("Mul", &[mask, share])
    })
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{
        Domain, adjoint, backward_text, batched, check, float, function, run, session,
    };

    #[test]
    fn gradients_match_central_differences() {
        for op_type in ["ReduceMax", "ReduceMin"] {
            for axes in [&[1][..], &[-1], &[2, 3], &[1, -1]] {
                for keepdims in [0, 1] {
                    let case = format!("{op_type} over {axes:?}, keepdims {keepdims}");
                    check(&case, Domain::Distinct, batched(&[2, 3, 4]), |builder, x| {
                        let axes = builder.ints(axes);
                        builder.op_with(op_type, &[x, axes], [("keepdims", keepdims.into())])
                    });
                }
            }
            check(&format!("{op_type} over none"), Domain::Distinct, batched(&[3]), |builder, x| {
                builder.op_with(op_type, &[x], [("noop_with_empty_axes", 1.into())])
            });
        }
        check("GlobalMaxPool", Domain::Distinct, batched(&[2, 3, 4]), |builder, x| {
            builder.op("GlobalMaxPool", &[x])
        });
    }

    #[test]
    fn a_tie_is_split_evenly() {
        let graph = function(batched(&[4]), |builder, x| {
            let axes = builder.ints(&[1]);
            builder.op_with("ReduceMax", &[x, axes], [("keepdims", 0.into())])
        });
        let x = [1.0, 2.0, 2.0, 0.0, 5.0, 5.0, 5.0, 5.0];
        let inputs = [float("x", &[2, 4], &x), float("g", &[2], &[6.0, 8.0])];
        let found = run(&mut session(&adjoint(&graph.unwrap()).unwrap()), &inputs);
        assert_eq!(found, [0.0, 3.0, 3.0, 0.0, 2.0, 2.0, 2.0, 2.0]);
    }

    #[test]
    fn a_maximum_over_the_batch_is_refused() {
        let graph = function(batched(&[3]), |builder, x| {
            builder.op_with("ReduceMax", &[x], [("keepdims", 1.into())])
        });
        let error = adjoint(&graph.unwrap()).unwrap_err().to_string();
        assert_eq!(
            error,
            "node `f/ReduceMax` (ReduceMax): it reduces axis 0 of [N, 3], which is the batch: gradients of different \
             images would mix"
        );
    }

    #[test]
    fn the_share_is_computed_before_the_repetition() {
        let graph = function(batched(&[2, 4]), |builder, x| builder.op("GlobalMaxPool", &[x]));
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @r"
            const %gradient/f/GlobalMaxPool/constant: i64[1] = [2]
            %gradient/f/GlobalMaxPool/Equal: bool[N, 2, 4] = Equal(%x, %f/GlobalMaxPool)
            %gradient/f/GlobalMaxPool/Cast: f32[N, 2, 4] = Cast(%gradient/f/GlobalMaxPool/Equal) {to = 1}
            %gradient/f/GlobalMaxPool/ReduceSum: f32[N, 2, 1] = ReduceSum(%gradient/f/GlobalMaxPool/Cast, %gradient/f/GlobalMaxPool/constant) {keepdims = 1}
            %gradient/f/GlobalMaxPool/Div: f32[N, 2, 1] = Div(%g, %gradient/f/GlobalMaxPool/ReduceSum)
            %gradient/f/GlobalMaxPool/Mul: f32[N, 2, 4] = Mul(%gradient/f/GlobalMaxPool/Cast, %gradient/f/GlobalMaxPool/Div)
            %dx/Identity: f32[N, 2, 4] = Identity(%gradient/f/GlobalMaxPool/Mul)
        ");
    }
}
