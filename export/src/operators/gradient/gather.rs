//! Gather: elements of one axis by index.
//!
//! `dx_i = Σ g_j` over all `j` whose index is `i`. Operator page: ONNX `Gather-13`. Of constant indices
//! - consecutive ones (a class token, one of q, k and v) are a piece of the axis, so that siblings become one Concat;
//! - those without repetition: Gather from `g` by the inverse map, whose absent elements point at a row of zeros;
//! - others: MatMul by the one-hot matrix of the indices.
//!
//! Indices that are computed when the graph runs, and more of them than a matrix can hold, are scattered
//! ([`scatter`]).

use super::broadcast::reshape;
use super::ledger::{Piece, pad};
use super::scatter;
use super::separable::{self, Matrix};
use super::step::Step;
use crate::error::{Error, Result};
use crate::graph::{Builder, Shape, ValueId};
use crate::tensor::Tensor;

/// Largest one-hot matrix that we store, in elements.
const LARGEST_ONE_HOT: usize = 1 << 22;

/// `dx_i = Σ g_j` over all `j` whose index is `i`.
pub(crate) fn gather(step: &mut Step<'_, '_>) -> Result<()> {
    if !step.wants(0) {
        return Ok(());
    }
    let (x, indices) = (step.input(0)?, step.input(1)?);
    let shape = step.shape(x)?;
    let axis = shape.axis(step.node().attributes.int("axis", 0)?)?;
    let size = shape.0[axis].fixed().ok_or_else(|| {
        Error::unsupported(format!(
            "it selects along axis {axis} of {shape}, which is the batch, so it may mix images; export the model \
             without it"
        ))
    })?;
    let count = step.shape(indices)?.elements();
    let count =
        count.ok_or_else(|| Error::unsupported("its indices depend on the batch in two dimensions"))?;
    let g = step.cotangent()?;
    let mut flat = shape;
    flat.0[axis] = count;
    let g = reshape(step.builder(), g, &flat)?; // the index axes as one
    let Some(constant) = step.constant(indices).and_then(Tensor::to_i64) else {
        return step.send(0, |builder| scatter::along_axis(builder, [x, indices, g], axis));
    };
    let constant = from_begin(&constant, size)?;
    if is_run(&constant) {
        let piece = Piece { axis, start: constant[0], length: constant.len(), cotangent: g };
        return step.send_piece(0, piece);
    }
    step.send(0, |builder| match spread(builder, g, axis, &constant, size)? {
        Some(dx) => Ok(dx),
        None => scatter::along_axis(builder, [x, indices, g], axis),
    })
}

/// Indices of an axis of `size` elements, counted from its begin; there is at least one.
///
/// # Errors
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) when one lies outside,
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) when there is none.
pub(super) fn from_begin(indices: &[i64], size: usize) -> Result<Vec<usize>> {
    if indices.is_empty() {
        return Err(Error::unsupported("it picks no element"));
    }
    let counted = |index: &i64| {
        let counted = if *index < 0 { index.checked_add(size as i64)? } else { *index };
        usize::try_from(counted).ok().filter(|counted| *counted < size)
    };
    indices
        .iter()
        .map(|index| {
            counted(index).ok_or_else(|| Error::shape(format!("index {index} of an axis of {size} elements")))
        })
        .collect()
}

fn is_run(indices: &[usize]) -> bool {
    indices.windows(2).all(|pair| pair[0] + 1 == pair[1])
}

/// `dx_i = Σ g_j` along an axis of `size` elements, `j` over the axis of `g`; `None` where that takes too large a
/// matrix.
///
/// # Errors
/// As [`separable::adjoint`].
pub(super) fn spread(
    builder: &mut Builder<'_>,
    g: ValueId,
    axis: usize,
    indices: &[usize],
    size: usize,
) -> Result<Option<ValueId>> {
    let shape = builder.graph().shape(g)?.clone();
    if is_run(indices) {
        let zeros = [indices[0], size - indices[0] - indices.len()];
        return pad(builder, g, shape.rank(), axis, zeros).map(Some);
    }
    if let Some(inverse) = inverse_map(indices, size) {
        return by_inverse(builder, g, &shape, axis, &inverse).map(Some);
    }
    if indices.len().checked_mul(size).is_none_or(|elements| elements > LARGEST_ONE_HOT) {
        return Ok(None);
    }
    let mut one_hot = Matrix::zeros(indices.len(), size)?;
    indices.iter().enumerate().for_each(|(place, index)| one_hot.add(place, *index, 1.0));
    separable::adjoint(builder, g, axis, one_hot).map(Some)
}

