//! Products in bfloat16: twice as many in an instruction as in 32 bits.
//!
//! The left matrix is rounded as it is read, some dozens of rows at a time, so that they stay in the second cache. A constant right
//! one was rounded and arranged before ([`mimir_bundle::kernels::bfloat16_panels`]); another one is as it is read.

mod packing;

use std::cell::RefCell;

use super::panels::{Panels, Sums};
use super::simd::{LANES, Lanes, PairInstructions, PairWork, Pairs};
use packing::{Paneling, Rounding, TransposedPaneling, TransposedRounding};

/// `x·w + bias` for rows of `x` of `inner` numbers.
pub(in crate::session) fn product_bfloat16(x: &[f32], inner: usize, panels: Panels, result: &mut [f32]) {
    PairInstructions::best().run(Product { x, inner, panels, result });
}

/// Two matrices, `[rows, inner]` and `[inner, columns]`, none of them empty.
#[derive(Debug, Clone, Copy)]
pub(in crate::session) struct Matrices<'a> {
    pub(in crate::session) left: &'a [f32],
    pub(in crate::session) right: &'a [f32],
    pub(in crate::session) rows: usize,
    pub(in crate::session) inner: usize,
    pub(in crate::session) columns: usize,
    /// Whether the left and the right one are stored the other way round.
    pub(in crate::session) transposed: [bool; 2],
}

/// The product of two matrices, `[rows, columns]`.
pub(in crate::session) fn matmul_bfloat16(matrices: Matrices, result: &mut [f32]) {
    PairInstructions::best().run(MatMul { matrices, result });
}

thread_local! {
    /// Rounded rows.
    static ROWS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    /// Panels of a matrix that is not constant.
    static PANELS: RefCell<Vec<Lanes>> = const { RefCell::new(Vec::new()) };
}

struct Product<'a> {
    x: &'a [f32],
    inner: usize,
    panels: Panels<'a>,
    result: &'a mut [f32],
}

impl PairWork for Product<'_> {
    #[inline(always)]
    fn run<S: Pairs>(self, simd: S) {
        let Self { x, inner, panels, result } = self;
        let size = x.len() / inner * panels.depth;
        ROWS.with_borrow_mut(|rounded| {
            rounded.resize(rounded.len().max(size), 0.0);
            let rounded = &mut rounded[..size];
            simd.call_for_pairs(Rounding { x, inner, rounded: &mut *rounded });
            simd.call(Sums { left: rounded, panels, result });
        });
    }
}

struct MatMul<'a> {
    matrices: Matrices<'a>,
    result: &'a mut [f32],
}

/// Rows that are rounded before they meet the right matrix.
const ROWS_AT_ONCE: usize = 96;

