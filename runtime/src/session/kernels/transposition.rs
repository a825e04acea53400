//! Matrices with rows and columns exchanged: images between channels first and channels last.

use super::simd::{LANES, Simd, Work};

/// Each matrix of `rows` × `columns` in `from`, one after the other, as `columns` × `rows` in `to`.
pub(super) struct Transposition<'a> {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) from: &'a [f32],
    pub(super) to: &'a mut [f32],
}

impl Work for Transposition<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { rows, columns, .. } = self;
        let size = (rows * columns).max(1);
        for (from, to) in self.from.chunks_exact(size).zip(self.to.chunks_exact_mut(size)) {
            for row in (0..rows).step_by(LANES) {
                for column in (0..columns).step_by(LANES) {
                    if row + LANES <= rows && column + LANES <= columns {
                        block(simd, from, to, [row, column], [rows, columns]);
                        continue;
                    }
                    for row in row..rows.min(row + LANES) {
                        for column in column..columns.min(column + LANES) {
                            to[column * rows + row] = from[row * columns + column];
                        }
                    }
                }
            }
        }
    }
}

/// A block of sixteen by sixteen.
#[inline(always)]
fn block<S: Simd>(
    simd: S,
    from: &[f32],
    to: &mut [f32],
    [row, column]: [usize; 2],
    [rows, columns]: [usize; 2],
) {
    let mut vectors = [simd.splat(0.0); LANES];
    for (index, vector) in vectors.iter_mut().enumerate() {
        if let Some(lanes) = from[(row + index) * columns + column..].first_chunk() {
            *vector = simd.load(lanes);
        }
    }
    for (index, vector) in simd.transpose(vectors).into_iter().enumerate() {
        if let Some(lanes) = to[(column + index) * rows + row..].first_chunk_mut() {
            simd.store(vector, lanes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::simd::Instructions;
    use super::super::tests::rows;
    use super::*;

    #[test]
    fn rows_become_columns_for_all_sizes() {
        for (height, width) in [(1, 1), (16, 16), (16, 49), (48, 64), (17, 3)] {
            let from = rows(width, 2 * height, 0.7);
            for instructions in Instructions::all() {
                let mut to = vec![f32::NAN; from.len()];
                instructions.run(Transposition { rows: height, columns: width, from: &from, to: &mut to });
                for (at, number) in from.iter().enumerate() {
                    let (matrix, row, column) = (at / (height * width), at / width % height, at % width);
                    let found = to[matrix * height * width + column * height + row];
                    assert_eq!(found.to_bits(), number.to_bits(), "{height}, {width}, {instructions:?}");
                }
            }
        }
    }
}
