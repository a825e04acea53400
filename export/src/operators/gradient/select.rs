//! Where: `y = a` where the condition holds, else `b`.
//!
//! `da = Σ g·[c]`, `db = Σ g·[¬c]`. Operator page: ONNX `Where-16`.

use super::step::Step;
use crate::error::Result;

/// `da = Σ where(c, g, 0)`, `db = Σ where(c, 0, g)`.
pub(crate) fn where_(step: &mut Step<'_, '_>) -> Result<()> {
    let (condition, g) = (step.input(0)?, step.cotangent()?);
    step.send_summed(1, |builder| {
        let zero = builder.scalar(0.0);
        builder.op("Where", &[condition, g, zero])
    })?;
    step.send_summed(2, |builder| {
        let zero = builder.scalar(0.0);
        builder.op("Where", &[condition, zero, g])
    })
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{Domain, backward_text, batched, check, function};
    use crate::error::Result;
    use crate::graph::{Builder, ValueId};

    /// `x² where x > 0, else the mean of x`.
    fn piecewise(builder: &mut Builder<'_>, x: ValueId) -> Result<ValueId> {
        let zero = builder.scalar(0.0);
        let positive = builder.op("Greater", &[x, zero])?;
        let square = builder.op("Mul", &[x, x])?;
        let axes = builder.ints(&[1]);
        let mean = builder.op_with("ReduceMean", &[x, axes], [("keepdims", 1.into())])?;
        builder.op("Where", &[positive, square, mean])
    }

    #[test]
    fn gradients_match_central_differences() {
        check("both branches", Domain::AwayFromZero, batched(&[4, 3]), piecewise);
    }

    #[test]
    fn each_branch_gets_its_part() {
        insta::assert_snapshot!(backward_text(&function(batched(&[4, 3]), piecewise).unwrap()), @r"
            const %gradient/f/Where/constant: f32[] = [0.0]
            const %gradient/f/Where/constant_2: f32[] = [0.0]
            const %gradient/f/Where/constant_3: i64[1] = [1]
            const %gradient/f/ReduceMean/constant: f32[] = [0.25]
            const %gradient/f/ReduceMean/constant_2: i64[3] = [1, 4, 3]
            %gradient/f/Where/Where: f32[N, 4, 3] = Where(%f/Greater, %g, %gradient/f/Where/constant)
            %gradient/f/Where/Where_2: f32[N, 4, 3] = Where(%f/Greater, %gradient/f/Where/constant_2, %g)
            %gradient/f/Where/ReduceSum: f32[N, 1, 3] = ReduceSum(%gradient/f/Where/Where_2, %gradient/f/Where/constant_3) {keepdims = 1}
            %gradient/f/ReduceMean/Mul: f32[N, 1, 3] = Mul(%gradient/f/Where/ReduceSum, %gradient/f/ReduceMean/constant)
            %gradient/f/ReduceMean/Expand: f32[N, 4, 3] = Expand(%gradient/f/ReduceMean/Mul, %gradient/f/ReduceMean/constant_2)
            %gradient/f/Mul/Mul: f32[N, 4, 3] = Mul(%gradient/f/Where/Where, %x)
            %gradient/f/Mul/Mul_2: f32[N, 4, 3] = Mul(%gradient/f/Where/Where, %x)
            %gradient/Add: f32[N, 4, 3] = Add(%gradient/f/ReduceMean/Expand, %gradient/f/Mul/Mul)
            %gradient/Add_2: f32[N, 4, 3] = Add(%gradient/Add, %gradient/f/Mul/Mul_2)
            %dx/Identity: f32[N, 4, 3] = Identity(%gradient/Add_2)
        ");
    }
}