impl PairWork for MatMul<'_> {
    #[inline(always)]
    fn run<S: Pairs>(self, simd: S) {
        let Matrices { left, right, rows, inner, columns, transposed } = self.matrices;
        let pairs = inner.div_ceil(2);
        PANELS.with_borrow_mut(|panels| {
            let size = columns.div_ceil(LANES) * pairs;
            panels.resize(panels.len().max(size), [0.0; LANES]);
            let panels = &mut panels[..size];
            if transposed[1] {
                simd.call_for_pairs(TransposedPaneling { matrix: right, inner, panels: &mut *panels });
            } else {
                simd.call_for_pairs(Paneling { matrix: right, inner, columns, panels: &mut *panels });
            }
            let panels = Panels { weights: panels, bias: &[], depth: pairs, columns };
            ROWS.with_borrow_mut(|rounded| {
                rounded.resize(rounded.len().max(ROWS_AT_ONCE * pairs), 0.0);
                for (block, result) in self.result.chunks_mut(ROWS_AT_ONCE * columns).enumerate() {
                    let first = block * ROWS_AT_ONCE;
                    let count = ROWS_AT_ONCE.min(rows - first);
                    let rounded = &mut rounded[..count * pairs];
                    if transposed[0] {
                        let rounded = &mut *rounded;
                        simd.call_for_pairs(TransposedRounding {
                            x: left,
                            width: rows,
                            first,
                            inner,
                            rounded,
                        });
                    } else {
                        let x = &left[first * inner..][..count * inner];
                        simd.call_for_pairs(Rounding { x, inner, rounded: &mut *rounded });
                    }
                    simd.call(Sums { left: rounded, panels, result });
                }
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use mimir_bundle::kernels::bfloat16_panels;

    use super::super::tests::rows;
    use super::*;

    /// Rows, products of a sum, columns.
    const SIZES: [[usize; 3]; 9] = [
        [1, 1, 1],
        [5, 16, 16],
        [13, 33, 17],
        [25, 40, 33],
        [7, 64, 48],
        [30, 48, 144],
        [6, 2, 64],
        [17, 31, 47],
        [9, 97, 80],
    ];

    /// Half the distance of two neighbours among numbers from 1 to 2, in bfloat16.
    const EPSILON: f64 = 1.0 / 256.0;

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

        fn run(&self, instructions: PairInstructions, x: &[f32]) -> Vec<f32> {
            let [_, inner, columns] = self.sizes;
            let weights = bfloat16_panels(inner, columns, |row, column| self.weights[row * columns + column]);
            let panels = Panels {
                weights: weights.as_chunks().0,
                bias: &self.bias,
                depth: inner.div_ceil(2),
                columns,
            };
            let mut result = vec![f32::NAN; x.len() / inner * columns];
            instructions.run(Product { x, inner, panels, result: &mut result });
            result
        }
    }

    #[test]
    fn results_are_those_of_64_bits_but_for_the_rounding_of_the_factors() {
        for sizes in SIZES {
            let (case, [_, inner, columns]) = (Case::new(sizes), sizes);
            for instructions in PairInstructions::all() {
                for (at, found) in case.run(instructions, &case.x).iter().enumerate() {
                    let (row, column) = (at / columns, at % columns);
                    let products = (0..inner).map(|index| {
                        f64::from(case.x[row * inner + index])
                            * f64::from(case.weights[index * columns + column])
                    });
                    let products: Vec<f64> = products.collect();
                    let wanted = products.iter().sum::<f64>() + f64::from(case.bias[column]);
                    let magnitude = products.iter().map(|product| product.abs()).sum::<f64>();
                    // Both factors are rounded; sums in 32 bits lose far less.
                    let bound = (2.0 * EPSILON + EPSILON * EPSILON) * magnitude + 1e-5;
                    let error = (f64::from(*found) - wanted).abs();
                    assert!(error <= bound, "{sizes:?}, {instructions:?}: {found}, {wanted}");
                }
            }
        }
    }

    #[test]
    fn a_row_has_the_same_bits_alone_in_any_place_and_by_all_instructions() {
        for sizes in SIZES {
            let (case, [_, inner, columns]) = (Case::new(sizes), sizes);
            let first = case.run(PairInstructions::Portable, &case.x);
            for instructions in PairInstructions::all() {
                assert_eq!(case.run(instructions, &case.x), first, "{sizes:?}, {instructions:?}");
                for (row, wanted) in case.x.chunks(inner).zip(first.chunks(columns)) {
                    assert_eq!(case.run(instructions, row), wanted, "{sizes:?}, {instructions:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_finite_reaches_all_of_its_row_and_nothing_else() {
        for (number, is_spoilt) in
            [(f32::NAN, f32::is_nan as fn(f32) -> bool), (f32::MAX, |it| !it.is_finite())]
        {
            let mut case = Case::new([3, 32, 17]);
            case.weights.iter_mut().for_each(|weight| *weight += 2.0);
            case.x[32 + 5] = number;
            for instructions in PairInstructions::all() {
                let found = case.run(instructions, &case.x);
                let spoilt: Vec<bool> = found.iter().map(|number| is_spoilt(*number)).collect();
                assert!(spoilt[17..34].iter().all(|it| *it), "{instructions:?}: {found:?}");
                assert!(found[..17].iter().chain(&found[34..]).all(|it| it.is_finite()), "{found:?}");
            }
        }
    }

    /// A matrix of that many columns, the other way round.
    fn exchanged(matrix: &[f32], columns: usize) -> Vec<f32> {
        (0..columns).flat_map(|column| matrix[column..].iter().step_by(columns)).copied().collect()
    }

    /// The constant matrix is what decides about each of the others.
    #[test]
    fn a_product_of_two_matrices_has_the_bits_of_that_with_a_constant_either_way_round() {
        for sizes in SIZES.into_iter().chain([[200, 70, 18]]) {
            let (mut case, [height, inner, columns]) = (Case::new(sizes), sizes);
            case.bias.fill(0.0);
            let wanted = case.run(PairInstructions::Portable, &case.x);
            for (left_is_transposed, right_is_transposed) in
                [(false, false), (true, false), (false, true), (true, true)]
            {
                let stored = |matrix: &[f32], columns: usize, is_transposed: bool| match is_transposed {
                    true => exchanged(matrix, columns),
                    false => matrix.to_vec(),
                };
                let matrices = Matrices {
                    left: &stored(&case.x, inner, left_is_transposed),
                    right: &stored(&case.weights, columns, right_is_transposed),
                    rows: height,
                    inner,
                    columns,
                    transposed: [left_is_transposed, right_is_transposed],
                };
                for instructions in PairInstructions::all() {
                    let mut found = vec![f32::NAN; height * columns];
                    instructions.run(MatMul { matrices, result: &mut found });
                    assert_eq!(found, wanted, "{sizes:?}, {:?}, {instructions:?}", matrices.transposed);
                }
            }
        }
    }
}
