//! Linear maps that act on each axis by itself: poolings of averages, resizing, reflecting pads.
//!
//! Such a map is one constant matrix for each axis, and its adjoint the transposed matrices. A product by a matrix of
//! one axis costs about as much as a hand-made kernel as long as the axis is no longer than a hundred or so: see
//! `average_pool.rs` for figures.

use super::broadcast::reshape;
use crate::error::{Error, Result};
use crate::graph::{Builder, Dim, Shape, ValueId};
use crate::tensor::Tensor;

/// Largest matrix that is stored, in elements.
const LARGEST: usize = 1 << 24;

/// A matrix with `columns` columns, row by row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Matrix {
    columns: usize,
    values: Vec<f32>,
}

impl Matrix {
    /// Zeros.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) when it is too large to be stored.
    pub(super) fn zeros(rows: usize, columns: usize) -> Result<Self> {
        let elements = rows.checked_mul(columns).filter(|elements| *elements <= LARGEST);
        let elements = elements.ok_or_else(|| {
            Error::unsupported(format!(
                "its gradient needs a matrix of {rows} × {columns}, which is too large"
            ))
        })?;
        Ok(Self { columns, values: vec![0.0; elements] })
    }

    /// Adds to one element, which must exist.
    pub(super) fn add(&mut self, row: usize, column: usize, value: f32) {
        self.values[row * self.columns + column] += value;
    }

    fn rows(&self) -> usize {
        self.values.len() / self.columns.max(1)
    }

    fn transposed(&self) -> Self {
        let (rows, columns) = (self.rows(), self.columns);
        let value = |index: usize| self.values[index % rows * columns + index / rows];
        Self { columns: rows, values: (0..self.values.len()).map(value).collect() }
    }

    fn into_tensor(self) -> Tensor {
        Tensor::from_f32(&[self.rows(), self.columns], &self.values)
    }
}

/// The adjoint of a map by `matrix` `[to, from]` along one axis: `[…, to, …] → […, from, …]`.
///
/// # Errors
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) when the axes behind depend on the batch twice.
pub(super) fn adjoint(builder: &mut Builder<'_>, g: ValueId, axis: usize, matrix: Matrix) -> Result<ValueId> {
    let shape = builder.graph().shape(g)?.clone();
    if axis + 1 == shape.rank() {
        let matrix = builder.constant(matrix.into_tensor());
        return builder.op("MatMul", &[g, matrix]);
    }
    let behind = Shape(shape.0[axis + 1..].to_vec()).elements();
    let behind = behind
        .ok_or_else(|| Error::unsupported(format!("axis {axis} of {shape} stands before the batch")))?;
    let matrix = matrix.transposed().into_tensor(); // [from, to]
    let mut result = shape.clone();
    result.0[axis] = Dim::Fixed(matrix.dims()[0]);
    let matrix = builder.constant(matrix);
    let rows = reshape(builder, g, &Shape([&shape.0[..=axis], &[behind]].concat()))?; // [.., to, behind]
    let product = builder.op("MatMul", &[matrix, rows])?;
    reshape(builder, product, &result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_added_to_and_change_places_when_transposed() {
        let mut matrix = Matrix::zeros(2, 3).unwrap();
        for (row, column, value) in [(0, 1, 2.0), (0, 1, 3.0), (1, 2, 7.0)] {
            matrix.add(row, column, value);
        }
        assert_eq!(matrix.values, [0.0, 5.0, 0.0, 0.0, 0.0, 7.0]);
        let transposed = matrix.transposed();
        assert_eq!((transposed.rows(), transposed.columns), (3, 2));
        assert_eq!(transposed.values, [0.0, 0.0, 5.0, 0.0, 0.0, 7.0]);
    }

    #[test]
    fn a_matrix_that_cannot_be_stored_is_refused() {
        assert!(Matrix::zeros(1 << 12, 1 << 12).is_ok());
        for (rows, columns) in [((1 << 12) + 1, 1 << 12), (usize::MAX, 2)] {
            let error = Matrix::zeros(rows, columns).unwrap_err().to_string();
            assert!(
                error.contains(&format!("a matrix of {rows} × {columns}, which is too large")),
                "{error}"
            );
        }
    }
}
