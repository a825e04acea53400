//! Slice: every `step`-th element of some axes.
//!
//! `dx` is `g` between zeros: a piece of the axis, so that sibling Slices become one Concat. Steps are undone by
//! zeros between the elements. Operator page: ONNX `Slice-13`.

use super::broadcast::reshape;
use super::ledger::{Piece, pad};
use super::step::Step;
use crate::error::{Error, Result};
use crate::graph::{Builder, Dim, Shape, ValueId};

/// `dx[start + step·i] = g[i]` on each sliced axis, zero elsewhere.
pub(crate) fn slice(step: &mut Step<'_, '_>) -> Result<()> {
    let shape = step.shape(step.input(0)?)?;
    let ranges = ranges(step, &shape)?;
    let mut g = step.cotangent()?;
    let Some((last, others)) = ranges.split_last() else {
        return step.send(0, |_| Ok(g));
    };
    if !step.wants(0) {
        return Ok(());
    }
    for range in others {
        let (dense, start, length) = dense(step.builder(), g, range)?;
        let after = range.size - start - length;
        g = pad(step.builder(), dense, shape.rank(), range.axis, [start, after])?;
    }
    let (cotangent, start, length) = dense(step.builder(), g, last)?;
    step.send_piece(0, Piece { axis: last.axis, start, length, cotangent })
}

/// What the node takes of one axis.
struct Range {
    axis: usize,
    /// Elements of the axis.
    size: usize,
    /// First element taken.
    start: usize,
    step: i64,
    /// Number of elements taken, at least one.
    length: usize,
}

