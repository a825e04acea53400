//! AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2), with PyTorch's order
//! of operations.

use tch::Tensor;

use super::flat::{Chunk, FlatParameters};

/// The constants of AdamW. Learning rate and weight decay come with each step and group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWOptions {
    /// Decay of the mean of gradients, in `[0, 1)`.
    pub beta1: f64,
    /// Decay of the mean of their squares, in `[0, 1)`.
    pub beta2: f64,
    /// Added to the root of the second moment; above 0.
    pub epsilon: f64,
}

impl Default for AdamWOptions {
    /// PyTorch's, which fine-tuning uses. Pre-training has β₂ = 0.95.
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

/// The optimiser's state: two moments of every trained value, and the number of steps.
#[derive(Debug)]
pub struct AdamW {
    options: AdamWOptions,
    steps: u64,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    scratch: Tensor,
}

/// The numbers of one step that no group changes.
#[derive(Debug, Clone, Copy)]
struct Step {
    learning_rate: f64,
    /// 1 − β₁ᵗ
    correction1: f64,
    /// √(1 − β₂ᵗ)
    root_correction2: f64,
}

impl AdamW {
    /// Before its first step.
    pub fn new(flat: &FlatParameters, options: AdamWOptions) -> Self {
        let longest = flat.chunks().iter().map(|chunk| chunk.length).max().unwrap_or(0);
        let scratch = flat.values().narrow(0, 0, longest).zeros_like();
        Self { options, steps: 0, exp_avg: flat.zeros(), exp_avg_sq: flat.zeros(), scratch }
    }

    /// Changes all trained values by their gradients. `learning_rate` is the schedule's; groups scale it.
    ///
    /// A parameter that took no part in the loss has gradient 0, and its moments and value decay all the same.
    pub fn step(&mut self, flat: &FlatParameters, learning_rate: f64) {
        self.steps += 1;
        let time = self.steps as f64;
        let step = Step {
            learning_rate,
            correction1: 1.0 - libm::pow(self.options.beta1, time),
            root_correction2: libm::sqrt(1.0 - libm::pow(self.options.beta2, time)),
        };
        tch::no_grad(|| {
            for chunk in flat.chunks() {
                self.update(flat, chunk, step);
            }
        });
    }

    fn update(&self, flat: &FlatParameters, chunk: &Chunk, step: Step) {
        let cut = |tensor: &Tensor| tensor.narrow(0, chunk.start, chunk.length);
        let (mut value, gradient) = (cut(flat.values()), cut(flat.gradients()));
        let (mut exp_avg, mut exp_avg_sq) = (cut(&self.exp_avg), cut(&self.exp_avg_sq));
        let mut scratch = self.scratch.narrow(0, 0, chunk.length);
        let AdamWOptions { beta1, beta2, epsilon } = self.options;
        let learning_rate = step.learning_rate * chunk.group.learning_rate_scale;

        let _ = exp_avg.lerp_(&gradient, 1.0 - beta1);
        let _ = gradient.square_out(&scratch);
        let _ = exp_avg_sq.lerp_(&scratch, 1.0 - beta2);
        // During the first step of a warm-up from 0 the factor below would be infinite.
        if learning_rate == 0.0 {
            return;
        }
        if chunk.group.weight_decay != 0.0 {
            let _ = value.g_mul_scalar_(1.0 - learning_rate * chunk.group.weight_decay);
        }
        // value −= lr/c₁ · exp_avg / (√exp_avg_sq/√c₂ + ε): the constant factors go into the denominator, since tch's
        // addcdiv has none.
        let step_size = learning_rate / step.correction1;
        let _ = exp_avg_sq.sqrt_out(&scratch);
        let _ = scratch.g_add_scalar_(epsilon * step.root_correction2);
        let _ = scratch.g_mul_scalar_(-1.0 / (step_size * step.root_correction2));
        let _ = value.addcdiv_(&exp_avg, &scratch);
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Continues after so many steps; the moments are restored through [`moments`](Self::moments).
    pub(crate) fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// First and second moment, flat.
    pub(crate) fn moments(&self) -> [(&'static str, &Tensor); 2] {
        [("exp_avg", &self.exp_avg), ("exp_avg_sq", &self.exp_avg_sq)]
    }
}
