//! The norm of all gradients together, and its limit.

use tch::{Kind, Tensor};

use super::flat::FlatParameters;

/// Scales all gradients down where their Euclidean norm is above `max_norm` (PyTorch's `clip_grad_norm_`), and returns
/// the norm that they had. `None` only measures.
///
/// A norm that is not finite changes nothing: the caller stops the run, whatever the limit is.
pub fn clip_gradients(flat: &FlatParameters, max_norm: Option<f64>) -> f64 {
    let norm = tch::no_grad(|| norm(flat.gradients()));
    if let Some(max_norm) = max_norm.filter(|_| norm.is_finite()) {
        // 1e-6 as in PyTorch, where it keeps the quotient finite.
        let factor = max_norm / (norm + 1e-6);
        if factor < 1.0 {
            tch::no_grad(|| {
                let _ = flat.gradients().shallow_clone().g_mul_scalar_(factor);
            });
        }
    }
    norm
}

/// The same without waiting for the device: returns the norm as a scalar tensor. A norm that is not finite makes all
/// gradients NaN or 0.
pub fn clip_on_device(flat: &FlatParameters, max_norm: Option<f64>) -> Tensor {
    tch::no_grad(|| {
        let norm = flat.gradients().square().sum(Kind::Float).sqrt();
        if let Some(max_norm) = max_norm {
            let factor = ((&norm + 1e-6).reciprocal() * max_norm).clamp_max(1.0);
            let _ = flat.gradients().shallow_clone().g_mul_(&factor);
        }
        norm
    })
}

fn norm(gradients: &Tensor) -> f64 {
    gradients.square().sum(Kind::Float).sqrt().double_value(&[])
}
