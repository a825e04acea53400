//! Sums of products of pairs: each panel of the right matrix, up to four vectors wide, meets a few rows at a time, whose sums stay in
//! registers. A sum runs from the first pair to the last, in one lane: a row comes out the same wherever it stands.

use super::super::simd::{LANES, Lanes, PairWork, Pairs, padded};

/// The right matrix of a product, and what is added.
#[derive(Debug, Clone, Copy)]
pub(in crate::session) struct Panels<'a> {
    /// As [`mimir_bundle::kernels::bfloat16_weights`] makes them.
    pub(in crate::session) weights: &'a [Lanes],
    /// Added to each row; empty for none.
    pub(in crate::session) bias: &'a [f32],
    /// Products of a sum, at least 1.
    pub(in crate::session) inner: usize,
    /// Numbers of a row of the result, at least 1.
    pub(in crate::session) columns: usize,
}

/// Vectors of a row that are computed side by side, and rows: as many sums as registers hold beside what they read.
const MOST_VECTORS: usize = 4;
const MOST_SUMS: usize = 24;

/// With fewer vectors, more rows gain nothing.
const MOST_ROWS: usize = 12;

/// Rows of pairs times panels.
pub(super) struct Sums<'a> {
    pub(super) left: &'a [f32],
    pub(super) panels: Panels<'a>,
    pub(super) result: &'a mut [f32],
}

impl PairWork for Sums<'_> {
    #[inline(always)]
    fn run<S: Pairs>(self, simd: S) {
        let Self { left, panels, result } = self;
        let vectors = panels.columns.div_ceil(LANES);
        let groups = vectors.div_ceil(MOST_VECTORS);
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
    /// Rows of pairs.
    left: &'a [f32],
    panels: Panels<'a>,
    /// The first vector of the columns.
    first: usize,
    /// All columns.
    result: &'a mut [f32],
}

/// A panel of so many vectors.
struct Columns<'a, const VECTORS: usize>(Panel<'a>);

impl<const VECTORS: usize> PairWork for Columns<'_, VECTORS> {
    #[inline(always)]
    fn run<S: Pairs>(mut self, simd: S) {
        let pairs = self.0.panels.inner.div_ceil(2);
        let rows = self.0.left.len() / pairs;
        let most = (MOST_SUMS / VECTORS).min(MOST_ROWS);
        let blocks = rows.div_ceil(most);
        let mut start = 0;
        for block in 0..blocks {
            let count = (rows - start) / (blocks - block);
            macro_rules! with_rows {
                ($($number:literal)*) => {
                    match count {
                        $($number if $number * VECTORS <= MOST_SUMS => self.block::<S, $number>(simd, start),)*
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
    fn block<S: Pairs, const ROWS: usize>(&mut self, simd: S, start: usize) {
        let Panel { left, panels: Panels { weights, bias, inner, columns }, first, .. } = self.0;
        let pairs = inner.div_ceil(2);
        let (mut rows, mut right) = ([&[][..]; ROWS], [&[][..]; VECTORS]);
        for (row, numbers) in rows.iter_mut().enumerate() {
            *numbers = &left[(start + row) * pairs..][..pairs];
        }
        for (vector, numbers) in right.iter_mut().enumerate() {
            *numbers = &weights[(first + vector) * pairs..][..pairs];
        }
        let mut sums = [[simd.splat(0.0); VECTORS]; ROWS];
        for pair in 0..pairs {
            let mut vectors = [simd.splat(0.0); VECTORS];
            for vector in 0..VECTORS {
                vectors[vector] = simd.load(&right[vector][pair]);
            }
            for row in 0..ROWS {
                let number = simd.splat(rows[row][pair]);
                for vector in 0..VECTORS {
                    sums[row][vector] = simd.add_products(number, vectors[vector], sums[row][vector]);
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
