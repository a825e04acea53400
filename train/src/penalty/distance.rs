//! Squared distances between the rows of a batch, and the way back from a derivative by them.

use tch::{Kind, Tensor};

use crate::tf32;

/// The rows of a batch, centred. m rows of d columns.
pub(super) struct CentredRows {
    /// `[m, d]`, float64 if the batch was, else float32.
    centred: Tensor,
}

impl CentredRows {
    /// Centres `rows` `[m, d]`, m ≥ 1. Distances do not change, but their rounding error then goes with the spread of the
    /// rows and no longer with their offset: ‖a‖² + ‖b‖² − 2ab cancels what a and b share.
    pub(super) fn new(rows: &Tensor) -> Self {
        let kind = if rows.kind() == Kind::Double { Kind::Double } else { Kind::Float };
        // The first row goes first, so that equal rows become exact zeros, whatever the rounding of their mean.
        let rows = rows.to_kind(kind);
        let rows = &rows - rows.narrow(0, 0, 1);
        let centred = &rows - rows.mean_dim(0, true, kind);
        Self { centred }
    }

    /// Number of columns.
    pub(super) fn columns(&self) -> i64 {
        self.centred.size()[1]
    }

    /// ‖a_i − a_j‖², `[m, m]` float64: symmetric, not negative, exactly 0 on the diagonal. One Gram product in the
    /// precision of the rows, never in TensorFloat-32; with u its unit of rounding, an entry is off by about u·√d·(‖a_i‖² + ‖a_j‖²).
    pub(super) fn squared_distances(&self) -> Tensor {
        let gram = tf32::without(|| self.centred.matmul(&self.centred.tr())).to_kind(Kind::Double); // [m, m]
        let norms = gram.diagonal(0, 0, 1);
        let distances = norms.unsqueeze(0) + norms.unsqueeze(1) - &gram - gram.tr();
        // Zero on the diagonal by itself: a sum of four terms of which two are the negatives of the others.
        distances.clamp_min(0.0)
    }

    /// The derivative by the rows `[m, d]`, from the derivative `distance_gradient` `[m, m]` by the squared distances:
    /// with P the symmetric part of `distance_gradient`, row i is 4·Σ_j P_ij (a_i − a_j), a graph Laplacian of P times
    /// the rows.
    pub(super) fn row_gradient(&self, distance_gradient: &Tensor) -> Tensor {
        let twice = distance_gradient + distance_gradient.tr();
        let laplacian = (twice.sum_dim_intlist(1, false, Kind::Double).diag(0) - twice) * 2.0;
        tf32::without(|| laplacian.to_kind(self.centred.kind()).matmul(&self.centred))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::penalty::testing::{largest, normal};

    /// By the definition, in float64.
    fn differences(rows: &Tensor) -> Tensor {
        let rows = rows.to_kind(Kind::Double);
        let difference = rows.unsqueeze(0) - rows.unsqueeze(1);
        difference.square().sum_dim_intlist(2, false, Kind::Double)
    }

    #[test]
    fn float32_distances_keep_their_digits_under_a_large_offset() {
        let (m, d) = (32, 3072);
        // Multiples of 2⁻¹⁰ in [−8, 8) plus 1000 are exact in float32, so all the error is of the distances.
        let rows = (normal("offset", &[m, d]) * 1024.0).round().clamp(-8192.0, 8191.0) / 1024.0 + 1000.0;
        let error = (CentredRows::new(&rows).squared_distances() - differences(&rows)).abs();
        // Norms are about d; u·√d·2d of the docs with four times that for the largest of m² errors, and one more u for
        // each centred coordinate. Without centring, the norms are 10⁶·d.
        let bound = f64::from(f32::EPSILON) * (d as f64).sqrt() * 2.0 * d as f64 * 4.0;
        assert!(largest(&error) < bound, "{} {bound}", largest(&error));
    }

    #[test]
    fn equal_rows_are_zero_after_centring() {
        let (m, d) = (131, 500);
        let row = normal("row", &[1, d]) * 3.7;
        let rows = CentredRows::new(&row.expand([m, d], false));
        assert_eq!(largest(&rows.centred.abs()), 0.0);
        assert_eq!(largest(&rows.squared_distances()), 0.0);
    }

    /// The first row, from which all are measured, may lie far off.
    #[test]
    fn a_distant_first_row_costs_the_others_few_digits() {
        let (m, d) = (32, 3072);
        let rows = (normal("others", &[m, d]) * 1024.0).round() / 1024.0;
        let far = Tensor::cat(&[rows.narrow(0, 0, 1) + 1024.0, rows.narrow(0, 1, m - 1)], 0);
        let error = (CentredRows::new(&far).squared_distances() - differences(&far)).abs();
        let others = error.narrow(0, 1, m - 1).narrow(1, 1, m - 1);
        // The mean lies 1024/32 from the others, so their norms are about 33²·d; from the first row they would be
        // 1024²·d.
        let bound = f64::from(f32::EPSILON) * (d as f64).sqrt() * 2.0 * 33.0 * 33.0 * d as f64;
        assert!(largest(&others) < bound, "{} {bound}", largest(&others));
    }

    #[test]
    fn distances_are_symmetric_with_a_zero_diagonal() {
        let distances = CentredRows::new(&normal("symmetric", &[33, 77])).squared_distances();
        assert_eq!(distances, distances.tr());
        assert_eq!(largest(&distances.diagonal(0, 0, 1)), 0.0);
        assert!(distances.min().double_value(&[]) >= 0.0);
    }

    #[test]
    fn the_way_back_is_the_gradient() {
        let rows = normal("back", &[6, 4]).to_kind(Kind::Double).set_requires_grad(true);
        // Not symmetric on purpose: only the symmetric part counts.
        let distance_gradient = normal("slope", &[6, 6]).to_kind(Kind::Double);
        let difference = rows.unsqueeze(0) - rows.unsqueeze(1);
        let distances = difference.square().sum_dim_intlist(2, false, Kind::Double);
        (&distance_gradient * distances).sum(Kind::Double).backward();
        let error =
            largest(&(CentredRows::new(&rows.detach()).row_gradient(&distance_gradient) - rows.grad()));
        assert!(error < 1e-12, "{error}");
    }
}
