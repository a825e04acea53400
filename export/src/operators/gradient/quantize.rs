//! QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear: `q = saturate(round(x/s) + z)`, `x̂ = (q − z)·s`.
//!
//! Rounding has the derivative zero almost everywhere. The straight-through estimator (Bengio, Léonard and Courville
//! 2013, arXiv:1308.3432) takes `round(u)` for `u`, and saturation for what it is: `dx = g/s` where
//! `q_min ≤ round(x/s) + z ≤ q_max`, else zero, the mask of PyTorch's `fake_quantize`. What saturates is decided by the
//! rounded value: `x` passes from `s·(q_min − z − ½)` to `s·(q_max − z + ½)`, so a value at a bound passes, and one
//! that rounds to it does. (At exactly half a step beyond, where ties go to the even code, both bounds pass.)
//! `dq = g·s`. A DynamicQuantizeLinear takes its scale from the tensor, so that nothing saturates; `s` and `z` count as
//! constants, which for `(q − z)·s` as a whole is again the derivative of `x`. Operator pages: ONNX
//! `QuantizeLinear-21`, `DequantizeLinear-21`, `DynamicQuantizeLinear-11`.

use super::step::Step;
use crate::error::{Error, Result};
use crate::graph::{Builder, Dim, Shape, ValueId};
use crate::tensor::quantised::{integers, range, unknown_codes};
use crate::tensor::{DataType, Tensor};

/// `dx = g/s` where the integer does not saturate.
pub(crate) fn quantize(step: &mut Step<'_, '_>) -> Result<()> {
    step.refuse(1, "scale")?;
    let (x, scale, g) = (step.input(0)?, step.input(1)?, step.cotangent()?);
    let (shape, dtype) = (step.shape(x)?, step.dtype(step.output()?)?);
    let axis = step.node().attributes.int("axis", 1)?;
    let bounds = bounds(step, dtype)?;
    step.send(0, |builder| {
        let along = |builder: &mut Builder<'_>, values: &[f32]| constant_along(builder, values, &shape, axis);
        let (low, high) = (along(builder, &bounds.low)?, along(builder, &bounds.high)?);
        let raised = builder.op("Max", &[x, low])?;
        let clipped = builder.op("Min", &[raised, high])?;
        let passes = builder.op("Equal", &[x, clipped])?;
        let scale = along_axis(builder, scale, &shape, axis)?;
        let quotient = builder.op("Div", &[g, scale])?;
        let zero = builder.scalar(0.0);
        builder.op("Where", &[passes, quotient, zero])
    })
}

/// `dq = g·s`.
pub(crate) fn dequantize(step: &mut Step<'_, '_>) -> Result<()> {
    step.refuse(1, "scale")?;
    let (q, scale, g) = (step.input(0)?, step.input(1)?, step.cotangent()?);
    let shape = step.shape(q)?;
    let axis = step.node().attributes.int("axis", 1)?;
    step.send(0, |builder| {
        let scale = along_axis(builder, scale, &shape, axis)?;
        builder.op("Mul", &[g, scale])
    })
}

/// `dx = g/s` of `(q, s, z)`.
pub(crate) fn dynamic_quantize(step: &mut Step<'_, '_>) -> Result<()> {
    let (Some(Some(g)), scale) = (step.cotangents().first().copied(), step.node().output(1)?) else {
        // Only the scale is used.
        return Ok(());
    };
    step.send(0, |builder| builder.op("Div", &[g, scale]))
}

/// The numbers between which nothing saturates, one for each scale.
struct Bounds {
    low: Vec<f32>,
    high: Vec<f32>,
}

