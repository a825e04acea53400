//! The L∞ ball around a batch of images, cut with the range of pixels.

use tch::{Kind, Tensor};

use crate::random::{BatchRng, Purpose};

/// All x' with `|x' − x| ≤ ε` and `0 ≤ x' ≤ 1` (eq. 2).
#[derive(Debug)]
pub struct LinfBall {
    lower: Tensor,
    upper: Tensor,
    epsilon: f64,
}

impl LinfBall {
    /// Around images `[N, C, H, W]`.
    pub fn new(images: &Tensor, epsilon: f64) -> Self {
        Self {
            lower: (images - epsilon).clamp_(0.0, 1.0),
            upper: (images + epsilon).clamp_(0.0, 1.0),
            epsilon,
        }
    }

    /// The same ball with only the pixels where `movable` is 1 free to move; `movable` broadcasts to the images.
    pub fn restricted(images: &Tensor, epsilon: f64, movable: &Tensor) -> Self {
        let reach = movable * epsilon; // [N, 1, H, W]
        Self { lower: (images - &reach).clamp_(0.0, 1.0), upper: (images + &reach).clamp_(0.0, 1.0), epsilon }
    }

    /// The nearest point of the ball.
    pub fn project(&self, x: &Tensor) -> Tensor {
        x.clamp_tensor(Some(&self.lower), Some(&self.upper))
    }

    /// `images` moved by independent uniform numbers of ±ε and projected.
    pub fn random_start(&self, images: &Tensor, rng: BatchRng<'_>, purpose: Purpose) -> Tensor {
        let pixels = images.numel() / rng.sample_ids.len().max(1);
        let noise = rng.uniform_on(images.device(), purpose, pixels).reshape(images.size());
        let noise = noise * (2.0 * self.epsilon) - self.epsilon;
        self.project(&(images + noise))
    }

    /// `images` moved by independent normal numbers of that standard deviation and projected.
    pub fn normal_start(
        &self,
        images: &Tensor,
        rng: BatchRng<'_>,
        purpose: Purpose,
        deviation: f64,
    ) -> Tensor {
        let pixels = images.numel() / rng.sample_ids.len().max(1);
        let noise = rng.normal_on(images.device(), purpose, pixels).reshape(images.size());
        self.project(&(images + noise * deviation))
    }

    /// One step along the sign of the gradient, projected.
    pub fn signed_step(&self, x: &Tensor, gradient: &Tensor, step_size: f64) -> Tensor {
        self.project(&(x + gradient.sign() * step_size))
    }
}

/// The gradient of `loss(x)`, a scalar, with respect to `x`, in float32. The parameters' gradients stay as they are.
pub(super) fn gradient(x: &Tensor, loss: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
    let x = x.detach().set_requires_grad(true);
    let loss = loss(&x);
    let mut gradients = Tensor::run_backward(&[loss], &[&x], false, false);
    gradients.swap_remove(0).to_kind(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    fn images() -> Tensor {
        Tensor::from_slice(&[0.0f32, 0.02, 0.5, 1.0]).reshape([1, 1, 2, 2])
    }

    #[test]
    fn a_start_is_inside_ball_and_range_and_moves() {
        let rng = BatchRng { seed: 0, epoch: 0, sample_ids: &[3] };
        let start = LinfBall::new(&images(), 0.1).random_start(&images(), rng, Purpose::AttackStart);
        assert!((&start - images()).abs().max().double_value(&[]) <= 0.1 + 1e-6);
        assert!(start.min().double_value(&[]) >= 0.0 && start.max().double_value(&[]) <= 1.0);
        assert_ne!(start.double_value(&[0, 0, 1, 0]), 0.5);
    }

    #[test]
    fn a_normal_start_has_its_deviation_and_stays_inside() {
        let ids: Vec<u64> = (0..500).collect();
        let rng = BatchRng { seed: 0, epoch: 0, sample_ids: &ids };
        let grey = Tensor::full([500, 1, 2, 2], 0.5, (Kind::Float, Device::Cpu));
        let ball = LinfBall::new(&grey, 0.1);
        let moved = ball.normal_start(&grey, rng, Purpose::AttackStart, 0.001) - &grey;
        let deviation = moved.square().mean(Kind::Double).sqrt().double_value(&[]);
        // Four standard errors among 2000 numbers.
        assert!((deviation / 0.001 - 1.0).abs() < 4.0 / 4000f64.sqrt(), "{deviation}");
        let inside = ball.normal_start(&grey, rng, Purpose::AttackStart, 10.0) - &grey;
        assert!(inside.abs().max().double_value(&[]) <= 0.1 + 1e-6);
    }

    #[test]
    fn pixels_that_may_not_move_stay() {
        let movable = Tensor::from_slice(&[1.0f32, 0.0, 1.0, 0.0]).reshape([1, 1, 2, 2]);
        let ball = LinfBall::restricted(&images(), 0.1, &movable);
        let up = Tensor::ones([1, 1, 2, 2], (Kind::Float, Device::Cpu));
        let moved = ball.signed_step(&images(), &up, 0.3);
        let wanted = Tensor::from_slice(&[0.1f32, 0.02, 0.6, 1.0]).reshape([1, 1, 2, 2]);
        assert!(moved.allclose(&wanted, 0.0, 1e-7, false), "{moved}");
    }
}
