//! How far two images are apart, in `f64`, and whether an image lies in the box. Lanes and a fixed order of additions,
//! so that the last bit never depends on the machine's vector width.

use multiversion::multiversion;

use super::arithmetic::LANES;

/// Largest absolute difference of numbers.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn linf(left: &[f32], right: &[f32]) -> f64 {
    let lanes = fold(
        left,
        right,
        |largest, difference| {
            if difference.abs() <= largest { largest } else { difference.abs() }
        },
    );
    lanes.into_iter().fold(0.0, |largest: f64, lane| if lane <= largest { largest } else { lane })
}

/// Euclidean length of the difference.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn l2(left: &[f32], right: &[f32]) -> f64 {
    let lanes = fold(left, right, |sum, difference| sum + difference * difference);
    libm::sqrt(lanes.into_iter().sum())
}

/// Sum of the absolute differences.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn l1(left: &[f32], right: &[f32]) -> f64 {
    fold(left, right, |sum, difference| sum + difference.abs()).into_iter().sum()
}

/// Whether no difference is larger than `bound`, in real arithmetic. Ends with the first pixels that are: most points
/// that a minimum-norm attack passes are far outside.
pub(super) fn is_within_linf(left: &[f32], right: &[f32], bound: f64) -> bool {
    left.chunks(16 * LANES).zip(right.chunks(16 * LANES)).all(|(left, right)| are_within(left, right, bound))
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
fn are_within(left: &[f32], right: &[f32], bound: f64) -> bool {
    left.iter().zip(right).fold(true, |inside, (left, right)| inside & is_at_most(*left, *right, bound))
}

/// Whether `|left - right| ≤ bound`. The difference of two float32 has up to 150 bits: where its rounded value is the
/// bound itself, what rounding took from it (Knuth's TwoSum) decides.
#[inline(always)]
fn is_at_most(left: f32, right: f32, bound: f64) -> bool {
    let (left, right) = (f64::from(left.max(right)), f64::from(left.min(right)));
    let difference = left - right;
    let part = difference - left;
    let error = (left - (difference - part)) + (-right - part);
    (difference < bound) | ((difference == bound) & (error <= 0.0))
}

/// Whether every value lies in `[0, 1]`. Without an early exit: the loop vectorises.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn is_in_box(values: &[f32]) -> bool {
    values.iter().fold(true, |inside, value| inside & (*value >= 0.0) & (*value <= 1.0))
}

#[inline(always)]
fn fold(left: &[f32], right: &[f32], add: impl Fn(f64, f64) -> f64) -> [f64; LANES] {
    let mut lanes = [0.0; LANES];
    let ((left, left_rest), (right, right_rest)) = (left.as_chunks::<LANES>(), right.as_chunks::<LANES>());
    for (left, right) in left.iter().zip(right) {
        for lane in 0..LANES {
            lanes[lane] = add(lanes[lane], f64::from(left[lane]) - f64::from(right[lane]));
        }
    }
    let mut all = lanes;
    for ((lane, left), right) in all.iter_mut().zip(left_rest).zip(right_rest) {
        *lane = add(*lane, f64::from(*left) - f64::from(*right));
    }
    all
}
