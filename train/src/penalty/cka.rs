//! Unbiased HSIC (Song et al. 2012) divided by that of each argument with itself: centred kernel alignment (Kornblith et
//! al. 2019) without its bias, which at m = 128 would exceed most dependence there is to see.

use tch::{Kind, Tensor};

use super::estimate::{Estimate, inner};
use super::flags::Flags;
use super::skip::SkipReason;

/// Smallest root mean square of the centred entries of a kernel matrix that are still more than rounding: a thousand
/// times the error of entries near 1 after the four operations of centring.
const MIN_RMS: f64 = 4e3 * f64::EPSILON;

/// ⟨U_x, U_z⟩ / (‖U_x‖ ‖U_z‖), between −1 and 1, about 0 for independent samples. m ≥ 4.
///
/// U is the kernel matrix centred without its diagonal (Székely and Rizzo 2014): ⟨U_x, U_z⟩ / (m(m − 3)) is the estimate
/// of Song et al. term by term. Centring is an orthogonal projection, which makes the ratio a cosine and its derivative
/// by K_z, (Û_x − cos·Û_z) / ‖U_z‖ with Û = U/‖U‖, lie in the range of the projection already.
pub(super) fn cka_unbiased(kernel_x: &Tensor, kernel_z: &Tensor, flags: &mut Flags) -> Estimate {
    let (x, _) = direction(kernel_x, flags);
    let (z, norm) = direction(kernel_z, flags);
    let value = inner(&x, &z);
    let kernel_gradient = (x - &value * z) / norm;
    Estimate { value, kernel_gradient }
}

/// U/‖U‖ and ‖U‖, a scalar.
fn direction(kernel: &Tensor, flags: &mut Flags) -> (Tensor, Tensor) {
    let centred = centre_off_diagonal(kernel);
    let norm = centred.norm();
    // `<=` is false for a NaN, which is noted later as a non-finite estimate.
    flags.note(&norm.le(MIN_RMS * kernel.size()[0] as f64), SkipReason::ConstantKernel);
    (centred / &norm, norm)
}

/// The projection on matrices with a zero diagonal whose rows and columns sum to 0. m ≥ 3.
fn centre_off_diagonal(kernel: &Tensor) -> Tensor {
    let m = kernel.size()[0] as f64;
    let mask = 1.0f64 - Tensor::eye(kernel.size()[0], (Kind::Double, kernel.device()));
    let off_diagonal = kernel * &mask;
    let sums = off_diagonal.sum_dim_intlist(1, false, Kind::Double) / (m - 2.0); // [m]
    let total = sums.sum(Kind::Double) / (m - 1.0);
    (off_diagonal - sums.unsqueeze(0) - sums.unsqueeze(1) + total) * mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::penalty::testing::{check_gradient, kernel, largest, normal, vectors};

    /// The estimate, or why there is none.
    fn cka_unbiased(kernel_x: &Tensor, kernel_z: &Tensor) -> Result<Estimate, SkipReason> {
        let mut flags = Flags::new(kernel_x.device());
        let estimate = super::cka_unbiased(kernel_x, kernel_z, &mut flags);
        Flags::reason(flags.number().double_value(&[])).map_or(Ok(estimate), Err)
    }

    /// Equation 5 of Song et al.: [tr(K̃L̃) + 1ᵀK̃1·1ᵀL̃1/((m−1)(m−2)) − 2/(m−2)·1ᵀK̃L̃1] / (m(m−3)).
    fn song(kernel_x: &Tensor, kernel_z: &Tensor) -> f64 {
        let size = kernel_x.size()[0];
        let m = size as f64;
        let mask = 1.0f64 - Tensor::eye(size, (Kind::Double, tch::Device::Cpu));
        let (k, l) = (kernel_x * &mask, kernel_z * &mask);
        let sum = |matrix: &Tensor| matrix.sum(Kind::Double).double_value(&[]);
        let product = k.matmul(&l);
        let trace = product.trace().double_value(&[]);
        (trace + sum(&k) * sum(&l) / ((m - 1.0) * (m - 2.0)) - 2.0 / (m - 2.0) * sum(&product))
            / (m * (m - 3.0))
    }

    #[test]
    fn value_is_the_ratio_of_unbiased_estimates() {
        let rows = |name| normal(name, &[12, 3]).to_kind(Kind::Double);
        let (x, z) = (kernel(&rows("x"), 0.2), kernel(&rows("z"), 0.4));
        let found = cka_unbiased(&x, &z).unwrap().value.double_value(&[]);
        let wanted = song(&x, &z) / (song(&x, &x) * song(&z, &z)).sqrt();
        assert!((found - wanted).abs() < 1e-12, "{found} {wanted}");
    }

    /// Over all orders of the samples, the mean of the numerator is exactly 0; that of the biased estimate is not.
    #[test]
    fn the_mean_over_all_orders_is_zero() {
        let (x, z) = vectors();
        let (x, z) = (kernel(&x, 1.0), kernel(&z, 1.0));
        let mut sum = 0.0;
        for code in 0..256i64 {
            let order = [code % 4, code / 4 % 4, code / 16 % 4, code / 64];
            if (0..4).all(|sample| order.contains(&sample)) {
                let order = Tensor::from_slice(&order);
                let shuffled = z.index_select(0, &order).index_select(1, &order);
                sum += cka_unbiased(&x, &shuffled).unwrap().value.double_value(&[]);
            }
        }
        assert!(sum.abs() < 1e-10, "{sum}");
    }

    #[test]
    fn the_gradient_is_the_derivative() {
        check_gradient(|x, z| cka_unbiased(x, z).unwrap());
    }

    #[test]
    fn an_argument_with_itself_gives_one_and_no_slope() {
        let (x, _) = vectors();
        let kernel = kernel(&x, 1.0);
        let estimate = cka_unbiased(&kernel, &kernel).unwrap();
        assert!((estimate.value.double_value(&[]) - 1.0).abs() < 1e-12);
        assert!(largest(&estimate.kernel_gradient.abs()) < 1e-12);
    }

    #[test]
    fn a_kernel_that_is_constant_up_to_rounding_is_named() {
        let (x, z) = vectors();
        let flat = cka_unbiased(&kernel(&x, 1.0), &kernel(&z, 1e-14));
        assert!(matches!(flat, Err(SkipReason::ConstantKernel)));
    }
}
