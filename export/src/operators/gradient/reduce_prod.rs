//! ReduceProd: `y = Π x`.
//!
//! `dxᵢ = g·Π_{j≠i} xⱼ`. With `P` the product of the elements that are not zero, `z` their number of zeros and `x'` the
//! input with ones in place of zeros, that is `g·P/x'` everywhere if `z = 0`, `g·P` at the one zero if `z = 1`, and
//! zero otherwise. Operator page: ONNX `ReduceProd-18`.

use super::reduction::Reduction;
use super::step::Step;
use super::sums;
use crate::error::Result;
use crate::graph::{Builder, ValueId};
use crate::tensor::DataType;

/// `dxᵢ = g·Π_{j≠i} xⱼ`.
pub(crate) fn reduce_prod(step: &mut Step<'_, '_>) -> Result<()> {
    let Reduction { x, axes, g, .. } = Reduction::from_step(step)?;
    step.send(0, |builder| {
        if axes.is_empty() {
            return Ok(g);
        }
        let (zero, one) = (builder.scalar(0.0), builder.scalar(1.0));
        let is_zero = builder.op("Equal", &[x, zero])?;
        let divisor = builder.op("Where", &[is_zero, one, x])?;
        let product = product(builder, divisor, &axes)?;
        let scaled = builder.op("Mul", &[g, product])?;
        let mask = builder.cast(is_zero, DataType::Float32)?;
        let zeros = sums::sum(builder, mask, &axes)?;
        let at_zero = where_equal(builder, zeros, 1.0, scaled)?;
        let elsewhere = where_equal(builder, zeros, 0.0, scaled)?;
        let others = builder.op("Div", &[elsewhere, divisor])?;
        builder.op("Where", &[is_zero, at_zero, others])
    })
}

fn product(builder: &mut Builder<'_>, value: ValueId, axes: &[usize]) -> Result<ValueId> {
    let axes: Vec<i64> = axes.iter().map(|axis| *axis as i64).collect();
    let axes = builder.ints(&axes);
    builder.op_with("ReduceProd", &[value, axes], [("keepdims", 1.into())])
}

/// `value` where the count is that number, else zero.
fn where_equal(builder: &mut Builder<'_>, count: ValueId, number: f32, value: ValueId) -> Result<ValueId> {
    let (number, zero) = (builder.scalar(number), builder.scalar(0.0));
    let holds = builder.op("Equal", &[count, number])?;
    builder.op("Where", &[holds, value, zero])
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{
        Domain, adjoint, backward_text, batched, check, float, function, run, session,
    };
    use crate::graph::Shape;

    #[test]
    fn gradients_match_central_differences() {
        for axes in [&[1][..], &[-1], &[2, 3], &[1, -1]] {
            for keepdims in [0, 1] {
                let case = format!("over {axes:?}, keepdims {keepdims}");
                check(&case, Domain::AwayFromZero, batched(&[2, 3, 2]), |builder, x| {
                    let axes = builder.ints(axes);
                    builder.op_with("ReduceProd", &[x, axes], [("keepdims", keepdims.into())])
                });
            }
        }
        check("over all", Domain::AwayFromZero, Shape::fixed(&[2, 3]), |builder, x| {
            builder.op_with("ReduceProd", &[x], [("keepdims", 0.into())])
        });
        check("over none", Domain::Real, batched(&[3]), |builder, x| {
            builder.op_with("ReduceProd", &[x], [("noop_with_empty_axes", 1.into())])
        });
    }

    #[test]
    fn zeros_get_the_product_of_the_others() {
        let graph = function(batched(&[3]), |builder, x| {
            let axes = builder.ints(&[1]);
            builder.op_with("ReduceProd", &[x, axes], [("keepdims", 0.into())])
        });
        let x = [2.0, 4.0, -8.0, 2.0, 0.0, -8.0, 0.0, 5.0, 0.0];
        let inputs = [float("x", &[3, 3], &x), float("g", &[3], &[3.0; 3])];
        let found = run(&mut session(&adjoint(&graph.unwrap()).unwrap()), &inputs);
        assert_eq!(found, [-96.0, -48.0, 24.0, 0.0, -48.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn the_subgraph_divides_once() {
        let graph = function(batched(&[4, 3]), |builder, x| {
            let axes = builder.ints(&[1]);
            builder.op_with("ReduceProd", &[x, axes], [("keepdims", 1.into())])
        });
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @r"
            const %gradient/f/ReduceProd/constant: f32[] = [0.0]
            const %gradient/f/ReduceProd/constant_2: f32[] = [1.0]
            const %gradient/f/ReduceProd/constant_3: i64[1] = [1]
            const %gradient/f/ReduceProd/constant_4: i64[1] = [1]
            const %gradient/f/ReduceProd/constant_5: f32[] = [1.0]
            const %gradient/f/ReduceProd/constant_6: f32[] = [0.0]
            const %gradient/f/ReduceProd/constant_7: f32[] = [0.0]
            const %gradient/f/ReduceProd/constant_8: f32[] = [0.0]
            %gradient/f/ReduceProd/Equal: bool[N, 4, 3] = Equal(%x, %gradient/f/ReduceProd/constant)
            %gradient/f/ReduceProd/Where: f32[N, 4, 3] = Where(%gradient/f/ReduceProd/Equal, %gradient/f/ReduceProd/constant_2, %x)
            %gradient/f/ReduceProd/ReduceProd: f32[N, 1, 3] = ReduceProd(%gradient/f/ReduceProd/Where, %gradient/f/ReduceProd/constant_3) {keepdims = 1}
            %gradient/f/ReduceProd/Mul: f32[N, 1, 3] = Mul(%g, %gradient/f/ReduceProd/ReduceProd)
            %gradient/f/ReduceProd/Cast: f32[N, 4, 3] = Cast(%gradient/f/ReduceProd/Equal) {to = 1}
            %gradient/f/ReduceProd/ReduceSum: f32[N, 1, 3] = ReduceSum(%gradient/f/ReduceProd/Cast, %gradient/f/ReduceProd/constant_4) {keepdims = 1}
            %gradient/f/ReduceProd/Equal_2: bool[N, 1, 3] = Equal(%gradient/f/ReduceProd/ReduceSum, %gradient/f/ReduceProd/constant_5)
            %gradient/f/ReduceProd/Where_2: f32[N, 1, 3] = Where(%gradient/f/ReduceProd/Equal_2, %gradient/f/ReduceProd/Mul, %gradient/f/ReduceProd/constant_6)
            %gradient/f/ReduceProd/Equal_3: bool[N, 1, 3] = Equal(%gradient/f/ReduceProd/ReduceSum, %gradient/f/ReduceProd/constant_7)
            %gradient/f/ReduceProd/Where_3: f32[N, 1, 3] = Where(%gradient/f/ReduceProd/Equal_3, %gradient/f/ReduceProd/Mul, %gradient/f/ReduceProd/constant_8)
            %gradient/f/ReduceProd/Div: f32[N, 4, 3] = Div(%gradient/f/ReduceProd/Where_3, %gradient/f/ReduceProd/Where)
            %gradient/f/ReduceProd/Where_4: f32[N, 4, 3] = Where(%gradient/f/ReduceProd/Equal, %gradient/f/ReduceProd/Where_2, %gradient/f/ReduceProd/Div)
            %dx/Identity: f32[N, 4, 3] = Identity(%gradient/f/ReduceProd/Where_4)
        ");
    }
}
