//! Auto-PGD as adversarial training uses it (revisiting-at, `autopgd_train_clean.py`).

use tch::{Kind, Tensor};

use crate::adversary::LinfBall;

/// For each image the point of the highest loss among the image and `steps` iterates. `losses` maps images `[N, …]` to a
/// loss for each, `[N]`. Detached.
///
/// No random start, a first step of 2ε, momentum 0.75 from the second step on, as APGD has it. The step is halved for an
/// image at a checkpoint, and the image goes back to its best point, where fewer than three quarters of the steps since
/// the last checkpoint raised its loss, or where neither step nor best loss changed (APGD, conditions 1 and 2);
/// checkpoints lie 22 % of the steps apart, then 3 % less each time, never below 6 %. With the two steps of the paper
/// there is no checkpoint before the end, so the step stays 2ε.
pub fn apgd(
    ball: &LinfBall,
    images: &Tensor,
    epsilon: f64,
    steps: usize,
    losses: impl Fn(&Tensor) -> Tensor,
) -> Tensor {
    let mut state = ApgdState::new(images, epsilon, steps);
    for step in 0..steps {
        let (loss, gradient) = losses_and_gradient(&state.x, &losses);
        tch::no_grad(|| {
            state.record(&loss, &gradient);
            state.halve_at_checkpoint(step);
            state.take_step(ball, step);
        });
    }
    tch::no_grad(|| {
        let loss = losses(&state.x);
        state.record(&loss, &state.best_gradient.copy());
    });
    state.best
}

fn losses_and_gradient(x: &Tensor, losses: impl Fn(&Tensor) -> Tensor) -> (Tensor, Tensor) {
    let x = x.detach().set_requires_grad(true);
    let loss = losses(&x);
    let mut gradients = Tensor::run_backward(&[loss.sum(Kind::Float)], &[&x], false, false);
    (loss.detach(), gradients.swap_remove(0).to_kind(Kind::Float))
}

/// Where each image of the batch is, and the best it has seen. Per-image numbers are `[N, 1, 1, 1]`.
#[derive(Debug)]
struct ApgdState {
    x: Tensor,
    previous: Tensor,
    gradient: Tensor,
    best: Tensor,
    best_gradient: Tensor,
    best_loss: Tensor,
    step_size: Tensor,
    increases: Tensor,
    last_loss: Tensor,
    halved_at_last: Tensor,
    best_at_last: Tensor,
    checkpoints: Checkpoints,
}

impl ApgdState {
    fn new(images: &Tensor, epsilon: f64, steps: usize) -> Self {
        let n = images.size()[0];
        let per_image = |value: f64| Tensor::full([n, 1, 1, 1], value, (Kind::Float, images.device()));
        let x = images.detach();
        Self {
            previous: x.shallow_clone(),
            gradient: x.zeros_like(),
            best: x.copy(),
            best_gradient: x.zeros_like(),
            x,
            best_loss: per_image(f64::NEG_INFINITY),
            step_size: per_image(2.0 * epsilon),
            increases: per_image(0.0),
            last_loss: per_image(f64::INFINITY),
            // As after a halving: condition 2 needs a whole window to compare with.
            halved_at_last: per_image(1.0),
            best_at_last: per_image(f64::NEG_INFINITY),
            checkpoints: Checkpoints::new(steps),
        }
    }

    /// Takes the loss `[N]` and gradient at `x` into account.
    fn record(&mut self, loss: &Tensor, gradient: &Tensor) {
        let loss = loss.reshape([-1, 1, 1, 1]);
        self.increases += loss.gt_tensor(&self.last_loss).to_kind(Kind::Float);
        let better = loss.gt_tensor(&self.best_loss);
        self.best = self.x.where_self(&better, &self.best);
        self.best_gradient = gradient.where_self(&better, &self.best_gradient);
        self.best_loss = loss.where_self(&better, &self.best_loss);
        self.gradient = gradient.shallow_clone();
        self.last_loss = loss;
    }

    fn halve_at_checkpoint(&mut self, step: usize) {
        let Some(window) = self.checkpoints.reached(step) else {
            return;
        };
        let few_increases = self.increases.lt(0.75 * window as f64);
        let no_progress =
            self.best_loss.eq_tensor(&self.best_at_last).logical_and(&self.halved_at_last.eq(0.0));
        let halve = few_increases.logical_or(&no_progress);
        self.step_size = (&self.step_size / 2.0).where_self(&halve, &self.step_size);
        self.x = self.best.where_self(&halve, &self.x);
        self.gradient = self.best_gradient.where_self(&halve, &self.gradient);
        self.halved_at_last = halve.to_kind(Kind::Float);
        self.best_at_last = self.best_loss.copy();
        self.increases = self.increases.zeros_like();
    }

