//! Gaussian kernel matrices and their widths.

use tch::{Kind, Tensor};

use super::distance::CentredRows;
use super::flags::Flags;
use super::skip::{Argument, SkipReason};

/// Neighbours that set a width (Yu et al., "Deep deterministic information bottleneck", 2021).
const NEIGHBOURS: i64 = 10;

/// How wide a Gaussian kernel is. A width taken from the data is a constant of the batch: no gradient passes through it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bandwidth {
    /// exp(−‖a − b‖² / (2σ²d)), d the number of columns: σ is a root mean squared difference of coordinates.
    PerCoordinate(f64),
    /// exp(−‖a − b‖² / s²).
    Distance(f64),
    /// exp(−‖a − b‖² / (2s²)), s² the median squared distance of different samples (the lower one of two).
    Median,
    /// exp(−‖a − b‖² / s²), s the mean distance of a sample to its ten nearest others, or to all where there are fewer,
    /// averaged over the samples.
    TenNearest,
}

/// The kernel matrix K of a batch.
pub(super) struct Kernel {
    /// K_ij = exp(−rate·‖a_i − a_j‖²), `[m, m]` float64, 1 on the diagonal.
    pub(super) matrix: Tensor,
    /// A float64 scalar.
    rate: Tensor,
}

impl Kernel {
    /// The kernel of rows that differ; where there is none, the identity, and why is noted for `argument`. m ≥ 2.
    pub(super) fn new(rows: &CentredRows, width: Bandwidth, argument: Argument, flags: &mut Flags) -> Self {
        let distances = rows.squared_distances();
        let farthest = distances.max();
        flags.note(&farthest.isfinite().logical_not(), SkipReason::NonFiniteInput(argument));
        flags.note(&farthest.eq(0.0), SkipReason::EqualRows(argument));
        let constant = |rate: f64| Tensor::full([], rate, (Kind::Double, distances.device()));
        let rate = match width {
            Bandwidth::PerCoordinate(sigma) => constant(0.5 / (sigma * sigma * rows.columns() as f64)),
            Bandwidth::Distance(sigma) => constant(1.0 / (sigma * sigma)),
            Bandwidth::Median => constant(0.5) / median(&distances),
            Bandwidth::TenNearest => constant(1.0) / ten_nearest(&distances).square(),
        };
        flags.note(&rate.isfinite().logical_not(), SkipReason::ZeroWidth(argument));
        let matrix = (&distances * -&rate).exp();
        // A factorisation of what is not finite may fail in other ways than by saying so.
        let identity = Tensor::eye(matrix.size()[0], (Kind::Double, matrix.device()));
        Self { matrix: matrix.where_self(&flags.is_clear(), &identity), rate }
    }

    /// From the derivative by K `[m, m]`, that by the squared distances.
    pub(super) fn distance_gradient(&self, kernel_gradient: &Tensor) -> Tensor {
        kernel_gradient * &self.matrix * -&self.rate
    }
}

/// The lower median off the diagonal, a scalar.
fn median(distances: &Tensor) -> Tensor {
    let m = distances.size()[0];
    // Without the first entry, every (m + 1)th is on the diagonal.
    let others = distances.reshape([-1]).narrow(0, 1, m * m - 1).reshape([m - 1, m + 1]).narrow(1, 0, m);
    others.median()
}

/// The mean distance to the ten nearest other samples, a scalar.
fn ten_nearest(distances: &Tensor) -> Tensor {
    let neighbours = NEIGHBOURS.min(distances.size()[0] - 1);
    let (nearest, _) = distances.sqrt().topk(neighbours + 1, 1, false, true);
    // The nearest is the sample itself, or one that equals it.
    nearest.narrow(1, 1, neighbours).mean(Kind::Double)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Squared distances of points on a line.
    fn line(points: &[f64]) -> Tensor {
        let points = Tensor::from_slice(points);
        (points.unsqueeze(0) - points.unsqueeze(1)).square()
    }

    #[test]
    fn the_median_leaves_out_the_diagonal() {
        // Distances 1, 2, 3, 2, 4, 5 off the diagonal of 0, 1, 3 and 5: the squares 1 4 4 9 16 25, lower median 4.
        assert_eq!(median(&line(&[0.0, 1.0, 3.0, 5.0])).double_value(&[]), 4.0);
        // With the diagonal it would be 0.
        assert_eq!(median(&line(&[0.0, 3.0])).double_value(&[]), 9.0);
    }

    #[test]
    fn ten_nearest_takes_neighbours_not_samples() {
        let ten_nearest = |distances: &Tensor| ten_nearest(distances).double_value(&[]);
        // Few samples: all others. 0, 1, 4: means 2.5, 2 and 3.5.
        assert!((ten_nearest(&line(&[0.0, 1.0, 4.0])) - 8.0 / 3.0).abs() < 1e-12);
        // Ten points at 0 and two at 100: nine zeros and a 100 for the former; a zero and nine 100s for the latter.
        let mut points = [0.0; 12];
        points[10..].fill(100.0);
        assert!((ten_nearest(&line(&points)) - (10.0 * 10.0 + 2.0 * 90.0) / 12.0).abs() < 1e-12);
    }
}
