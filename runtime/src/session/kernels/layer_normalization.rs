//! LayerNormalization without scale and shift of a residual sum, and its gradient.

use multiversion::multiversion;

use super::{LANES, add_up, sum, sum_of_products};

/// What one normalisation leaves: rows of the sum, the same normalised, and a number for each row.
pub(in crate::session) struct Normalised<'a> {
    pub sum: &'a mut [f32],
    pub rows: &'a mut [f32],
    pub inverse_deviation: &'a mut [f32],
}

/// `s = x + y + bias`, `r = 1/√(variance of a row of s + epsilon)` and `r·(s − mean of the row)`, for as many rows as there are
/// numbers `r`. The bias is that of a row; without one it is empty.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(in crate::session) fn residual_layer_normalization(
    x: &[f32],
    y: &[f32],
    bias: &[f32],
    epsilon: f32,
    to: &mut Normalised<'_>,
) {
    let width = (x.len() / to.inverse_deviation.len().max(1)).max(1);
    let terms = x.chunks_exact(width).zip(y.chunks_exact(width));
    let results = to.sum.chunks_exact_mut(width).zip(to.rows.chunks_exact_mut(width));
    for (((x, y), (s, normal)), r) in terms.zip(results).zip(&mut *to.inverse_deviation) {
        match bias.len() == width {
            true => (0..width).for_each(|index| s[index] = x[index] + (y[index] + bias[index])),
            false => (0..width).for_each(|index| s[index] = x[index] + y[index]),
        }
        let mean = sum(s) / width as f32;
        for index in 0..width {
            normal[index] = s[index] - mean;
        }
        *r = 1.0 / (sum_of_squares(normal) / width as f32 + epsilon).sqrt();
        let r = *r;
        normal.iter_mut().for_each(|value| *value *= r);
    }
}

#[inline(always)]
fn sum_of_squares(values: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (values, rest) = values.as_chunks::<LANES>();
    for values in values {
        for lane in 0..LANES {
            lanes[lane] += values[lane] * values[lane];
        }
    }
    for (lane, value) in rest.iter().enumerate() {
        lanes[lane] += value * value;
    }
    add_up(lanes)
}

/// `r·(h − mean h − x̂·mean(h·x̂)) + around` for rows of `h` as long as `h` is to `r`; `mean h` is zero where it says so, and
/// `around` is empty where nothing is added.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(in crate::session) fn layer_normalization_gradient(
    h: &[f32],
    normalised: &[f32],
    inverse_deviation: &[f32],
    around: &[f32],
    mean_is_zero: bool,
    dx: &mut [f32],
) {
    let width = (h.len() / inverse_deviation.len().max(1)).max(1);
    let rows = h.chunks_exact(width).zip(normalised.chunks_exact(width));
    let mut around = around.chunks_exact(width);
    for (((h, normalised), r), dx) in rows.zip(inverse_deviation).zip(dx.chunks_exact_mut(width)) {
        let correlation = sum_of_products(h, normalised) / width as f32;
        let mean = if mean_is_zero { 0.0 } else { sum(h) / width as f32 };
        let inner = |index: usize| (h[index] - mean - normalised[index] * correlation) * r;
        match around.next() {
            Some(around) => (0..width).for_each(|index| dx[index] = inner(index) + around[index]),
            None => (0..width).for_each(|index| dx[index] = inner(index)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::rows;
    use super::*;

    const WIDTH: usize = 37;

    fn mean(row: impl Iterator<Item = f64>) -> f64 {
        row.sum::<f64>() / WIDTH as f64
    }

    #[test]
    fn rows_of_the_gradient_follow_the_formula() {
        let (h, normalised, around) = (rows(WIDTH, 3, 0.7), rows(WIDTH, 3, 1.3), rows(WIDTH, 3, 0.3));
        let inverse = [0.5, 2.0, 3.0];
        for (around, centred) in [(&around[..], false), (&around, true), (&[], false), (&[], true)] {
            let mut dx = vec![0.0; 3 * WIDTH];
            layer_normalization_gradient(&h, &normalised, &inverse, around, centred, &mut dx);
            for (place, found) in dx.into_iter().enumerate() {
                let row = place / WIDTH * WIDTH..(place / WIDTH + 1) * WIDTH;
                let at = |values: &[f32], index: usize| f64::from(values[index]);
                let correlation = mean(row.clone().map(|index| at(&h, index) * at(&normalised, index)));
                let centre = if centred { 0.0 } else { mean(row.map(|index| at(&h, index))) };
                let inner = at(&h, place) - centre - at(&normalised, place) * correlation;
                let wanted = f64::from(inverse[place / WIDTH]) * inner
                    + around.get(place).copied().map_or(0.0, f64::from);
                assert!((f64::from(found) - wanted).abs() < 1e-5, "{place}: {found}, wanted {wanted}");
            }
        }
    }

    #[test]
    fn rows_of_a_residual_sum_are_normalised() {
        let (x, y, bias) = (rows(WIDTH, 3, 0.7), rows(WIDTH, 3, 1.3), rows(WIDTH, 1, 0.9));
        for bias in [&bias[..], &[]] {
            let (mut sums, mut normal, mut inverse) = (vec![0.0; 3 * WIDTH], vec![0.0; 3 * WIDTH], [0.0; 3]);
            let mut to = Normalised { sum: &mut sums, rows: &mut normal, inverse_deviation: &mut inverse };
            residual_layer_normalization(&x, &y, bias, 0.25, &mut to);
            for (row, inverse) in inverse.into_iter().enumerate() {
                let s = |column: usize| {
                    let at = row * WIDTH + column;
                    f64::from(x[at]) + f64::from(y[at]) + bias.get(column).copied().map_or(0.0, f64::from)
                };
                let centre = mean((0..WIDTH).map(s));
                let wanted =
                    1.0 / (mean((0..WIDTH).map(|column| (s(column) - centre).powi(2))) + 0.25).sqrt();
                assert!((f64::from(inverse) - wanted).abs() < 1e-5, "{inverse}, wanted {wanted}");
                for column in 0..WIDTH {
                    let at = row * WIDTH + column;
                    assert!((f64::from(sums[at]) - s(column)).abs() < 1e-5);
                    let wanted = wanted * (s(column) - centre);
                    assert!((f64::from(normal[at]) - wanted).abs() < 1e-5, "{}, wanted {wanted}", normal[at]);
                }
            }
        }
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        let mut normal = [0.0; 3];
        layer_normalization_gradient(&[1.0, f32::NAN, 2.0], &[0.5; 3], &[1.0], &[], true, &mut normal);
        assert!(normal.iter().all(|value| value.is_nan()));
        let (mut sums, mut inverse) = ([0.0; 3], [0.0]);
        let mut to = Normalised { sum: &mut sums, rows: &mut normal, inverse_deviation: &mut inverse };
        residual_layer_normalization(&[1.0, f32::INFINITY, 2.0], &[0.5; 3], &[], 0.1, &mut to);
        assert!(normal.iter().all(|value| value.is_nan()));
    }
}
