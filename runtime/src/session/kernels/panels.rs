//! Sums of products of numbers, or of pairs of bfloat16: each panel of the right matrix, up to four vectors wide, meets a few rows at
//! a time, whose sums stay in registers. A sum runs from the first product to the last, in one lane: a row comes out the same
//! wherever it stands.

use super::simd::{FactorWork, Factors, Instructions, LANES, Lanes, OfNumbers, padded};

/// The right matrix of a product, and what is added.
#[derive(Debug, Clone, Copy)]
pub(in crate::session) struct Panels<'a> {
    /// As [`mimir_bundle::kernels::float32_panels`] or [`bfloat16_panels`](mimir_bundle::kernels::bfloat16_panels) make them.
    pub(in crate::session) weights: &'a [Lanes],
    /// Added to each row; empty for none.
    pub(in crate::session) bias: &'a [f32],
    /// Factors of a sum, numbers or pairs, at least 1.
    pub(in crate::session) depth: usize,
    /// Numbers of a row of the result, at least 1.
    pub(in crate::session) columns: usize,
}

/// `x·w + bias` for rows of `x`, in 32-bit floats.
pub(in crate::session) fn product_float32(x: &[f32], panels: Panels, result: &mut [f32]) {
    Instructions::best().run(OfNumbers(Sums { left: x, panels, result }));
}

/// Most vectors of a row that are computed side by side.
const MOST_VECTORS: usize = 4;

/// Most rows. With fewer vectors, more rows gain nothing.
const MOST_ROWS: usize = 12;

/// Vectors of which a few rows can have their sums in registers: one where there are few registers.
const fn most_vectors<S: Factors>() -> usize {
    if S::REGISTERS < 2 * MOST_VECTORS { 1 } else { MOST_VECTORS }
}

/// Rows of factors times panels.
pub(super) struct Sums<'a> {
    pub(super) left: &'a [f32],
    pub(super) panels: Panels<'a>,
    pub(super) result: &'a mut [f32],
}

impl FactorWork for Sums<'_> {
    #[inline(always)]
    fn run<S: Factors>(self, simd: S) {
        let Self { left, panels, result } = self;
        let vectors = panels.columns.div_ceil(LANES);
        let groups = vectors.div_ceil(most_vectors::<S>());
        let mut first = 0;
        for group in 0..groups {
            let count = (vectors - first) / (groups - group);
            let panel = Panel { left, panels, first, result: &mut *result };
            match count {
                1 => simd.call(Columns::<1>(panel)),
                2 => simd.call(Columns::<2>(panel)),
                3 => simd.call(Columns::<3>(panel)),
                _ => simd.call(Columns::<4>(panel)),
            }
            first += count;
        }
    }
}

/// All rows of some columns.
struct Panel<'a> {
    /// Rows of factors.
    left: &'a [f32],
    panels: Panels<'a>,
    /// The first vector of the columns.
    first: usize,
    /// All columns.
    result: &'a mut [f32],
}

/// A panel of so many vectors.
struct Columns<'a, const VECTORS: usize>(Panel<'a>);

impl<const VECTORS: usize> FactorWork for Columns<'_, VECTORS> {
    #[inline(always)]
    fn run<S: Factors>(mut self, simd: S) {
        let rows = self.0.left.len() / self.0.panels.depth;
        let most = (S::REGISTERS / VECTORS).min(MOST_ROWS);
        let blocks = rows.div_ceil(most);
        let mut start = 0;
        for block in 0..blocks {
            let count = (rows - start) / (blocks - block);
            macro_rules! with_rows {
                ($($number:literal)*) => {
                    match count {
                        $($number if $number * VECTORS <= S::REGISTERS => self.block::<S, $number>(simd, start),)*
                        _ => {}
                    }
                };
            }
            with_rows!(1 2 3 4 5 6 7 8 9 10 11 12);
            start += count;
        }
    }
}

