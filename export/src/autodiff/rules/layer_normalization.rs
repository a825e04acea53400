//! LayerNormalization over the axes from `axis` on.
//!
//! `y = γ·c·r + β` with `c = x − mean x` and `r = 1/√(mean c² + ε)`. With `h = g·γ`:
//! `dx = r·(h − mean h − c·r²·mean(h·c))`. Operator page: ONNX `LayerNormalization-17`; Ba, Kiros and Hinton 2016.
//!
//! The statistics are computed again. The operator can hand them out, but not every runtime supports that
//! (`onnx-autodiff.md` 1.5), and it gains nothing: forward and gradient over forward of a ViT-T of depth 4 is 2.25 this
//! way and 2.23 that way, which differ less than runs do (ONNX Runtime 1.32, one thread, CPU time).

use super::Entry;
use crate::autodiff::step::Step;
use crate::error::Result;
use crate::graph::{Builder, ValueId};

pub(super) const RULES: &[Entry] = &[Entry::exact("LayerNormalization", 17, layer_normalization)
    .limited("one output; scale and bias must not depend on the images")];

/// `dx = r·(h − mean h − c·r²·mean(h·c))`.
pub(super) fn layer_normalization(step: &mut Step<'_, '_>) -> Result<()> {
    let attributes = &step.node().attributes;
    let epsilon = attributes.float("epsilon", 1e-5)?;
    let (x, scale, g) = (step.input(0)?, step.input(1)?, step.cotangent()?);
    step.refuse(1, "scale")?;
    step.refuse(2, "bias")?;
    let shape = step.shape(x)?;
    let axes: Vec<i64> = (shape.axis(attributes.int("axis", -1)?)? as i64..shape.rank() as i64).collect();
    step.send(0, |builder| {
        let x_mean = mean(builder, x, &axes)?;
        let c = builder.op("Sub", &[x, x_mean])?;
        let r = inverse_deviation(builder, c, &axes, epsilon)?;
        let h = builder.op("Mul", &[g, scale])?;
        let h_mean = mean(builder, h, &axes)?;
        let correlation = builder.op("Mul", &[h, c])?;
        let correlation = mean(builder, correlation, &axes)?;
        let r_square = builder.op("Mul", &[r, r])?;
        let along = builder.op("Mul", &[correlation, r_square])?;
        let along_c = builder.op("Mul", &[c, along])?;
        let centred = builder.op("Sub", &[h, h_mean])?;
        let projected = builder.op("Sub", &[centred, along_c])?;
        builder.op("Mul", &[projected, r])
    })
}

/// `1/√(mean c² + ε)`.
fn inverse_deviation(builder: &mut Builder<'_>, c: ValueId, axes: &[i64], epsilon: f32) -> Result<ValueId> {
    let square = builder.op("Mul", &[c, c])?;
    let variance = mean(builder, square, axes)?;
    let epsilon = builder.scalar(epsilon);
    let shifted = builder.op("Add", &[variance, epsilon])?;
    let deviation = builder.op("Sqrt", &[shifted])?;
    builder.op("Reciprocal", &[deviation])
}

