//! MatMul and Gemm.

use super::broadcast::broadcast;
use crate::error::{Error, Result};
use crate::facts::{NodeView, typed};
use crate::graph::{Dim, Shape, TensorType};

/// `MatMul` as NumPy's `matmul`: leading axes broadcast, vectors are a row on the left and a column on the right.
pub(crate) fn matmul(view: &NodeView) -> Result<Vec<TensorType>> {
    let (left, right) = (view.shape(0)?, view.shape(1)?);
    let misfit = || Error::shape(format!("shapes {left} and {right} do not multiply"));
    let (&[ref left_batch @ .., rows, inner], &[ref right_batch @ .., inner_right, columns]) =
        (&*as_matrix(left, Side::Left), &*as_matrix(right, Side::Right))
    else {
        return Err(misfit());
    };
    if inner != inner_right {
        return Err(misfit());
    }
    let mut dims =
        broadcast(&Shape(left_batch.to_vec()), &Shape(right_batch.to_vec())).map_err(|_| misfit())?.0;
    dims.extend((left.rank() > 1).then_some(rows));
    dims.extend((right.rank() > 1).then_some(columns));
    Ok(vec![typed(view.dtype(0)?, dims)])
}

enum Side {
    Left,
    Right,
}

fn as_matrix(shape: &Shape, side: Side) -> Vec<Dim> {
    match (&*shape.0, side) {
        (&[length], Side::Left) => vec![Dim::Fixed(1), length],
        (&[length], Side::Right) => vec![length, Dim::Fixed(1)],
        (dims, _) => dims.to_vec(),
    }
}

/// `Gemm`: `alpha·A·B + beta·C`, `A` and `B` transposed on request.
pub(crate) fn gemm(view: &NodeView) -> Result<Vec<TensorType>> {
    let (left, right) = (view.of_rank(0, 2)?, view.of_rank(1, 2)?);
    let oriented = |shape: &Shape, transposed| {
        if transposed { (shape.0[1], shape.0[0]) } else { (shape.0[0], shape.0[1]) }
    };
    let (rows, inner) = oriented(left, view.flag("transA", false)?);
    let (inner_right, columns) = oriented(right, view.flag("transB", false)?);
    if inner != inner_right {
        return Err(Error::shape(format!("shapes {left} and {right} do not multiply")));
    }
    let product = typed(view.dtype(0)?, vec![rows, columns]);
    match view.optional(2)? {
        Some(bias) if broadcast(&product.shape, &bias.shape).ok().as_ref() != Some(&product.shape) => {
            Err(Error::shape(format!("shape {} does not broadcast to {}", bias.shape, product.shape)))
        }
        _ => Ok(vec![product]),
    }
}