fn bounds(step: &Step<'_, '_>, dtype: DataType) -> Result<Bounds> {
    let computed = |what: &str| {
        Error::unsupported(format!(
            "its {what} is computed at run time: quantise the model statically, with constants"
        ))
    };
    let scales = step.constant(step.input(1)?).and_then(Tensor::to_f32).ok_or_else(|| computed("scale"))?;
    let zero_points = match step.node().optional_input(2) {
        Some(id) => {
            let points = integers(step.constant(id).ok_or_else(|| computed("zero point"))?)?;
            if points.len() != scales.len() {
                return Err(Error::format("has different numbers of zero points and scales"));
            }
            points
        }
        None => vec![0; scales.len()],
    };
    let (least, greatest) = range(dtype).ok_or_else(|| unknown_codes(dtype))?;
    let at = |code: f64| -> Vec<f32> {
        let number = |(scale, zero): (&f32, &i64)| (f64::from(*scale) * (code - *zero as f64)) as f32;
        scales.iter().zip(&zero_points).map(number).collect()
    };
    Ok(Bounds { low: at(least as f64 - 0.5), high: at(greatest as f64 + 0.5) })
}

/// One number, or one for each index of `axis`, so that it broadcasts over a tensor of that shape.
fn constant_along(builder: &mut Builder<'_>, values: &[f32], shape: &Shape, axis: i64) -> Result<ValueId> {
    let vector = builder.constant(Tensor::from_f32(&[values.len()], values));
    along_axis(builder, vector, shape, axis)
}