    fn take_step(&mut self, ball: &LinfBall, step: usize) {
        let stepped = ball.project(&(&self.x + self.gradient.sign() * &self.step_size));
        let next = if step == 0 {
            stepped
        } else {
            let moved = &self.x + (stepped - &self.x) * 0.75 + (&self.x - &self.previous) * 0.25;
            ball.project(&moved)
        };
        self.previous = std::mem::replace(&mut self.x, next);
    }
}

/// After how many steps the step size is looked at again.
#[derive(Debug)]
struct Checkpoints {
    next: usize,
    window: usize,
    shrink: usize,
    least: usize,
}

impl Checkpoints {
    fn new(steps: usize) -> Self {
        let share = |percent: usize| (steps * percent / 100).max(1);
        // With so few steps a window of one would halve at every step; the reference never halves within two.
        let window = if steps <= 2 { steps + 1 } else { share(22) };
        Self { next: window, window, shrink: share(3), least: share(6) }
    }

    /// The length of the window that ends at this step, if one does.
    fn reached(&mut self, step: usize) -> Option<usize> {
        if step != self.next {
            return None;
        }
        let ended = self.window;
        self.window = self.window.saturating_sub(self.shrink).max(self.least);
        self.next = step + self.window;
        Some(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    /// Loss −|x − peak|² of images of one pixel: known gradient, known best point.
    fn towards(peak: f64) -> impl Fn(&Tensor) -> Tensor {
        move |x| -(x - peak).square().flatten(1, -1).sum_dim_intlist(1, false, Kind::Float)
    }

    fn image(value: f32) -> Tensor {
        Tensor::from_slice(&[value]).reshape([1, 1, 1, 1])
    }

    #[test]
    fn two_steps_follow_the_formula() {
        // x0 = 0.5, ε = 0.1, peak far above: x1 = 0.6 (ball), u = 0.6, x2 = 0.6 + 0.75·0 + 0.25·0.1, projected to 0.6.
        let x0 = image(0.5);
        let ball = LinfBall::new(&x0, 0.1);
        let up = apgd(&ball, &x0, 0.1, 2, towards(2.0));
        assert!((up.double_value(&[0, 0, 0, 0]) - 0.6).abs() < 1e-6);
        // Peak at 0.58: x1 = 0.6, g1 < 0, u = 0.4, x2 = 0.6 + 0.75·(−0.2) + 0.25·0.1 = 0.475; best is x1.
        let inside = apgd(&ball, &x0, 0.1, 2, towards(0.58));
        assert!((inside.double_value(&[0, 0, 0, 0]) - 0.6).abs() < 1e-6);
        // Peak at 0.48: g0 < 0, x1 = 0.4, u = 0.6, x2 = 0.4 + 0.15 − 0.025 = 0.525; best is x0, at 0.02.
        let stays = apgd(&ball, &x0, 0.1, 2, towards(0.48));
        assert!((stays.double_value(&[0, 0, 0, 0]) - 0.5).abs() < 1e-6);
        // Peak at 0.52: x1 = 0.6, u = 0.4, x2 = 0.6 − 0.15 + 0.025 = 0.475; x0 at 0.02 beats both.
        // Peak at 0.549: x0 is 0.049 away, x1 0.051, x2 0.074.
        let near = apgd(&ball, &x0, 0.1, 2, towards(0.549));
        assert!((near.double_value(&[0, 0, 0, 0]) - 0.5).abs() < 1e-6);
    }

    #[test]
    fn many_steps_find_a_peak_inside_the_ball() {
        let x0 = image(0.5);
        let found = apgd(&LinfBall::new(&x0, 0.1), &x0, 0.1, 50, towards(0.5637));
        assert!((found.double_value(&[0, 0, 0, 0]) - 0.5637).abs() < 1e-3, "{found}");
    }

    #[test]
    fn every_image_keeps_its_own_best_point() {
        let x0 = Tensor::from_slice(&[0.5f32, 0.5]).reshape([2, 1, 1, 1]);
        let peaks = Tensor::from_slice(&[0.9f32, 0.48]).reshape([2, 1, 1, 1]);
        let found = apgd(&LinfBall::new(&x0, 0.1), &x0, 0.1, 2, |x| {
            -(x - &peaks).square().flatten(1, -1).sum_dim_intlist(1, false, Kind::Float)
        });
        let wanted = Tensor::from_slice(&[0.6f32, 0.5]).reshape([2, 1, 1, 1]);
        assert!(found.allclose(&wanted, 0.0, 1e-6, false), "{found}");
        assert_eq!(found.device(), Device::Cpu);
    }
}
