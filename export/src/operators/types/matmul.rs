//! MatMul and Gemm, and the products of our own.

use mimir_bundle::kernels::{COLUMNS, PANEL, TRANSPOSED};

use super::broadcast::broadcast;
use crate::error::{Error, Result};
use crate::facts::{NodeView, fixed, typed};
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

/// `Product`, one of ours: rows `[…, K]` times panels `[⌈N/16⌉, K, 16]`.
pub(crate) fn product(view: &NodeView) -> Result<Vec<TensorType>> {
    rows_times_panels(view, |inner| inner)
}

/// `ProductBfloat16`, one of ours: rows `[…, K]` times panels `[⌈N/16⌉, ⌈K/2⌉, 16]`.
pub(crate) fn product_bfloat16(view: &NodeView) -> Result<Vec<TensorType>> {
    rows_times_panels(view, |inner| inner.div_ceil(2))
}

fn rows_times_panels(view: &NodeView, depth: fn(usize) -> usize) -> Result<Vec<TensorType>> {
    let (rows, panels) = (view.shape(0)?, view.of_rank(1, 3)?);
    let columns = usize::try_from(view.int(COLUMNS, 0)?).unwrap_or(0);
    let mut dims = rows.0.clone();
    let last = dims.last_mut().ok_or_else(|| Error::shape("a number has no rows"))?;
    let inner = fixed(*last, "the length of the rows")?;
    *last = Dim::Fixed(columns);
    if *panels != Shape::fixed(&[columns.div_ceil(PANEL), depth(inner), PANEL]) {
        return Err(Error::shape(format!("rows {rows} and panels {panels} do not give {columns} columns")));
    }
    let product = typed(view.dtype(0)?, dims);
    match view.optional(3)? {
        Some(factor) if factor.shape != product.shape => {
            Err(Error::shape(format!("a factor {} does not fit the product {}", factor.shape, product.shape)))
        }
        _ => Ok(vec![product]),
    }
}

/// `MatMulBfloat16`, one of ours: matrices, transposed on request, with equal axes before.
pub(crate) fn matmul_bfloat16(view: &NodeView) -> Result<Vec<TensorType>> {
    let (left, right) = (view.shape(0)?, view.shape(1)?);
    let misfit = || Error::shape(format!("shapes {left} and {right} do not multiply"));
    let Some(&[left_is_transposed, right_is_transposed]) = view.node.attributes.ints(TRANSPOSED)? else {
        return Err(Error::format(format!("attribute `{TRANSPOSED}` has not two numbers")));
    };
    let oriented = |shape: &Shape, is_transposed| {
        let (leading, &[rows, columns]) = shape.0.split_last_chunk::<2>()?;
        Some((leading.to_vec(), if is_transposed == 1 { [columns, rows] } else { [rows, columns] }))
    };
    let (mut dims, [rows, inner]) = oriented(left, left_is_transposed).ok_or_else(misfit)?;
    let (same_dims, [same_inner, columns]) = oriented(right, right_is_transposed).ok_or_else(misfit)?;
    if dims != same_dims || inner != same_inner {
        return Err(misfit());
    }
    dims.extend([rows, columns]);
    Ok(vec![typed(view.dtype(0)?, dims)])
}
