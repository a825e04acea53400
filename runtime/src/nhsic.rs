//! The dependence that MIMIR trains against, and its derivatives by both arguments: the nHSIC of the authors' code, which is
//! the normalised cross-covariance of the HSIC bottleneck (Ma, Lewis and Kleijn 2020).
//!
//! Of `m` samples with rows `a_i`, `[d]`: `K_ij = exp(−‖a_i − a_j‖² / (2σ²d))`, `A = HKH` with `H = I − 11ᵀ/m`, and `R = A (A +
//! εmI)⁻¹`; the statistic of two arguments is `tr(R_x R_z)`, between 0 and `m − 1`. The training computes the same in
//! `train/src/penalty`; both are held to `tests/fixtures/penalty/nhsic.json`.
//!
//! Everything is in float64, in a fixed order and without fused operations, so that every machine gives the same bits.

/// A square matrix, row by row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Matrix {
    size: usize,
    values: Vec<f64>,
}

impl Matrix {
    /// The matrix with those entries.
    pub(crate) fn from_fn(size: usize, mut entry: impl FnMut(usize, usize) -> f64) -> Self {
        let mut values = Vec::with_capacity(size * size);
        for row in 0..size {
            values.extend((0..size).map(|column| entry(row, column)));
        }
        Self { size, values }
    }

    /// One entry.
    pub(crate) fn at(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.size + column]
    }

    /// `HMH`: the mean of each row and of each column is taken away.
    fn centred(&self) -> Self {
        let size = self.size as f64;
        let row_means: Vec<f64> =
            self.values.chunks(self.size).map(|row| row.iter().sum::<f64>() / size).collect();
        let column_means: Vec<f64> = (0..self.size)
            .map(|column| (0..self.size).map(|row| self.at(row, column)).sum::<f64>() / size)
            .collect();
        let mean = row_means.iter().sum::<f64>() / size;
        Self::from_fn(self.size, |row, column| {
            self.at(row, column) - row_means[row] - column_means[column] + mean
        })
    }

    /// The lower Cholesky factor of `M + ridge·I`; none where that is not positive definite.
    fn factor(&self, ridge: f64) -> Option<Self> {
        let size = self.size;
        let mut factor = Self { size, values: vec![0.0; size * size] };
        for row in 0..size {
            for column in 0..=row {
                let known: f64 =
                    (0..column).map(|index| factor.at(row, index) * factor.at(column, index)).sum();
                let left = self.at(row, column) - known;
                factor.values[row * size + column] = match row == column {
                    true => {
                        let pivot = left + ridge;
                        if pivot.is_nan() || pivot <= 0.0 {
                            return None;
                        }
                        pivot.sqrt()
                    }
                    false => left / factor.at(column, column),
                };
            }
        }
        Some(factor)
    }

    /// `(LLᵀ)⁻¹ B`, where this is `L`.
    fn solve(&self, right: &Self) -> Self {
        let size = self.size;
        let mut solved = right.clone();
        for column in 0..size {
            for row in 0..size {
                let known: f64 = (0..row).map(|index| self.at(row, index) * solved.at(index, column)).sum();
                solved.values[row * size + column] = (solved.at(row, column) - known) / self.at(row, row);
            }
            for row in (0..size).rev() {
                let known: f64 =
                    (row + 1..size).map(|index| self.at(index, row) * solved.at(index, column)).sum();
                solved.values[row * size + column] = (solved.at(row, column) - known) / self.at(row, row);
            }
        }
        solved
    }

    fn transposed(&self) -> Self {
        Self::from_fn(self.size, |row, column| self.at(column, row))
    }
}

/// The statistic, and its derivatives by the two kernel matrices, both symmetric.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Nhsic {
    pub(crate) value: f64,
    pub(crate) by_first: Matrix,
    pub(crate) by_second: Matrix,
}

