//! CumSum: running sums along one axis.
//!
//! `yⱼ = Σ_{i≤j} xᵢ`, so `dxᵢ = Σ_{j≥i} gⱼ`: the running sum of `g` from the other end; without the element itself
//! (`exclusive`) where the operator leaves it out. Operator page: ONNX `CumSum-14`.

use super::reduction::check_axes;
use super::step::Step;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// `dx` is the running sum of `g` from the other end.
pub(crate) fn cum_sum(step: &mut Step<'_, '_>) -> Result<()> {
    let attributes = &step.node().attributes;
    let (exclusive, reverse) = (attributes.int("exclusive", 0)?, attributes.int("reverse", 0)?);
    let (x, axis, g) = (step.input(0)?, step.input(1)?, step.cotangent()?);
    let shape = step.shape(x)?;
    check_axes(&shape, &[shape.axis(constant_axis(step)?)?])?;
    step.send(0, |builder| {
        let attributes = [("exclusive", exclusive.into()), ("reverse", i64::from(reverse == 0).into())];
        builder.op_with("CumSum", &[g, axis], attributes)
    })
}

/// The axis, which may be `int32` or `int64`.
fn constant_axis(step: &Step<'_, '_>) -> Result<i64> {
    let from_i32 = |tensor: &Tensor| {
        let bytes: [u8; 4] = tensor.data()[..].try_into().ok()?;
        (tensor.dtype() == crate::tensor::DataType::Int32).then(|| i32::from_le_bytes(bytes).into())
    };
    let from_i64 = |tensor: &Tensor| tensor.to_i64()?.first().copied();
    step.constant(step.input(1)?)
        .and_then(|tensor| from_i64(tensor).or_else(|| from_i32(tensor)))
        .ok_or_else(|| Error::unsupported("its axis is not a constant integer after folding"))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::autodiff::testing::{Domain, adjoint, backward_text, batched, check, function};
    use crate::error::Result;
    use crate::graph::{Builder, ValueId};
    use crate::tensor::DataType;

    fn summed(
        builder: &mut Builder<'_>,
        x: ValueId,
        axis: i64,
        exclusive: i64,
        reverse: i64,
    ) -> Result<ValueId> {
        let axis = builder.constant(Tensor::from_i64(&[], &[axis]));
        builder.op_with("CumSum", &[x, axis], [("exclusive", exclusive.into()), ("reverse", reverse.into())])
    }

    #[test]
    fn gradients_match_central_differences() {
        for axis in [1, 2, -1, -2] {
            for [exclusive, reverse] in [[0, 0], [0, 1], [1, 0], [1, 1]] {
                let case = format!("axis {axis}, exclusive {exclusive}, reverse {reverse}");
                check(&case, Domain::Real, batched(&[3, 4]), |builder, x| {
                    summed(builder, x, axis, exclusive, reverse)
                });
            }
        }
        check("an axis of 32 bits", Domain::Real, batched(&[3]), |builder, x| {
            let bytes = Bytes::copy_from_slice(&1_i32.to_le_bytes());
            let axis = builder.constant(Tensor::new(DataType::Int32, vec![1], bytes)?);
            builder.op("CumSum", &[x, axis])
        });
    }

    #[test]
    fn a_sum_over_the_images_is_refused() {
        let graph = function(batched(&[3]), |builder, x| summed(builder, x, 0, 0, 0));
        let error = adjoint(&graph.unwrap()).unwrap_err().to_string();
        assert!(error.contains("it reduces axis 0 of [N, 3], which is the batch"), "{error}");
    }

    #[test]
    fn the_subgraph_runs_the_other_way() {
        let graph = function(batched(&[3]), |builder, x| summed(builder, x, 1, 1, 0));
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @r"
            %gradient/f/CumSum/CumSum: f32[N, 3] = CumSum(%g, %f/constant) {exclusive = 1, reverse = 1}
            %dx/Identity: f32[N, 3] = Identity(%gradient/f/CumSum/CumSum)
        ");
    }
}
