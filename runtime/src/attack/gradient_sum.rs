//! Momentum of gradients: `s ← μ·s + g / mean |g|` (Dong et al., "Boosting adversarial attacks with momentum", CVPR 2018).
//! The paper divides by the sum of the sizes; the direction is the same.

/// The sum of gradients, each weighted by `μ` for each step since.
#[derive(Debug)]
pub(super) struct GradientSum {
    decay: f32,
    /// Empty without momentum.
    sum: Vec<f32>,
}

impl GradientSum {
    /// Of gradients of so many pixels, with that decay factor in `[0, 1]`; 0 passes each gradient on as it is.
    pub(super) fn new(decay: f64, pixels: usize) -> Self {
        Self { decay: decay as f32, sum: if decay > 0.0 { vec![0.0; pixels] } else { Vec::new() } }
    }

    /// Adds a gradient, all finite, and gives the sum. One of zero adds nothing.
    pub(super) fn add<'a>(&'a mut self, gradient: &'a [f32]) -> &'a [f32] {
        if self.sum.is_empty() {
            return gradient;
        }
        let rate = gradient.len() as f64 / total_size(gradient);
        let rate = if rate.is_finite() { rate } else { 0.0 };
        for (sum, slope) in self.sum.iter_mut().zip(gradient) {
            *sum = self.decay * *sum + (f64::from(*slope) * rate) as f32;
        }
        &self.sum
    }
}

/// Sum of the sizes of the entries, in lanes and a fixed order.
fn total_size(values: &[f32]) -> f64 {
    let mut sums = [0.0_f64; 16];
    let (chunks, rest) = values.as_chunks::<16>();
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(value.abs());
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|value| f64::from(value.abs())).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_count_in_units_of_their_mean_size_whatever_the_scale() {
        let mut sum = GradientSum::new(0.5, 34);
        let ones: Vec<f32> = (0..34).map(|index| if index % 2 == 0 { 1e-38 } else { -1e-38 }).collect();
        assert!(sum.add(&ones).iter().all(|value| (value.abs() - 1.0).abs() < 1e-6));
        assert!(sum.add(&[0.0; 34]).iter().all(|value| (value.abs() - 0.5).abs() < 1e-6));
        let large = [f32::MAX; 34];
        let third = sum.add(&large);
        assert!((third[0] - 1.25).abs() < 1e-6 && (third[1] - 0.75).abs() < 1e-6, "{third:?}");
    }

    #[test]
    fn without_decay_a_gradient_is_passed_on() {
        let mut sum = GradientSum::new(0.0, 2);
        assert_eq!(sum.add(&[3.0, -4.0]), [3.0, -4.0]);
        assert_eq!(sum.add(&[0.5, 0.0]), [0.5, 0.0]);
    }
}