/// `tr(R_x R_z)` of two kernel matrices of the same samples. None where they cannot be factorised: then the authors' code takes
/// the penalty for 0.
///
/// The derivative by `K_z` is `c (A_z + cI)⁻¹ R_x (A_z + cI)⁻¹` with `c = εm`, and that by `K_x` the same with the arguments
/// exchanged.
pub(crate) fn nhsic(first: &Matrix, second: &Matrix, epsilon: f64) -> Option<Nhsic> {
    let ridge = epsilon * first.size as f64;
    let (first, second) = (Smoother::new(first, ridge)?, Smoother::new(second, ridge)?);
    let pairs = first.matrix.values.iter().zip(&second.matrix.values);
    Some(Nhsic {
        value: pairs.map(|(one, other)| one * other).sum(),
        by_first: first.derivative(&second.matrix, ridge),
        by_second: second.derivative(&first.matrix, ridge),
    })
}

/// `R = A (A + cI)⁻¹`: the smoother of kernel ridge regression.
struct Smoother {
    matrix: Matrix,
    /// Of `A + cI`.
    factor: Matrix,
}

impl Smoother {
    fn new(kernel: &Matrix, ridge: f64) -> Option<Self> {
        let centred = kernel.centred();
        let factor = centred.factor(ridge)?;
        let matrix = factor.solve(&centred);
        Some(Self { matrix, factor })
    }

    /// The derivative of `tr(R · other)` by the kernel of `R`.
    fn derivative(&self, other: &Matrix, ridge: f64) -> Matrix {
        let half = self.factor.solve(other).transposed();
        let whole = self.factor.solve(&half);
        Matrix::from_fn(whole.size, |row, column| {
            ridge * 0.5 * (whole.at(row, column) + whole.at(column, row))
        })
    }
}

/// `‖a − b‖²`.
pub(crate) fn squared_distance<T: Copy + Into<f64>>(left: &[T], right: &[T]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (pairs, rest) = (left.chunks_exact(LANES), left.chunks_exact(LANES).remainder());
    for (left, right) in pairs.zip(right.chunks_exact(LANES)) {
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            let difference: f64 = (*left).into() - (*right).into();
            *sum += difference * difference;
        }
    }
    let start = left.len() - rest.len();
    let rest = rest.iter().zip(&right[start..]).map(|(left, right)| {
        let difference: f64 = (*left).into() - (*right).into();
        difference * difference
    });
    sums.iter().sum::<f64>() + rest.sum::<f64>()
}

/// The rate of a Gaussian kernel of width `sigma` a coordinate: `1 / (2σ²d)`.
pub(crate) fn rate(sigma: f64, columns: usize) -> f64 {
    0.5 / (sigma * sigma * columns as f64)
}

