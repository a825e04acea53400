//! Products of small matrices that lie somewhere in larger ones.

use super::simd::{LANES, Lanes, Simd, Work, padded};

/// Rows of a matrix, from some column on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) data: &'a [f32],
    /// From the start of a row to that of the next.
    pub(super) stride: usize,
}

impl<'a> Rows<'a> {
    #[inline(always)]
    pub(super) fn from(self, column: usize) -> Self {
        Self { data: &self.data[column..], ..self }
    }
}

/// The left matrix of a product.
#[derive(Debug, Clone, Copy)]
pub(super) enum Left<'a> {
    AsItIs(Rows<'a>),
    Transposed(Rows<'a>),
}

/// `result = left · right`, of that many rows and columns. Each sum runs from the first product to the last, in one
/// lane: a row comes out the same wherever it stands.
pub(super) struct Product<'a> {
    pub(super) left: Left<'a>,
    pub(super) right: Rows<'a>,
    pub(super) rows: usize,
    /// Products of a sum.
    pub(super) inner: usize,
    pub(super) columns: usize,
    pub(super) result: &'a mut [f32],
    /// From the start of a row of the result to that of the next.
    pub(super) stride: usize,
}

/// Most rows that are computed side by side.
const MOST_ROWS: usize = 12;

impl Work for Product<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let blocks = self.rows.div_ceil(S::REGISTERS.min(MOST_ROWS));
        let mut start = 0;
        for block in 0..blocks {
            let rows = (self.rows - start) / (blocks - block);
            macro_rules! with_rows {
                ($($number:literal)*) => {
                    match rows {
                        $($number if $number <= S::REGISTERS => self.block::<S, $number>(simd, start),)*
                        _ => {}
                    }
                };
            }
            with_rows!(1 2 3 4 5 6 7 8 9 10 11 12);
            start += rows;
        }
    }
}

impl Product<'_> {
    /// Some rows, whose sums stay in registers.
    #[expect(clippy::needless_range_loop, reason = "an index of rows and of columns")]
    #[inline(always)]
    fn block<S: Simd, const ROWS: usize>(&mut self, simd: S, start: usize) {
        let Self { right, inner, columns, .. } = *self;
        for column in (0..columns).step_by(LANES) {
            let size = LANES.min(columns - column);
            let right = right.from(column);
            let mut sums = [simd.splat(0.0); ROWS];
            match self.left {
                Left::AsItIs(left) => {
                    let mut rows = [&[][..]; ROWS];
                    for (row, numbers) in rows.iter_mut().enumerate() {
                        *numbers = &left.data[(start + row) * left.stride..][..inner];
                    }
                    for index in 0..inner {
                        let right = vector(simd, right, index, size);
                        for row in 0..ROWS {
                            sums[row] = simd.mul_add(simd.splat(rows[row][index]), right, sums[row]);
                        }
                    }
                }
                Left::Transposed(left) => {
                    for index in 0..inner {
                        let right = vector(simd, right, index, size);
                        let numbers = &left.data[index * left.stride + start..][..ROWS];
                        for row in 0..ROWS {
                            sums[row] = simd.mul_add(simd.splat(numbers[row]), right, sums[row]);
                        }
                    }
                }
            }
            for (row, sum) in sums.into_iter().enumerate() {
                let result = &mut self.result[(start + row) * self.stride + column..];
                store(simd, sum, &mut result[..size]);
            }
        }
    }
}

#[inline(always)]
fn vector<S: Simd>(simd: S, rows: Rows, row: usize, size: usize) -> S::V {
    let numbers = &rows.data[row * rows.stride..];
    match numbers.first_chunk::<LANES>() {
        Some(lanes) if size == LANES => simd.load(lanes),
        _ => simd.load(&padded(&numbers[..size])),
    }
}

#[inline(always)]
fn store<S: Simd>(simd: S, vector: S::V, to: &mut [f32]) {
    match to.first_chunk_mut::<LANES>() {
        Some(lanes) => simd.store(vector, lanes),
        None => {
            let mut lanes: Lanes = [0.0; LANES];
            simd.store(vector, &mut lanes);
            let size = to.len();
            to.copy_from_slice(&lanes[..size]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::simd::Instructions;
    use super::super::tests::rows;
    use super::*;

    #[test]
    fn products_of_all_sizes_are_those_of_64_bits() {
        for (height, inner, width) in [(1, 1, 1), (5, 16, 16), (13, 3, 17), (25, 40, 33), (2, 0, 5)] {
            let (left, right) = (rows(inner + 2, height, 0.7), rows(width + 3, inner + 1, 1.3));
            let mut transposed = vec![f32::NAN; inner * (height + 1)];
            for (row, index) in (0..height).flat_map(|row| (0..inner).map(move |index| (row, index))) {
                transposed[index * (height + 1) + row] = left[row * (inner + 2) + index];
            }
            let lefts = [
                Left::AsItIs(Rows { data: &left, stride: inner + 2 }),
                Left::Transposed(Rows { data: &transposed, stride: height + 1 }),
            ];
            for (instructions, left_matrix) in
                Instructions::all().into_iter().flat_map(|kind| lefts.map(|left| (kind, left)))
            {
                let mut result = vec![9.0; height * (width + 1)];
                instructions.run(Product {
                    left: left_matrix,
                    right: Rows { data: &right, stride: width + 3 },
                    rows: height,
                    inner,
                    columns: width,
                    result: &mut result,
                    stride: width + 1,
                });
                for (at, found) in result.iter().enumerate() {
                    let (row, column) = (at / (width + 1), at % (width + 1));
                    let products = (0..inner).map(|index| {
                        f64::from(left[row * (inner + 2) + index])
                            * f64::from(right[index * (width + 3) + column])
                    });
                    let wanted = if column == width { 9.0 } else { products.sum::<f64>() };
                    assert!((f64::from(*found) - wanted).abs() < 1e-5, "{instructions:?}: {found}, {wanted}");
                }
            }
        }
    }
}
