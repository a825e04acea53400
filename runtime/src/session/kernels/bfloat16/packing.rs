//! Matrices as pairs of bfloat16: rows of pairs for the left one of a product, panels for the right one.

use super::super::simd::{LANES, Lanes, PairWork, Pairs, padded};

/// Rows of numbers to rows of pairs.
pub(super) struct Rounding<'a> {
    pub(super) x: &'a [f32],
    pub(super) inner: usize,
    pub(super) rounded: &'a mut [f32],
}

impl PairWork for Rounding<'_> {
    #[inline(always)]
    fn run<S: Pairs>(self, simd: S) {
        let rows = self.x.chunks_exact(self.inner);
        for (row, rounded) in rows.zip(self.rounded.chunks_exact_mut(self.inner.div_ceil(2))) {
            let (vectors, rest) = row.as_chunks::<{ 2 * LANES }>();
            let (pairs, last) = rounded.split_at_mut(vectors.len() * LANES);
            for (numbers, pairs) in vectors.iter().zip(pairs.as_chunks_mut::<LANES>().0) {
                simd.store(simd.paired(numbers), pairs);
            }
            // Half of a vector of pairs is usual, and copied without a loop.
            if let (Some(rest), Some(last)) = (rest.as_array::<LANES>(), last.as_mut_array::<{ LANES / 2 }>())
            {
                let (mut numbers, mut pairs) = ([0.0; 2 * LANES], [0.0; LANES]);
                numbers[..LANES].copy_from_slice(rest);
                simd.store(simd.paired(&numbers), &mut pairs);
                last.copy_from_slice(&pairs[..LANES / 2]);
            } else if !rest.is_empty() {
                let mut numbers = [0.0; 2 * LANES];
                numbers[..rest.len()].copy_from_slice(rest);
                store(simd, simd.paired(&numbers), last);
            }
        }
    }
}

/// Some columns of a matrix to rows of pairs.
pub(super) struct TransposedRounding<'a> {
    /// `[inner, width]`
    pub(super) x: &'a [f32],
    pub(super) width: usize,
    /// The first of the columns.
    pub(super) first: usize,
    pub(super) inner: usize,
    pub(super) rounded: &'a mut [f32],
}

impl PairWork for TransposedRounding<'_> {
    #[inline(always)]
    fn run<S: Pairs>(self, simd: S) {
        let Self { x, width, first, inner, rounded } = self;
        let pairs = inner.div_ceil(2);
        for (block, rows) in rounded.chunks_mut(LANES * pairs).enumerate() {
            let column = first + block * LANES;
            for pair in (0..pairs).step_by(LANES) {
                let mut vectors = [simd.splat(0.0); LANES];
                for (place, vector) in vectors.iter_mut().enumerate().take(pairs - pair) {
                    *vector = interleaved(simd, x, [inner, width], pair + place, column);
                }
                for (row, vector) in rows.chunks_exact_mut(pairs).zip(simd.transpose(vectors)) {
                    store(simd, vector, &mut row[pair..]);
                }
            }
        }
    }
}

/// A matrix `[inner, columns]` to panels.
pub(super) struct Paneling<'a> {
    pub(super) matrix: &'a [f32],
    pub(super) inner: usize,
    pub(super) columns: usize,
    pub(super) panels: &'a mut [Lanes],
}

impl PairWork for Paneling<'_> {
    #[inline(always)]
    fn run<S: Pairs>(self, simd: S) {
        let Self { matrix, inner, columns, panels } = self;
        for (panel, vectors) in panels.chunks_exact_mut(inner.div_ceil(2)).enumerate() {
            for (pair, lanes) in vectors.iter_mut().enumerate() {
                simd.store(interleaved(simd, matrix, [inner, columns], pair, panel * LANES), lanes);
            }
        }
    }
}

/// The transpose of a matrix `[columns, inner]` to panels.
pub(super) struct TransposedPaneling<'a> {
    pub(super) matrix: &'a [f32],
    pub(super) inner: usize,
    pub(super) panels: &'a mut [Lanes],
}

impl PairWork for TransposedPaneling<'_> {
    #[inline(always)]
    fn run<S: Pairs>(self, simd: S) {
        let Self { matrix, inner, panels } = self;
        let rows = matrix.chunks(LANES * inner);
        for (panel, rows) in panels.chunks_exact_mut(inner.div_ceil(2)).zip(rows) {
            for (block, lanes) in panel.chunks_mut(LANES).enumerate() {
                let mut vectors = [simd.splat(0.0); LANES];
                for (row, vector) in rows.chunks_exact(inner).zip(&mut vectors) {
                    let rest = &row[block * 2 * LANES..];
                    *vector = match rest.first_chunk() {
                        Some(numbers) => simd.paired(numbers),
                        None => {
                            let mut numbers = [0.0; 2 * LANES];
                            numbers[..rest.len()].copy_from_slice(rest);
                            simd.paired(&numbers)
                        }
                    };
                }
                for (lanes, vector) in lanes.iter_mut().zip(simd.transpose(vectors)) {
                    simd.store(vector, lanes);
                }
            }
        }
    }
}

/// A pair of rows of a matrix of that many rows and columns, at sixteen columns; what is missing is zero.
#[inline(always)]
fn interleaved<S: Pairs>(
    simd: S,
    matrix: &[f32],
    [rows, columns]: [usize; 2],
    pair: usize,
    column: usize,
) -> S::V {
    let lanes = |row: usize| match matrix[row * columns + column..(row + 1) * columns].first_chunk() {
        Some(lanes) => *lanes,
        None => padded(&matrix[row * columns + column..(row + 1) * columns]),
    };
    let second = if 2 * pair + 1 < rows { lanes(2 * pair + 1) } else { [0.0; LANES] };
    simd.interleaved(&lanes(2 * pair), &second)
}

/// As many lanes as there is room for.
#[inline(always)]
fn store<S: Pairs>(simd: S, vector: S::V, to: &mut [f32]) {
    match to.first_chunk_mut::<LANES>() {
        Some(lanes) => simd.store(vector, lanes),
        None => {
            let mut lanes = [0.0; LANES];
            simd.store(vector, &mut lanes);
            let size = to.len();
            to.copy_from_slice(&lanes[..size]);
        }
    }
}
