//! Seeded numbers, the same on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Uniform numbers added for one nearly normal number.
const ADDENDS: u8 = 4;

/// A stream of numbers from a seed.
pub(crate) struct Numbers(ChaCha8Rng);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// In `[0, 1)`.
    pub(crate) fn uniform(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1 << 24) as f32
    }

    /// Of mean 0 and variance 1, nearly normal: a centred sum, because `ln` and `cos` differ between machines.
    pub(crate) fn normal(&mut self) -> f32 {
        let sum: f32 = (0..ADDENDS).map(|_| self.uniform()).sum();
        let addends = f32::from(ADDENDS);
        (sum - addends / 2.0) * (12.0 / addends).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_numbers_have_mean_zero_and_variance_one() {
        const COUNT: usize = 10_000;
        let mut numbers = Numbers::new(3);
        let drawn: Vec<f32> = (0..COUNT).map(|_| numbers.normal()).collect();
        let mean = drawn.iter().sum::<f32>() / COUNT as f32;
        let variance = drawn.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / COUNT as f32;
        // Four standard errors: 1/100 of the mean, and at most √2/100 of the variance.
        assert!(mean.abs() < 0.04 && (variance - 1.0).abs() < 0.06, "mean {mean}, variance {variance}");
    }
}