/// The axes of which the node takes only a part, in the order of the node.
fn ranges(step: &Step<'_, '_>, shape: &Shape) -> Result<Vec<Range>> {
    let missing = || Error::unsupported("its starts are not constant after folding");
    let starts = step.ints(1)?.ok_or_else(missing)?;
    let axes = step.ints(3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = step.ints(4)?.unwrap_or_else(|| vec![1; starts.len()]);
    let output = step.shape(step.output()?)?;
    let mut ranges = Vec::new();
    for ((start, axis), step) in starts.into_iter().zip(axes).zip(steps) {
        let axis = shape.axis(axis)?;
        if shape.0[axis] == output.0[axis] && step == 1 {
            continue;
        }
        let (Dim::Fixed(size), Dim::Fixed(length)) = (shape.0[axis], output.0[axis]) else {
            return Err(Error::unsupported(format!(
                "it takes a part of axis {axis} of {shape}, which is the batch"
            )));
        };
        if length == 0 {
            return Err(Error::unsupported(format!("it takes no element of axis {axis} of {shape}")));
        }
        let from_begin = if start < 0 { start.saturating_add(size as i64) } else { start };
        ranges.push(Range { axis, size, start: from_begin.clamp(0, size as i64 - 1) as usize, step, length });
    }
    Ok(ranges)
}

/// `g` with the gaps of the step filled by zeros: the cotangent of a dense part of the axis, its start and length.
fn dense(builder: &mut Builder<'_>, g: ValueId, range: &Range) -> Result<(ValueId, usize, usize)> {
    let stride = range.step.unsigned_abs() as usize;
    let reach = (range.length - 1) * stride; // from the first to the last element
    let (g, start) = if range.step > 0 {
        (g, range.start)
    } else {
        (reversed(builder, g, range.axis)?, range.start - reach)
    };
    // One element has no gaps, however long the step.
    if stride == 1 || range.length == 1 {
        return Ok((g, start, range.length));
    }
    let shape = builder.graph().shape(g)?.clone();
    let mut column = shape.clone();
    column.0.insert(range.axis + 1, Dim::Fixed(1));
    let column = reshape(builder, g, &column)?; // [.., length, 1, ..]
    let padded = pad(builder, column, shape.rank() + 1, range.axis + 1, [0, stride - 1])?;
    let mut flat = shape;
    flat.0[range.axis] = Dim::Fixed(range.length * stride);
    let flat = reshape(builder, padded, &flat)?;
    // The zeros after the last element may reach past the end of the axis.
    let cut = cut_after(builder, flat, range.axis, reach + 1)?;
    Ok((cut, start, reach + 1))
}

fn reversed(builder: &mut Builder<'_>, value: ValueId, axis: usize) -> Result<ValueId> {
    let (starts, ends) = (builder.ints(&[-1]), builder.ints(&[i64::MIN + 1]));
    let (axes, steps) = (builder.ints(&[axis as i64]), builder.ints(&[-1]));
    builder.op("Slice", &[value, starts, ends, axes, steps])
}

fn cut_after(builder: &mut Builder<'_>, value: ValueId, axis: usize, length: usize) -> Result<ValueId> {
    let (starts, ends) = (builder.ints(&[0]), builder.ints(&[length as i64]));
    let axes = builder.ints(&[axis as i64]);
    builder.op("Slice", &[value, starts, ends, axes])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::testing::{Domain, adjoint, backward_text, batched, check, function};

    /// Starts, ends, axes and steps.
    type Arguments<'a> = [&'a [i64]; 4];

    fn sliced(builder: &mut Builder<'_>, x: ValueId, arguments: Arguments<'_>) -> Result<ValueId> {
        let [starts, ends, axes, steps] = arguments.map(|values| builder.ints(values));
        builder.op("Slice", &[x, starts, ends, axes, steps])
    }

    #[test]
    fn gradients_match_central_differences() {
        let cases: [Arguments<'_>; 11] = [
            [&[1], &[3], &[1], &[1]],
            [&[-2], &[i64::MAX], &[-1], &[1]],
            [&[0], &[100], &[1], &[2]],
            [&[1], &[7], &[1], &[3]],
            [&[1], &[6], &[1], &[4]],
            [&[-1], &[i64::MIN + 1], &[1], &[-1]],
            [&[5], &[0], &[1], &[-2]],
            [&[100], &[2], &[1], &[-1]],
            [&[2], &[7], &[1], &[i64::MAX]],
            [&[1, 2], &[4, 5], &[1, 2], &[1, 2]],
            [&[0, 1], &[i64::MAX, 2], &[0, 1], &[1, 1]],
        ];
        for arguments in cases {
            check(&format!("{arguments:?}"), Domain::Real, batched(&[7, 5]), |builder, x| {
                let y = sliced(builder, x, arguments)?;
                builder.op("Mul", &[y, y])
            });
        }
    }

    #[test]
    fn overlapping_slices_add_up() {
        check("sliding difference", Domain::Real, batched(&[5]), |builder, x| {
            let left = sliced(builder, x, [&[0], &[4], &[1], &[1]])?;
            let right = sliced(builder, x, [&[1], &[5], &[1], &[1]])?;
            builder.op("Mul", &[left, right])
        });
    }

    #[test]
    fn siblings_become_one_concat() {
        let graph = function(batched(&[4]), |builder, x| {
            let left = sliced(builder, x, [&[0], &[2], &[1], &[1]])?;
            let right = sliced(builder, x, [&[2], &[4], &[1], &[1]])?;
            builder.op("Mul", &[left, right])
        });
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @r"
            %gradient/f/Mul/Mul: f32[N, 2] = Mul(%g, %f/Slice_2)
            %gradient/f/Mul/Mul_2: f32[N, 2] = Mul(%g, %f/Slice)
            %gradient/Concat: f32[N, 4] = Concat(%gradient/f/Mul/Mul, %gradient/f/Mul/Mul_2) {axis = 1}
            %dx/Identity: f32[N, 4] = Identity(%gradient/Concat)
        ");
    }

    #[test]
    fn a_step_puts_zeros_between() {
        let graph = function(batched(&[5]), |builder, x| sliced(builder, x, [&[0], &[5], &[1], &[2]]));
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @r"
            const %gradient/f/Slice/constant: i64[3] = [-1, 3, 1]
            const %gradient/f/Slice/constant_2: i64[6] = [0, 0, 0, 0, 0, 1]
            const %gradient/f/Slice/constant_3: i64[2] = [-1, 6]
            const %gradient/f/Slice/constant_4: i64[1] = [0]
            const %gradient/f/Slice/constant_5: i64[1] = [5]
            const %gradient/f/Slice/constant_6: i64[1] = [1]
            %gradient/f/Slice/Reshape: f32[N, 3, 1] = Reshape(%g, %gradient/f/Slice/constant)
            %gradient/f/Slice/Pad: f32[N, 3, 2] = Pad(%gradient/f/Slice/Reshape, %gradient/f/Slice/constant_2)
            %gradient/f/Slice/Reshape_2: f32[N, 6] = Reshape(%gradient/f/Slice/Pad, %gradient/f/Slice/constant_3)
            %gradient/f/Slice/Slice: f32[N, 5] = Slice(%gradient/f/Slice/Reshape_2, %gradient/f/Slice/constant_4, %gradient/f/Slice/constant_5, %gradient/f/Slice/constant_6)
            %dx/Identity: f32[N, 5] = Identity(%gradient/f/Slice/Slice)
        ");
    }

    #[test]
    fn a_part_of_the_batch_is_refused() {
        let graph =
            function(Shape::fixed(&[4, 2]), |builder, x| sliced(builder, x, [&[4], &[9], &[0], &[1]]));
        let refused = graph.and_then(|graph| adjoint(&graph));
        assert!(refused.is_err());
    }

    #[test]
    fn parts_of_different_axes_add_up() {
        check("rows and columns", Domain::Real, batched(&[3, 3]), |builder, x| {
            let rows = sliced(builder, x, [&[0], &[1], &[1], &[1]])?; // [N, 1, 3]
            let columns = sliced(builder, x, [&[1], &[3], &[2], &[1]])?; // [N, 3, 2]
            builder.op("MatMul", &[rows, columns])
        });
    }
}
