//! Helpers of the tests of the estimators.

use tch::{Kind, Tensor};

use super::estimate::Estimate;
use crate::random;

/// X `[4, 3]` and Z `[4, 2]`, float64: samples small enough to compute all estimates by hand.
pub(super) fn vectors() -> (Tensor, Tensor) {
    let x = [0.1, 0.5, 0.9, 0.8, 0.2, 0.4, 0.3, 0.3, 0.7, 0.6, 0.9, 0.0];
    let z = [1.0, -0.5, -1.2, 0.3, 0.4, 0.8, 0.0, -1.5];
    (Tensor::from_slice(&x).reshape([4, 3]), Tensor::from_slice(&z).reshape([4, 2]))
}

/// exp(−rate·‖a_i − a_j‖²) by the definition.
pub(super) fn kernel(rows: &Tensor, rate: f64) -> Tensor {
    let difference = rows.unsqueeze(0) - rows.unsqueeze(1);
    (difference.square().sum_dim_intlist(2, false, Kind::Double) * -rate).exp()
}

/// Standard normal numbers, float32, the same for the same name.
pub(super) fn normal(name: &str, shape: &[i64]) -> Tensor {
    let mut numbers = vec![0.0; shape.iter().product::<i64>() as usize];
    let mut stream = random::for_name(7, name);
    numbers.fill_with(|| stream.normal() as f32);
    Tensor::from_slice(&numbers).reshape(shape)
}

/// The largest entry.
pub(super) fn largest(tensor: &Tensor) -> f64 {
    tensor.max().double_value(&[])
}

/// Compares the derivative by every off-diagonal pair of entries with a central difference.
pub(super) fn check_gradient(statistic: impl Fn(&Tensor, &Tensor) -> Estimate) {
    let (x, z) = vectors();
    let (kernel_x, kernel_z) = (kernel(&x, 0.7), kernel(&z, 0.4));
    let kernel_gradient = statistic(&kernel_x, &kernel_z).kernel_gradient;
    assert!(largest(&(&kernel_gradient - kernel_gradient.tr()).abs()) < 1e-9, "not symmetric");
    let step = 1e-5;
    for (i, j) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] {
        let value = |step: f64| {
            let moved = kernel_z.copy();
            for (row, column) in [(i, j), (j, i)] {
                let _ = moved.get(row).get(column).g_add_scalar_(step);
            }
            statistic(&kernel_x, &moved).value.double_value(&[])
        };
        let difference = (value(step) - value(-step)) / (2.0 * step);
        let closed = kernel_gradient.double_value(&[i, j]) + kernel_gradient.double_value(&[j, i]);
        // The cut-off of a central difference goes with step², rounding with 1e-16/step.
        assert!((difference - closed).abs() < 1e-6 * closed.abs().max(1.0), "{i} {j}: {difference} {closed}");
    }
}
