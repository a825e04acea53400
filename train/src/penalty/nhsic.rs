//! The statistic of the authors' code: the normalised cross-covariance of the HSIC bottleneck (Ma et al. 2020).

use tch::{Kind, Tensor};

use super::estimate::{Estimate, centre, inner};
use super::flags::Flags;
use super::skip::SkipReason;

/// tr(R_x R_z) with R = A (A + cI)⁻¹, A = H K H and c = `epsilon`·m, between 0 and m − 1. The authors centre K on one
/// side only, which gives the same trace.
///
/// The derivative by A_z is c (A_z + cI)⁻¹ R_x (A_z + cI)⁻¹. That by K_z is H times this times H, which is the same: all
/// three factors map the constant vector to a multiple of itself, and R_x maps it to 0.
pub(super) fn nhsic(
    kernel_x: &Tensor,
    kernel_z: &Tensor,
    epsilon: f64,
    flags: &mut Flags,
) -> Result<Estimate, SkipReason> {
    let ridge = epsilon * kernel_z.size()[0] as f64;
    let x = Smoother::new(kernel_x, ridge, flags)?;
    let z = Smoother::new(kernel_z, ridge, flags)?;
    let value = inner(&x.matrix, &z.matrix);
    let half = z.solve(&x.matrix)?; // (A_z + cI)⁻¹ R_x
    let kernel_gradient = z.solve(&half.tr())? * ridge;
    Ok(Estimate { value, kernel_gradient })
}

/// R = A (A + cI)⁻¹, the smoother matrix of kernel ridge regression.
struct Smoother {
    /// R, `[m, m]`.
    matrix: Tensor,
    /// Lower Cholesky factor of A + cI.
    factor: Tensor,
}

impl Smoother {
    fn new(kernel: &Tensor, ridge: f64, flags: &mut Flags) -> Result<Self, SkipReason> {
        let centred = centre(kernel);
        let m = centred.size()[0];
        let regular = &centred + Tensor::eye(m, (Kind::Double, kernel.device())) * ridge;
        let (factor, info) =
            regular.f_linalg_cholesky_ex(false, false).map_err(|_| SkipReason::Factorisation)?;
        flags.note(&info.ne(0), SkipReason::Factorisation);
        let matrix = solve(&factor, &centred)?;
        Ok(Self { matrix, factor })
    }

    fn solve(&self, right: &Tensor) -> Result<Tensor, SkipReason> {
        solve(&self.factor, right)
    }
}

fn solve(factor: &Tensor, right: &Tensor) -> Result<Tensor, SkipReason> {
    right.f_cholesky_solve(factor, false).map_err(|_| SkipReason::Factorisation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::penalty::distance::CentredRows;
    use crate::penalty::testing::{check_gradient, kernel, largest, vectors};

    /// The estimate, or why there is none.
    fn nhsic(kernel_x: &Tensor, kernel_z: &Tensor, epsilon: f64) -> Result<Estimate, SkipReason> {
        let mut flags = Flags::new(kernel_x.device());
        let estimate = super::nhsic(kernel_x, kernel_z, epsilon, &mut flags)?;
        Flags::reason(flags.number().double_value(&[])).map_or(Ok(estimate), Err)
    }

    #[test]
    fn value_is_that_of_the_authors_code() {
        let (x, z) = vectors();
        let estimate = nhsic(&kernel(&x, 0.02 / 3.0), &kernel(&z, 0.01), 1e-5).unwrap();
        let value = estimate.value.double_value(&[]);
        // scripts/reference/penalty_fixtures.py
        assert!((value - 2.585_554_169_052_464).abs() < 1e-11, "{value}");
    }

    #[test]
    fn centring_on_one_side_gives_the_same() {
        let (x, z) = vectors();
        let (kernel_x, kernel_z) = (kernel(&x, 0.3), kernel(&z, 0.3));
        let right_only = |kernel: &Tensor| {
            let centred = kernel - kernel.mean_dim(1, true, Kind::Double);
            let regular = &centred + Tensor::eye(4, (Kind::Double, kernel.device())) * 4e-3;
            centred.matmul(&regular.inverse())
        };
        let wanted = right_only(&kernel_x).matmul(&right_only(&kernel_z)).trace().double_value(&[]);
        let found = nhsic(&kernel_x, &kernel_z, 1e-3).unwrap().value.double_value(&[]);
        assert!((found - wanted).abs() < 1e-10, "{found} {wanted}");
    }

    #[test]
    fn the_gradient_is_the_derivative() {
        check_gradient(|x, z| nhsic(x, z, 1e-3).unwrap());
    }

    #[test]
    fn the_gradient_needs_no_centring() {
        let (x, z) = vectors();
        let kernel_gradient = nhsic(&kernel(&x, 0.3), &kernel(&z, 0.3), 1e-3).unwrap().kernel_gradient;
        assert!(largest(&(centre(&kernel_gradient) - &kernel_gradient).abs()) < 1e-10);
    }

    #[test]
    fn two_equal_arguments_reach_the_rank_as_the_ridge_goes() {
        let (x, _) = vectors();
        let kernel = kernel(&x, 1.0);
        let value = nhsic(&kernel, &kernel, 1e-12).unwrap().value.double_value(&[]);
        assert!((value - 3.0).abs() < 1e-9, "{value}");
    }

    #[test]
    fn what_is_no_kernel_is_not_factorised() {
        let negative = Tensor::eye(4, (Kind::Double, tch::Device::Cpu)) * -1.0;
        assert!(matches!(nhsic(&negative, &negative, 1e-5), Err(SkipReason::Factorisation)));
    }

    /// The file that the attack pgd-mi is held to too (runtime/src/nhsic.rs), through both arguments.
    #[test]
    fn the_attack_and_the_training_have_the_same_penalty() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/fixtures/penalty/nhsic.json")).unwrap();
        let number = |name: &str| vectors[name].as_f64().unwrap();
        let (x, z) = (rows(&vectors["x"]), rows(&vectors["z"]));
        let rate = |rows: &Tensor| 0.5 / (number("sigma").powi(2) * rows.size()[1] as f64);
        let kernels = [&x, &z].map(|rows| kernel(rows, rate(rows)));
        let [kernel_x, kernel_z] = &kernels;
        for (other, own, samples, gradient) in
            [(kernel_x, kernel_z, &z, "by_z"), (kernel_z, kernel_x, &x, "by_x")]
        {
            let estimate = nhsic(other, own, number("epsilon")).unwrap();
            let value = estimate.value.double_value(&[]);
            assert!((value - number("nhsic")).abs() < 1e-10, "{value}");
            let by_distance = estimate.kernel_gradient * own * -rate(samples);
            let found = CentredRows::new(samples).row_gradient(&by_distance);
            let error = largest(&(found - rows(&vectors[gradient])).abs());
            assert!(error < 1e-9, "{gradient}: {error}");
        }
    }

    fn rows(value: &serde_json::Value) -> Tensor {
        let rows: Vec<Vec<f64>> = serde_json::from_value(value.clone()).unwrap();
        let columns = rows[0].len() as i64;
        Tensor::from_slice(&rows.concat()).reshape([-1, columns])
    }
}
