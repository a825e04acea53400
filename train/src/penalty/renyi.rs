//! Matrix-based Rényi mutual information, equations 21–23 (Sánchez Giraldo, Rao and Príncipe 2015).

use tch::{Kind, Tensor};

use super::estimate::Estimate;
use super::skip::SkipReason;

/// The order α of the authors' code.
const ALPHA: f64 = 1.01;

/// H_α(K/m) + H_α(L/m) − H_α(K∘L/m) in bits; the trace of a kernel matrix is m.
pub(super) fn renyi(kernel_x: &Tensor, kernel_z: &Tensor) -> Result<Estimate, SkipReason> {
    let m = kernel_x.size()[0] as f64;
    let x = entropy(&(kernel_x / m))?;
    let z = entropy(&(kernel_z / m))?;
    let joint = entropy(&(kernel_x * kernel_z / m))?;
    let value = x.value + z.value - joint.value;
    let kernel_gradient = (z.gradient - kernel_x * joint.gradient) / m;
    Ok(Estimate { value, kernel_gradient })
}

struct Entropy {
    value: Tensor,
    /// Derivative by the matrix.
    gradient: Tensor,
}

/// H_α(A) = log2 tr(A^α) / (1 − α) of a matrix of trace 1. The derivative α A^(α−1) / ((1 − α) ln 2 tr(A^α)) is a
/// function of the matrix, so equal eigenvalues do no harm, as they would in a derivative of the eigenvectors.
fn entropy(matrix: &Tensor) -> Result<Entropy, SkipReason> {
    let (values, vectors) = matrix.f_linalg_eigh("L").map_err(|_| SkipReason::Factorisation)?;
    // Rounding makes the smallest ones negative.
    let values = values.clamp_min(0.0);
    let trace = values.pow_tensor_scalar(ALPHA).sum(Kind::Double);
    let powers = values.pow_tensor_scalar(ALPHA - 1.0);
    let gradient = (&vectors * powers.unsqueeze(0)).matmul(&vectors.tr());
    let factor = ALPHA / ((1.0 - ALPHA) * std::f64::consts::LN_2);
    Ok(Entropy { value: trace.log2() / (1.0 - ALPHA), gradient: gradient * factor / trace })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::penalty::testing::{check_gradient, kernel, vectors};

    #[test]
    fn values_are_those_of_equations_21_to_23() {
        let (x, z) = vectors();
        let (kernel_x, kernel_z) = (kernel(&x, 1.0), kernel(&z, 1.0));
        let entropy = |matrix: &Tensor| entropy(&(matrix / 4.0)).unwrap().value.double_value(&[]);
        let information = renyi(&kernel_x, &kernel_z).unwrap().value.double_value(&[]);
        for (found, wanted) in [
            (entropy(&kernel_x), 1.303_263_103_6),
            (entropy(&kernel_z), 1.985_884_173_6),
            (entropy(&(&kernel_x * &kernel_z)), 1.993_993_907_1),
            (information, 1.295_153_370_2),
        ] {
            assert!((found - wanted).abs() < 5e-11, "{found} {wanted}");
        }
    }

    #[test]
    fn the_gradient_is_the_derivative() {
        check_gradient(|x, z| renyi(x, z).unwrap());
    }

    /// A kernel of samples that are all alike, or all far apart, has one eigenvalue only.
    #[test]
    fn equal_eigenvalues_have_a_finite_slope() {
        let (x, _) = vectors();
        let far = Tensor::eye(4, (Kind::Double, tch::Device::Cpu));
        let estimate = renyi(&kernel(&x, 1.0), &far).unwrap();
        assert!(estimate.kernel_gradient.sum(Kind::Double).double_value(&[]).is_finite());
        // Far apart in z: H(Z) = H(X, Z) = 2 bits, so the information is H(X).
        assert!((estimate.value.double_value(&[]) - 1.303_263_103_6).abs() < 5e-11);
    }
}
