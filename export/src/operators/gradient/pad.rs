//! Pad: elements before and after those of an axis; negative pads cut.
//!
//! Operator page: ONNX `Pad-19`.
//! - Constant: `dx` is `g` with the pads negated.
//! - Reflect, edge and wrap copy elements of the axis, and each copy sends its cotangent back to the original: axis by
//!   axis, `dx` is the inner part of `g`, plus its border times a matrix that holds a 1 for each copy.

use super::separable::{self, Matrix};
use super::step::Step;
use crate::error::{Error, Result};
use crate::graph::{Builder, Shape, ValueId};

/// `dx_i = Σ g_j` over all `j` that hold a copy of `x_i`.
pub(crate) fn pad(step: &mut Step<'_, '_>) -> Result<()> {
    step.refuse(2, "value")?;
    let (shape, g) = (step.shape(step.input(0)?)?, step.cotangent()?);
    let pads = pads(step, &shape)?;
    let copies: fn(i64, i64) -> i64 = match step.node().attributes.text("mode", "constant")? {
        "constant" => return step.send(0, |builder| padded(builder, g, &negated(&pads))),
        "reflect" => reflected,
        "edge" => |at, size| at.clamp(0, size - 1),
        "wrap" => i64::rem_euclid,
        other => return Err(Error::format(format!("attribute `mode` is `{other}`"))),
    };
    step.send(0, |builder| {
        let axes = pads.iter().enumerate().filter(|(_, pads)| **pads != [0, 0]);
        axes.clone().try_fold(g, |g, (axis, pads)| {
            let size = shape.0[axis].fixed().ok_or_else(|| Error::shape("it pads the batch"))?;
            folded_back(builder, g, axis, size as i64, *pads, copies)
        })
    })
}

/// Begin and end of every axis.
fn pads(step: &Step<'_, '_>, shape: &Shape) -> Result<Vec<[i64; 2]>> {
    let stated = step.ints(1)?.ok_or_else(|| Error::format("input `pads` is missing"))?;
    let axes = step.ints(3)?.unwrap_or_else(|| (0..shape.rank() as i64).collect());
    let mut pads = vec![[0, 0]; shape.rank()];
    for (index, axis) in axes.iter().enumerate() {
        let ends = (stated.get(index), stated.get(index + axes.len()));
        let (Some(begin), Some(end)) = ends else {
            return Err(Error::shape(format!("{} pads for {} axes", stated.len(), axes.len())));
        };
        pads[shape.axis(*axis)?] = [*begin, *end];
    }
    Ok(pads)
}

/// The element whose copy stands at `at`, outside of an axis of `size`: mirrored at the first and the last.
fn reflected(at: i64, size: i64) -> i64 {
    let last = (size - 1).max(1);
    let folded = at.rem_euclid(2 * last);
    folded.min(2 * last - folded).min(size - 1)
}

/// One axis of a Pad that copies: `[…, padded, …] → […, size, …]`.
fn folded_back(
    builder: &mut Builder<'_>,
    g: ValueId,
    axis: usize,
    size: i64,
    pads: [i64; 2],
    copies: fn(i64, i64) -> i64,
) -> Result<ValueId> {
    // What negative pads cut off is not copied either.
    let cuts = pads.map(|pad| pad.min(0));
    let [begin, end] = pads.map(|pad| pad.max(0));
    let kept = size + cuts[0] + cuts[1];
    let inner = padded_axis(builder, g, axis, [-begin, -end])?;
    let mut sum = inner;
    if begin + end > 0 {
        let mut matrix = Matrix::zeros((begin + end) as usize, kept as usize)?;
        let outside = (-begin..0).chain(kept..kept + end);
        outside.enumerate().for_each(|(row, at)| matrix.add(row, copies(at, kept) as usize, 1.0));
        let border = border(builder, g, axis, [begin, end], kept)?;
        let copied = separable::adjoint(builder, border, axis, matrix)?;
        sum = builder.op("Add", &[inner, copied])?;
    }
    padded_axis(builder, sum, axis, [-cuts[0], -cuts[1]])
}

/// The first `begin` and the last `end` elements of an axis with `kept` others between them.
fn border(
    builder: &mut Builder<'_>,
    g: ValueId,
    axis: usize,
    [begin, end]: [i64; 2],
    kept: i64,
) -> Result<ValueId> {
    let mut parts = Vec::new();
    if begin > 0 {
        parts.push(padded_axis(builder, g, axis, [0, -kept - end])?);
    }
    if end > 0 {
        parts.push(padded_axis(builder, g, axis, [-begin - kept, 0])?);
    }
    match parts[..] {
        [part] => Ok(part),
        _ => builder.op_with("Concat", &parts, [("axis", (axis as i64).into())]),
    }
}

fn negated(pads: &[[i64; 2]]) -> Vec<[i64; 2]> {
    pads.iter().map(|[begin, end]| [-begin, -end]).collect()
}

fn padded_axis(builder: &mut Builder<'_>, value: ValueId, axis: usize, pads: [i64; 2]) -> Result<ValueId> {
    let mut all = vec![[0, 0]; builder.graph().shape(value)?.rank()];
    all[axis] = pads;
    padded(builder, value, &all)
}