fn mean(builder: &mut Builder<'_>, value: ValueId, axes: &[i64]) -> Result<ValueId> {
    let axes = builder.ints(axes);
    builder.op_with("ReduceMean", &[value, axes], [("keepdims", 1.into())])
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{Domain, Numbers, backward_text, batched, check, function};
    use crate::error::Result;
    use crate::graph::{Attribute, Builder, ValueId};

    fn normalised(builder: &mut Builder<'_>, x: ValueId, axis: i64, dims: &[usize]) -> Result<ValueId> {
        let mut numbers = Numbers::new(1);
        let [scale, bias] = [(); 2].map(|()| builder.constant(numbers.tensor(dims)));
        let attributes = [("axis", axis.into()), ("epsilon", Attribute::Float(1e-3))];
        builder.op_with("LayerNormalization", &[x, scale, bias], attributes)
    }

    #[test]
    fn gradients_match_central_differences() {
        for (axis, dims) in [(-1, &[6][..]), (2, &[6]), (1, &[3, 6]), (-2, &[3, 6])] {
            check(&format!("axis {axis}"), Domain::Real, batched(&[3, 6]), |builder, x| {
                normalised(builder, x, axis, dims)
            });
        }
    }

    #[test]
    fn the_subgraph_recomputes_the_statistics() {
        let graph = function(batched(&[6]), |builder, x| normalised(builder, x, -1, &[6]));
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @r"
            const %gradient/f/LayerNormalization/constant: i64[1] = [1]
            const %gradient/f/LayerNormalization/constant_2: i64[1] = [1]
            const %gradient/f/LayerNormalization/constant_3: f32[] = [0.001]
            const %gradient/f/LayerNormalization/constant_4: i64[1] = [1]
            const %gradient/f/LayerNormalization/constant_5: i64[1] = [1]
            %gradient/f/LayerNormalization/ReduceMean: f32[N, 1] = ReduceMean(%x, %gradient/f/LayerNormalization/constant) {keepdims = 1}
            %gradient/f/LayerNormalization/Sub: f32[N, 6] = Sub(%x, %gradient/f/LayerNormalization/ReduceMean)
            %gradient/f/LayerNormalization/Mul: f32[N, 6] = Mul(%gradient/f/LayerNormalization/Sub, %gradient/f/LayerNormalization/Sub)
            %gradient/f/LayerNormalization/ReduceMean_2: f32[N, 1] = ReduceMean(%gradient/f/LayerNormalization/Mul, %gradient/f/LayerNormalization/constant_2) {keepdims = 1}
            %gradient/f/LayerNormalization/Add: f32[N, 1] = Add(%gradient/f/LayerNormalization/ReduceMean_2, %gradient/f/LayerNormalization/constant_3)
            %gradient/f/LayerNormalization/Sqrt: f32[N, 1] = Sqrt(%gradient/f/LayerNormalization/Add)
            %gradient/f/LayerNormalization/Reciprocal: f32[N, 1] = Reciprocal(%gradient/f/LayerNormalization/Sqrt)
            %gradient/f/LayerNormalization/Mul_2: f32[N, 6] = Mul(%g, %f/constant)
            %gradient/f/LayerNormalization/ReduceMean_3: f32[N, 1] = ReduceMean(%gradient/f/LayerNormalization/Mul_2, %gradient/f/LayerNormalization/constant_4) {keepdims = 1}
            %gradient/f/LayerNormalization/Mul_3: f32[N, 6] = Mul(%gradient/f/LayerNormalization/Mul_2, %gradient/f/LayerNormalization/Sub)
            %gradient/f/LayerNormalization/ReduceMean_4: f32[N, 1] = ReduceMean(%gradient/f/LayerNormalization/Mul_3, %gradient/f/LayerNormalization/constant_5) {keepdims = 1}
            %gradient/f/LayerNormalization/Mul_4: f32[N, 1] = Mul(%gradient/f/LayerNormalization/Reciprocal, %gradient/f/LayerNormalization/Reciprocal)
            %gradient/f/LayerNormalization/Mul_5: f32[N, 1] = Mul(%gradient/f/LayerNormalization/ReduceMean_4, %gradient/f/LayerNormalization/Mul_4)
            %gradient/f/LayerNormalization/Mul_6: f32[N, 6] = Mul(%gradient/f/LayerNormalization/Sub, %gradient/f/LayerNormalization/Mul_5)
            %gradient/f/LayerNormalization/Sub_2: f32[N, 6] = Sub(%gradient/f/LayerNormalization/Mul_2, %gradient/f/LayerNormalization/ReduceMean_3)
            %gradient/f/LayerNormalization/Sub_3: f32[N, 6] = Sub(%gradient/f/LayerNormalization/Sub_2, %gradient/f/LayerNormalization/Mul_6)
            %gradient/f/LayerNormalization/Mul_7: f32[N, 6] = Mul(%gradient/f/LayerNormalization/Sub_3, %gradient/f/LayerNormalization/Reciprocal)
            %dx/Identity: f32[N, 6] = Identity(%gradient/f/LayerNormalization/Mul_7)
        ");
    }
}