impl<const VECTORS: usize> Columns<'_, VECTORS> {
    /// Some rows, whose sums stay in registers.
    #[inline(always)]
    fn block<S: Factors, const ROWS: usize>(&mut self, simd: S, start: usize) {
        let Panel { left, panels: Panels { weights, bias, depth, columns }, first, .. } = self.0;
        let (mut rows, mut right) = ([&[][..]; ROWS], [&[][..]; VECTORS]);
        for (row, numbers) in rows.iter_mut().enumerate() {
            *numbers = &left[(start + row) * depth..][..depth];
        }
        for (vector, numbers) in right.iter_mut().enumerate() {
            *numbers = &weights[(first + vector) * depth..][..depth];
        }
        let mut sums = [[simd.splat(0.0); VECTORS]; ROWS];
        for index in 0..depth {
            let mut vectors = [simd.splat(0.0); VECTORS];
            for vector in 0..VECTORS {
                vectors[vector] = simd.load(&right[vector][index]);
            }
            for row in 0..ROWS {
                let factor = simd.splat(rows[row][index]);
                for vector in 0..VECTORS {
                    sums[row][vector] = simd.add_products(factor, vectors[vector], sums[row][vector]);
                }
            }
        }
        let column = first * LANES;
        let size = columns.min((first + VECTORS) * LANES) - column;
        let mut added = [simd.splat(0.0); VECTORS];
        if !bias.is_empty() {
            for (vector, bias) in bias[column..][..size].chunks(LANES).enumerate() {
                added[vector] = simd.load(&padded(bias));
            }
        }
        let result = &mut self.0.result[start * columns + column..];
        // Loops without branches, so that no sum is anywhere but in its register.
        if size == VECTORS * LANES {
            for row in 0..ROWS {
                let (vectors, _) = result[row * columns..][..size].as_chunks_mut::<LANES>();
                for vector in 0..VECTORS {
                    simd.store(simd.add(sums[row][vector], added[vector]), &mut vectors[vector]);
                }
            }
            return;
        }
        let mut finished = [[[0.0; LANES]; VECTORS]; ROWS];
        for row in 0..ROWS {
            for vector in 0..VECTORS {
                simd.store(simd.add(sums[row][vector], added[vector]), &mut finished[row][vector]);
            }
        }
        for (row, finished) in finished.iter().enumerate() {
            result[row * columns..][..size].copy_from_slice(&finished.as_flattened()[..size]);
        }
    }
}

#[cfg(test)]
mod tests {
    use mimir_bundle::kernels::float32_panels;

    use super::super::tests::rows;
    use super::*;

    /// Rows, products of a sum, columns.
    const SIZES: [[usize; 3]; 8] = [
        [1, 1, 1],
        [5, 16, 16],
        [13, 33, 17],
        [25, 40, 65],
        [7, 64, 48],
        [30, 48, 144],
        [17, 31, 47],
        [9, 97, 80],
    ];

    struct Case {
        x: Vec<f32>,
        weights: Vec<f32>,
        bias: Vec<f32>,
        sizes: [usize; 3],
    }

    impl Case {
        fn new(sizes: [usize; 3]) -> Self {
            let [height, inner, columns] = sizes;
            let bias = rows(columns, 1, 2.1);
            Self { x: rows(inner, height, 0.7), weights: rows(columns, inner, 1.3), bias, sizes }
        }

        fn run(&self, instructions: Instructions, x: &[f32], bias: &[f32]) -> Vec<f32> {
            let [_, inner, columns] = self.sizes;
            let weights = float32_panels(inner, columns, |row, column| self.weights[row * columns + column]);
            let panels = Panels { weights: weights.as_chunks().0, bias, depth: inner, columns };
            let mut result = vec![f32::NAN; x.len() / inner * columns];
            instructions.run(OfNumbers(Sums { left: x, panels, result: &mut result }));
            result
        }
    }

    #[test]
    fn results_are_those_of_64_bits_but_for_the_rounding_of_sums() {
        for sizes in SIZES {
            let (case, [_, inner, columns]) = (Case::new(sizes), sizes);
            for (instructions, bias) in
                Instructions::all().into_iter().flat_map(|kind| [(kind, &case.bias[..]), (kind, &[])])
            {
                for (at, found) in case.run(instructions, &case.x, bias).iter().enumerate() {
                    let (row, column) = (at / columns, at % columns);
                    let products = (0..inner).map(|index| {
                        f64::from(case.x[row * inner + index])
                            * f64::from(case.weights[index * columns + column])
                    });
                    let wanted = products.sum::<f64>() + f64::from(bias.get(column).copied().unwrap_or(0.0));
                    let error = (f64::from(*found) - wanted).abs();
                    assert!(error < 1e-5, "{sizes:?}, {instructions:?}: {found}, {wanted}");
                }
            }
        }
    }

    #[test]
    fn a_row_has_the_same_bits_alone_in_any_place_and_by_all_instructions() {
        for sizes in SIZES {
            let (case, [_, inner, columns]) = (Case::new(sizes), sizes);
            let first = case.run(Instructions::Portable, &case.x, &case.bias);
            for instructions in Instructions::all() {
                assert_eq!(case.run(instructions, &case.x, &case.bias), first, "{sizes:?}, {instructions:?}");
                for (row, wanted) in case.x.chunks(inner).zip(first.chunks(columns)) {
                    let alone = case.run(instructions, row, &case.bias);
                    assert_eq!(alone, wanted, "{sizes:?}, {instructions:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_a_number_reaches_all_of_its_row_and_nothing_else() {
        let mut case = Case::new([3, 32, 17]);
        case.x[32 + 5] = f32::NAN;
        for instructions in Instructions::all() {
            let found = case.run(instructions, &case.x, &case.bias);
            assert!(found[17..34].iter().all(|number| number.is_nan()), "{instructions:?}: {found:?}");
            assert!(found[..17].iter().chain(&found[34..]).all(|number| number.is_finite()), "{found:?}");
        }
    }
}