/// Where each element of the axis went, with `indices.len()` for "nowhere"; `None` if one went to several places.
fn inverse_map(indices: &[usize], size: usize) -> Option<Vec<i64>> {
    let mut inverse = vec![indices.len() as i64; size];
    for (place, index) in indices.iter().enumerate() {
        if inverse[*index] != indices.len() as i64 {
            return None;
        }
        inverse[*index] = place as i64;
    }
    Some(inverse)
}

fn by_inverse(
    builder: &mut Builder<'_>,
    g: ValueId,
    shape: &Shape,
    axis: usize,
    inverse: &[i64],
) -> Result<ValueId> {
    let with_zeros = pad(builder, g, shape.rank(), axis, [0, 1])?;
    let inverse = builder.ints(inverse);
    builder.op_with("Gather", &[with_zeros, inverse], [("axis", (axis as i64).into())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::testing::{Domain, adjoint, backward_text, batched, check, function};

    fn gathered(builder: &mut Builder<'_>, x: ValueId, axis: i64, indices: Tensor) -> Result<ValueId> {
        let indices = builder.constant(indices);
        builder.op_with("Gather", &[x, indices], [("axis", axis.into())])
    }

    #[test]
    fn gradients_match_central_differences() {
        let cases = [
            ("class token", 1, Tensor::from_i64(&[], &[0])),
            ("last, as a vector", -1, Tensor::from_i64(&[1], &[-1])),
            ("consecutive", 1, Tensor::from_i64(&[3], &[1, 2, 3])),
            ("shuffled", 1, Tensor::from_i64(&[3], &[4, 0, 2])),
            ("shuffled, last axis", 2, Tensor::from_i64(&[2], &[2, 0])),
            ("repeated", 1, Tensor::from_i64(&[4], &[1, 3, 1, 0])),
            ("repeated, last axis", 2, Tensor::from_i64(&[3], &[1, 1, -1])),
            ("a matrix of indices", 1, Tensor::from_i64(&[2, 2], &[0, 4, 3, 0])),
        ];
        for (name, axis, indices) in cases {
            check(name, Domain::Real, batched(&[5, 3]), |builder, x| {
                let y = gathered(builder, x, axis, indices)?;
                builder.op("Mul", &[y, y])
            });
        }
    }

    #[test]
    fn indices_that_are_computed() {
        // Of both signs, with repetition, in each of their shapes.
        for (axis, dims) in [(1, &[4][..]), (2, &[2, 2]), (-2, &[])] {
            check(&format!("axis {axis}, indices {dims:?}"), Domain::Real, batched(&[5, 3]), |builder, x| {
                let count = dims.iter().product::<usize>();
                let indices = builder.constant(Tensor::from_i64(dims, &[2, -1, 0, 2][..count]));
                let indices = builder.op("Identity", &[indices])?;
                let y = builder.op_with("Gather", &[x, indices], [("axis", axis.into())])?;
                builder.op("Mul", &[y, y])
            });
        }
    }

    #[test]
    fn an_index_outside_the_axis_is_refused() {
        let graph =
            function(batched(&[5]), |builder, x| gathered(builder, x, 1, Tensor::from_i64(&[1], &[5])));
        let error = graph.and_then(|graph| adjoint(&graph)).unwrap_err().to_string();
        assert!(error.contains("index 5 of an axis of 5 elements"), "{error}");
    }

    #[test]
    fn query_key_and_value_become_one_concat() {
        let graph = function(batched(&[3, 2]), |builder, x| {
            let parts = [0, 1, 2].map(|index| gathered(builder, x, 1, Tensor::from_i64(&[], &[index])));
            let [q, k, v] = parts;
            let scores = builder.op("Mul", &[q?, k?])?;
            builder.op("Mul", &[scores, v?])
        });
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @r"
            const %gradient/f/Gather_3/constant: i64[3] = [-1, 1, 2]
            const %gradient/f/Gather_2/constant: i64[3] = [-1, 1, 2]
            const %gradient/f/Gather/constant: i64[3] = [-1, 1, 2]
            %gradient/f/Mul_2/Mul: f32[N, 2] = Mul(%g, %f/Gather_3)
            %gradient/f/Mul_2/Mul_2: f32[N, 2] = Mul(%g, %f/Mul)
            %gradient/f/Mul/Mul: f32[N, 2] = Mul(%gradient/f/Mul_2/Mul, %f/Gather_2)
            %gradient/f/Mul/Mul_2: f32[N, 2] = Mul(%gradient/f/Mul_2/Mul, %f/Gather)
            %gradient/f/Gather_3/Reshape: f32[N, 1, 2] = Reshape(%gradient/f/Mul_2/Mul_2, %gradient/f/Gather_3/constant)
            %gradient/f/Gather_2/Reshape: f32[N, 1, 2] = Reshape(%gradient/f/Mul/Mul_2, %gradient/f/Gather_2/constant)
            %gradient/f/Gather/Reshape: f32[N, 1, 2] = Reshape(%gradient/f/Mul/Mul, %gradient/f/Gather/constant)
            %gradient/Concat: f32[N, 3, 2] = Concat(%gradient/f/Gather/Reshape, %gradient/f/Gather_2/Reshape, %gradient/f/Gather_3/Reshape) {axis = 1}
            %dx/Identity: f32[N, 3, 2] = Identity(%gradient/Concat)
        ");
    }

    #[test]
    fn a_class_token_is_padded() {
        let graph =
            function(batched(&[5, 2]), |builder, x| gathered(builder, x, 1, Tensor::from_i64(&[], &[0])));
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @r"
            const %gradient/f/Gather/constant: i64[3] = [-1, 1, 2]
            const %gradient/constant: i64[6] = [0, 0, 0, 0, 4, 0]
            %gradient/f/Gather/Reshape: f32[N, 1, 2] = Reshape(%g, %gradient/f/Gather/constant)
            %gradient/Pad: f32[N, 5, 2] = Pad(%gradient/f/Gather/Reshape, %gradient/constant)
            %dx/Identity: f32[N, 5, 2] = Identity(%gradient/Pad)
        ");
    }

    #[test]
    fn shuffled_elements_are_gathered_back() {
        let graph =
            function(batched(&[3]), |builder, x| gathered(builder, x, 1, Tensor::from_i64(&[2], &[2, 0])));
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @r"
            const %gradient/f/Gather/constant: i64[4] = [0, 0, 0, 1]
            const %gradient/f/Gather/constant_2: i64[3] = [1, 2, 0]
            %gradient/f/Gather/Pad: f32[N, 3] = Pad(%g, %gradient/f/Gather/constant)
            %gradient/f/Gather/Gather: f32[N, 3] = Gather(%gradient/f/Gather/Pad, %gradient/f/Gather/constant_2) {axis = 1}
            %dx/Identity: f32[N, 3] = Identity(%gradient/f/Gather/Gather)
        ");
    }

    #[test]
    fn what_no_matrix_holds_is_scattered() {
        // 2049 indices of an axis of 2048, each twice or more.
        let (size, count) = (1 << 11, (1 << 11) + 1);
        let indices: Vec<i64> = (0..count).map(|place| place % 3).collect();
        let graph = function(batched(&[size]), |builder, x| {
            gathered(builder, x, 1, Tensor::from_i64(&[indices.len()], &indices))
        });
        let text = backward_text(&graph.unwrap());
        assert!(text.contains("ScatterElements") && !text.contains("MatMul"), "{text}");
    }
}