/// Zeros around a value; what is below zero cuts.
fn padded(builder: &mut Builder<'_>, value: ValueId, pads: &[[i64; 2]]) -> Result<ValueId> {
    if pads.iter().flatten().all(|pad| *pad == 0) {
        return Ok(value);
    }
    let (begins, ends) = (pads.iter().map(|pad| pad[0]), pads.iter().map(|pad| pad[1]));
    let pads = builder.ints(&begins.chain(ends).collect::<Vec<i64>>());
    builder.op("Pad", &[value, pads])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::testing::{Domain, adjoint, backward_text, batched, check, function};
    use crate::graph::Attributes;

    /// A Pad of `x`, squared so that the copies matter.
    fn bordered(
        builder: &mut Builder<'_>,
        x: ValueId,
        mode: &str,
        pads: &[i64],
        axes: &[i64],
    ) -> Result<ValueId> {
        let pads = builder.ints(pads);
        let axes = (!axes.is_empty()).then(|| builder.ints(axes));
        let attributes = Attributes::from_pairs([("mode", mode.into())]);
        builder.node("Pad", vec![Some(x), Some(pads), None, axes], attributes, 1).map(|outputs| outputs[0])
    }

    #[test]
    fn gradients_match_central_differences() {
        let cases: [(&[i64], &[i64]); 7] = [
            (&[0, 0, 1, 2, 0, 0, 3, 0], &[]),
            (&[0, 1, 0, 0, 0, 0, 0, 4], &[]),
            (&[1, 2, 2, 1], &[-1, 2]),
            (&[2, 0], &[3]),
            (&[0, 0, -1, -2, 0, 0, -1, 0], &[]),
            (&[0, 0, -1, 2, 0, 0, 2, -1], &[]),
            (&[0, 0, 3, 4, 0, 0, 3, 4], &[]),
        ];
        for mode in ["constant", "reflect", "edge", "wrap"] {
            for (pads, axes) in cases {
                let case = format!("{mode} {pads:?} {axes:?}");
                check(&case, Domain::Real, batched(&[2, 4, 5]), |builder, x| {
                    let y = bordered(builder, x, mode, pads, axes)?;
                    builder.op("Mul", &[y, y])
                });
            }
        }
    }

    fn text(mode: &str, pads: &[i64]) -> String {
        let graph = function(batched(&[2, 4]), |builder, x| bordered(builder, x, mode, pads, &[]));
        backward_text(&graph.unwrap())
    }

    #[test]
    fn a_constant_border_is_cut_off() {
        insta::assert_snapshot!(text("constant", &[0, 0, 1, 0, 0, -2]), @r"
        const %gradient/f/Pad/constant: i64[6] = [0, 0, -1, 0, 0, 2]
        %gradient/f/Pad/Pad: f32[N, 2, 4] = Pad(%g, %gradient/f/Pad/constant)
        %dx/Identity: f32[N, 2, 4] = Identity(%gradient/f/Pad/Pad)
        ");
    }

    #[test]
    fn a_copied_border_is_added() {
        insta::assert_snapshot!(text("reflect", &[0, 0, 2, 0, 0, 1]), @r"
        const %gradient/f/Pad/constant: i64[6] = [0, 0, -2, 0, 0, -1]
        const %gradient/f/Pad/constant_2: i64[6] = [0, 0, 0, 0, 0, -5]
        const %gradient/f/Pad/constant_3: i64[6] = [0, 0, -6, 0, 0, 0]
        const %gradient/f/Pad/constant_4: f32[3, 4] = sha256:7853ff948f59c2a7a532ef00be307a7b9813a87b67b0cc8a7c9762ed159e3f19
        %gradient/f/Pad/Pad: f32[N, 2, 4] = Pad(%g, %gradient/f/Pad/constant)
        %gradient/f/Pad/Pad_2: f32[N, 2, 2] = Pad(%g, %gradient/f/Pad/constant_2)
        %gradient/f/Pad/Pad_3: f32[N, 2, 1] = Pad(%g, %gradient/f/Pad/constant_3)
        %gradient/f/Pad/Concat: f32[N, 2, 3] = Concat(%gradient/f/Pad/Pad_2, %gradient/f/Pad/Pad_3) {axis = 2}
        %gradient/f/Pad/MatMul: f32[N, 2, 4] = MatMul(%gradient/f/Pad/Concat, %gradient/f/Pad/constant_4)
        %gradient/f/Pad/Add: f32[N, 2, 4] = Add(%gradient/f/Pad/Pad, %gradient/f/Pad/MatMul)
        %dx/Identity: f32[N, 2, 4] = Identity(%gradient/f/Pad/Add)
        ");
    }

    #[test]
    fn a_value_that_depends_on_the_images_is_refused() {
        let graph = function(Shape::fixed(&[4]), |builder, x| {
            let pads = builder.ints(&[1, 1]);
            let axes = builder.ints(&[0]);
            let mean = builder.op_with("ReduceMean", &[x, axes], [("keepdims", 0.into())])?;
            builder.op("Pad", &[x, pads, mean])
        });
        let error = adjoint(&graph.unwrap()).unwrap_err().to_string();
        assert!(error.contains("its value depends on the images"), "{error}");
    }
}
