//! Matrices with rows and columns exchanged: checkpoints hold `[outputs, inputs]`, MatMul takes `[inputs, outputs]`.

use crate::tensor::Tensor;

/// Side of the blocks that are copied at once, so that what is read and what is written stay in the cache.
const BLOCK: usize = 32;

/// A float32 matrix `[rows, columns]` as `[columns, rows]`.
pub(super) fn transposed(matrix: &Tensor) -> Tensor {
    let &[rows, columns] = matrix.dims() else { return matrix.clone() };
    let (from, _) = matrix.data().as_chunks::<4>();
    let mut to = vec![[0; 4]; from.len()];
    for top in (0..rows).step_by(BLOCK) {
        for left in (0..columns).step_by(BLOCK) {
            for column in left..columns.min(left + BLOCK) {
                for row in top..rows.min(top + BLOCK) {
                    to[column * rows + row] = from[row * columns + column];
                }
            }
        }
    }
    let data = to.into_flattened().into();
    Tensor::new(matrix.dtype(), vec![columns, rows], data).expect("as many elements as before")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_columns() {
        let (rows, columns) = (BLOCK + 3, 2 * BLOCK + 1);
        let values: Vec<f32> = (0..rows * columns).map(|index| index as f32).collect();
        let turned = transposed(&Tensor::from_f32(&[rows, columns], &values));
        assert_eq!(turned.dims(), [columns, rows]);
        let values = turned.to_f32().unwrap();
        for (row, column) in [(0, 1), (1, 0), (BLOCK, BLOCK), (rows - 1, columns - 1), (2, 2 * BLOCK)] {
            assert_eq!(values[column * rows + row], (row * columns + column) as f32);
        }
    }
}