fn along_axis(builder: &mut Builder<'_>, vector: ValueId, shape: &Shape, axis: i64) -> Result<ValueId> {
    let Some(tensor) = builder.graph().constant(vector).cloned() else {
        return Err(Error::unsupported("its scale is computed at run time: quantise the model statically"));
    };
    let mut dims = Vec::new();
    if tensor.elements() != 1 {
        let axis = shape.axis(axis)?;
        dims = vec![1; shape.rank()];
        dims[axis] = match shape.0[axis] {
            Dim::Fixed(length) if length == tensor.elements() => length,
            other => return Err(Error::shape(format!("has {} scales for {other}", tensor.elements()))),
        };
    }
    let tensor = tensor.with_dims(dims)?;
    Ok(builder.constant(tensor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::testing::{adjoint, backward_text, batched, float, function, run, session};
    use crate::graph::{Attributes, Graph};

    fn codes_constant(builder: &mut Builder<'_>, dtype: DataType, values: &[u8]) -> ValueId {
        let dims = if values.len() == 1 { vec![] } else { vec![values.len()] };
        builder.constant(Tensor::new(dtype, dims, values.to_vec().into()).unwrap())
    }

    /// Quantised and back, with those scales and zero points along axis 1.
    fn pair(dims: &[usize], dtype: DataType, scales: &[f32], zero_points: &[u8]) -> Result<Graph> {
        function(batched(dims), |builder, x| {
            let scale_dims = if scales.len() == 1 { vec![] } else { vec![scales.len()] };
            let scale = builder.constant(Tensor::from_f32(&scale_dims, scales));
            let zero_point = codes_constant(builder, dtype, zero_points);
            let codes = builder.op("QuantizeLinear", &[x, scale, zero_point])?;
            builder.op("DequantizeLinear", &[codes, scale, zero_point])
        })
    }

    #[test]
    fn the_gradient_passes_where_nothing_saturates() {
        // Unsigned, z = 128, s = 1/2: codes 0 to 255 stand for -64 to 63.5, and round to them from -64.25 to 63.75.
        let graph = pair(&[6], DataType::Uint8, &[0.5], &[128]).unwrap();
        let x = [-70.0, -64.3, -64.2, 0.1, 63.7, 63.8];
        let inputs = [float("x", &[1, 6], &x), float("g", &[1, 6], &[3.0; 6])];
        assert_eq!(run(&mut session(&adjoint(&graph).unwrap()), &inputs), [0.0, 0.0, 3.0, 3.0, 3.0, 0.0]);
        // The runtime's own numbers: what passes is what is within half a step of its quantised form.
        let quantised = run(&mut session(&graph), &inputs[..1]);
        assert_eq!(quantised, [-64.0, -64.0, -64.0, 0.0, 63.5, 63.5]);
    }

    #[test]
    fn each_channel_has_its_own_bounds() {
        // Signed, s = 1 and 2, z = 0 and -128: -128.5 to 127.5, and -1 to 511.
        let graph = pair(&[2, 2], DataType::Int8, &[1.0, 2.0], &[0, 0x80]).unwrap();
        let x = [-129.0, 127.4, -0.9, 512.0];
        let inputs = [float("x", &[1, 2, 2], &x), float("g", &[1, 2, 2], &[1.0, 2.0, 3.0, 4.0])];
        assert_eq!(run(&mut session(&adjoint(&graph).unwrap()), &inputs), [0.0, 2.0, 3.0, 0.0]);
    }

    #[test]
    fn a_dynamic_scale_is_taken_for_a_constant() {
        let graph = function(batched(&[4]), |builder, x| {
            let outputs = builder.node("DynamicQuantizeLinear", vec![Some(x)], Attributes::default(), 3)?;
            let [codes, scale, zero_point] = outputs[..] else { unreachable!("three were asked for") };
            let one = builder.scalar(1.0);
            let steps = builder.op("DequantizeLinear", &[codes, one, zero_point])?;
            builder.op("Mul", &[steps, scale])
        })
        .unwrap();
        let inputs =
            [float("x", &[1, 4], &[-1.0, 0.3, 0.5, 2.0]), float("g", &[1, 4], &[1.0, 2.0, 3.0, 4.0])];
        let found = run(&mut session(&adjoint(&graph).unwrap()), &inputs);
        for (found, wanted) in found.iter().zip([1.0, 2.0, 3.0, 4.0]) {
            assert!((found - wanted).abs() < 1e-5, "{found} is not {wanted}");
        }
    }

    #[test]
    fn the_subgraph_is_a_mask_between_two_scalings() {
        let graph = pair(&[3], DataType::Uint8, &[0.5], &[128]).unwrap();
        insta::assert_snapshot!(backward_text(&graph), @r"
            const %gradient/f/DequantizeLinear/constant: f32[] = [0.5]
            const %gradient/f/QuantizeLinear/constant_2: f32[] = [-64.25]
            const %gradient/f/QuantizeLinear/constant_4: f32[] = [63.75]
            const %gradient/f/QuantizeLinear/constant_5: f32[] = [0.5]
            const %gradient/f/QuantizeLinear/constant_6: f32[] = [0.0]
            %gradient/f/DequantizeLinear/Mul: f32[N, 3] = Mul(%g, %gradient/f/DequantizeLinear/constant)
            %gradient/f/QuantizeLinear/Max: f32[N, 3] = Max(%x, %gradient/f/QuantizeLinear/constant_2)
            %gradient/f/QuantizeLinear/Min: f32[N, 3] = Min(%gradient/f/QuantizeLinear/Max, %gradient/f/QuantizeLinear/constant_4)
            %gradient/f/QuantizeLinear/Equal: bool[N, 3] = Equal(%x, %gradient/f/QuantizeLinear/Min)
            %gradient/f/QuantizeLinear/Div: f32[N, 3] = Div(%gradient/f/DequantizeLinear/Mul, %gradient/f/QuantizeLinear/constant_5)
            %gradient/f/QuantizeLinear/Where: f32[N, 3] = Where(%gradient/f/QuantizeLinear/Equal, %gradient/f/QuantizeLinear/Div, %gradient/f/QuantizeLinear/constant_6)
            %dx/Identity: f32[N, 3] = Identity(%gradient/f/QuantizeLinear/Where)
        ");
    }

    #[test]
    fn a_scale_that_depends_on_the_images_is_refused() {
        let graph = function(batched(&[3]), |builder, x| {
            let axes = builder.ints(&[1]);
            let sums = builder.op_with("ReduceSum", &[x, axes], [("keepdims", 0.into())])?;
            let axes = builder.ints(&[0]);
            let scale = builder.op_with("ReduceMean", &[sums, axes], [("keepdims", 0.into())])?;
            let zero_point = codes_constant(builder, DataType::Uint8, &[0]);
            let codes = builder.op("QuantizeLinear", &[x, scale, zero_point])?;
            let one = builder.scalar(1.0);
            builder.op("DequantizeLinear", &[codes, one, zero_point])
        });
        let error = adjoint(&graph.unwrap()).unwrap_err().to_string();
        assert_eq!(
            error,
            "node `f/QuantizeLinear` (QuantizeLinear): its scale depends on the images; no gradient rule for that"
        );
    }
}