/// Adds `factor` times the derivative by the row `of`, given the derivative by the kernel matrix: `∂/∂a_i = 4·rate·Σ_j W_ij (a_j −
/// a_i)` with `W` the product of derivative and kernel, entry by entry.
pub(crate) fn add_row_gradient<T: Copy + Into<f64>>(
    by_kernel: &Matrix,
    kernel: &Matrix,
    rows: &[&[T]],
    of: usize,
    factor: f64,
    out: &mut [f64],
) {
    let own = rows[of];
    for (index, other) in rows.iter().enumerate().filter(|(index, _)| *index != of) {
        let weight = factor * by_kernel.at(of, index) * kernel.at(of, index);
        for ((slope, own), other) in out.iter_mut().zip(own).zip(*other) {
            *slope += weight * ((*other).into() - (*own).into());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../tests/fixtures/penalty/nhsic.json")).unwrap()
    }

    fn rows(value: &Value) -> Vec<Vec<f64>> {
        serde_json::from_value(value.clone()).unwrap()
    }

    fn kernel(rows: &[Vec<f64>], sigma: f64) -> Matrix {
        let rate = rate(sigma, rows[0].len());
        Matrix::from_fn(rows.len(), |one, other| {
            libm::exp(-rate * squared_distance(&rows[one], &rows[other]))
        })
    }

    /// By the row `of`, as the attack computes it.
    fn gradient(rows: &[Vec<f64>], by_kernel: &Matrix, sigma: f64, of: usize) -> Vec<f64> {
        let columns = rows[0].len();
        let slices: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        let mut out = vec![0.0; columns];
        let factor = 4.0 * rate(sigma, columns);
        add_row_gradient(by_kernel, &kernel(rows, sigma), &slices, of, factor, &mut out);
        out
    }

    /// 50 digits of the authors' formula, centred on one side and with a general inverse; the training is held to the same.
    #[test]
    fn value_and_both_gradients_are_those_of_the_authors_code() {
        let vectors = vectors();
        let number = |name: &str| vectors[name].as_f64().unwrap();
        let (x, z, sigma) = (rows(&vectors["x"]), rows(&vectors["z"]), number("sigma"));
        let found = nhsic(&kernel(&x, sigma), &kernel(&z, sigma), number("epsilon")).unwrap();
        assert!((found.value - number("nhsic")).abs() < 1e-10, "{}", found.value);
        for (samples, by_kernel, wanted) in
            [(&x, &found.by_first, &vectors["by_x"]), (&z, &found.by_second, &vectors["by_z"])]
        {
            for (row, wanted) in rows(wanted).iter().enumerate() {
                for (found, wanted) in gradient(samples, by_kernel, sigma, row).iter().zip(wanted) {
                    assert!((found - wanted).abs() < 1e-9, "row {row}: {found} {wanted}");
                }
            }
        }
    }

    #[test]
    fn gradients_are_central_differences() {
        let vectors = vectors();
        // A wide ridge, so that the differences keep their digits.
        let (x, z, epsilon) = (rows(&vectors["x"]), rows(&vectors["z"]), 1e-2);
        let value =
            |x: &[Vec<f64>], z: &[Vec<f64>]| nhsic(&kernel(x, 0.5), &kernel(z, 0.8), epsilon).unwrap().value;
        let found = nhsic(&kernel(&x, 0.5), &kernel(&z, 0.8), epsilon).unwrap();
        let step = 1e-5;
        for row in 0..4 {
            for column in 0..3 {
                let moved = |step: f64| {
                    let mut x = x.clone();
                    x[row][column] += step;
                    value(&x, &z)
                };
                let wanted = (moved(step) - moved(-step)) / (2.0 * step);
                let slope = gradient(&x, &found.by_first, 0.5, row)[column];
                assert!((slope - wanted).abs() < 1e-8, "x {row} {column}: {slope} {wanted}");
            }
            for column in 0..2 {
                let moved = |step: f64| {
                    let mut z = z.clone();
                    z[row][column] += step;
                    value(&x, &z)
                };
                let wanted = (moved(step) - moved(-step)) / (2.0 * step);
                let slope = gradient(&z, &found.by_second, 0.8, row)[column];
                assert!((slope - wanted).abs() < 1e-8, "z {row} {column}: {slope} {wanted}");
            }
        }
    }

    #[test]
    fn the_order_of_the_arguments_changes_nothing_and_one_sample_depends_on_nothing() {
        let vectors = vectors();
        let (x, z) = (kernel(&rows(&vectors["x"]), 1.0), kernel(&rows(&vectors["z"]), 1.0));
        let (one, other) = (nhsic(&x, &z, 1e-3).unwrap(), nhsic(&z, &x, 1e-3).unwrap());
        assert_eq!(one.by_first, other.by_second);
        assert!((one.value - other.value).abs() < 1e-12);
        let alone = Matrix::from_fn(1, |_, _| 1.0);
        assert_eq!(nhsic(&alone, &alone, 1e-5).unwrap().value, 0.0);
    }

    #[test]
    fn what_is_no_kernel_has_no_value() {
        let (kernel, negative) = (Matrix::from_fn(3, |_, _| 1.0), |factor: f64| {
            Matrix::from_fn(3, |row, column| if row == column { factor } else { 0.0 })
        });
        assert!(nhsic(&kernel, &negative(-1.0), 1e-5).is_none());
        assert!(nhsic(&kernel, &negative(f64::NAN), 1e-5).is_none());
    }

    #[test]
    fn distances_are_those_of_the_definition_for_every_length() {
        for length in [0_usize, 1, 7, 8, 9, 24, 29] {
            let left: Vec<f32> = (0..length).map(|index| index as f32 * 0.5).collect();
            let right: Vec<f32> = (0..length).map(|index| 1.0 - index as f32).collect();
            let wanted: f64 =
                left.iter().zip(&right).map(|(left, right)| f64::from(left - right).powi(2)).sum();
            assert!((squared_distance(&left, &right) - wanted).abs() < 1e-9 * wanted.max(1.0), "{length}");
        }
    }
}
