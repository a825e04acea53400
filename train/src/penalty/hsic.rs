//! The biased estimate of the Hilbert–Schmidt independence criterion, equation 25 (Gretton et al. 2005).

use tch::Tensor;

use super::estimate::{Estimate, centre, inner};

/// (m − 1)⁻² tr(K H L H), not negative. m ≥ 2. Its derivative by L is H K H (m − 1)⁻².
pub(super) fn hsic(kernel_x: &Tensor, kernel_z: &Tensor) -> Estimate {
    let others = (kernel_x.size()[0] - 1) as f64;
    let kernel_gradient = centre(kernel_x) / (others * others);
    Estimate { value: inner(&kernel_gradient, kernel_z), kernel_gradient }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::penalty::testing::{check_gradient, kernel, vectors};

    #[test]
    fn values_are_those_of_equation_25() {
        let (x, z) = vectors();
        let value = |rate_x, rate_z| hsic(&kernel(&x, rate_x), &kernel(&z, rate_z)).value.double_value(&[]);
        // σ = 5 per coordinate, then exp(−d²/2).
        assert!((value(0.02 / 3.0, 0.01) - 6.795_475_5e-5).abs() < 5e-13);
        assert!((value(0.5, 0.5) - 0.080_729_901_9).abs() < 5e-11);
    }

    #[test]
    fn the_gradient_is_the_derivative() {
        check_gradient(hsic);
    }
}
