//! Random numbers that depend on what they are for, not on who asks first.
//!
//! Everything random in a run comes from ChaCha8 under a 256-bit key, so that a run that was stopped and resumed, or
//! cut into other micro-batches, draws the same numbers:
//!
//! | bytes | content of the key, little-endian |
//! | --- | --- |
//! | 0–7 | seed of the run |
//! | 8–15 | sample: its position in the training set |
//! | 16–23 | epoch, from 0 |
//! | 24–31 | [`Purpose`], as a number |
//!
//! Initial weights are keyed by their name instead ([`for_name`]): a network with one layer more starts from the same
//! numbers in all the others.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// What a random number is for. The numbers are part of the key: they are never reused or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The mask of the training pass.
    Mask = 1,
    /// The attack's own mask, where it draws one.
    AttackMask = 2,
    /// The start of an attack inside the ball.
    AttackStart = 3,
    /// Which residual branches are dropped.
    DropPath = 4,
    /// Mixup and cutmix, keyed by the first sample of the batch.
    Mix = 5,
    /// Attacks of an evaluation.
    Evaluation = 6,
}

/// Draws for the samples of one batch in one epoch.
#[derive(Debug, Clone, Copy)]
pub struct Draws<'a> {
    /// Seed of the run.
    pub seed: u64,
    /// Epoch, from 0.
    pub epoch: u64,
    /// Positions of the samples in the training set, one for each row of the batch.
    pub sample_ids: &'a [u64],
}

impl Draws<'_> {
    /// Independent uniform numbers of `[0, 1)`, `per_sample` for each sample, row after row.
    pub fn uniform(&self, purpose: Purpose, per_sample: usize) -> Vec<f32> {
        let mut numbers = vec![0.0; self.sample_ids.len() * per_sample];
        if per_sample > 0 {
            for (row, &sample) in numbers.chunks_exact_mut(per_sample).zip(self.sample_ids) {
                fill_uniform(&mut self.stream(purpose, sample), row);
            }
        }
        numbers
    }

    /// The stream of the batch as a whole, keyed by its first sample.
    pub fn batch_stream(&self, purpose: Purpose) -> ChaCha8Rng {
        self.stream(purpose, self.sample_ids.first().copied().unwrap_or(0))
    }

    fn stream(&self, purpose: Purpose, sample: u64) -> ChaCha8Rng {
        let mut key = [0; 32];
        for (bytes, number) in key.chunks_exact_mut(8).zip([self.seed, sample, self.epoch, purpose as u64]) {
            bytes.copy_from_slice(&number.to_le_bytes());
        }
        ChaCha8Rng::from_seed(key)
    }
}

/// The stream for a parameter of that name: the key is SHA-256 of the seed and the name.
pub fn for_name(seed: u64, name: &str) -> ChaCha8Rng {
    let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(name.as_bytes()).finalize();
    ChaCha8Rng::from_seed(digest.into())
}

/// Fills with uniform numbers of `[0, 1)`, multiples of 2⁻²⁴.
pub fn fill_uniform(stream: &mut ChaCha8Rng, out: &mut [f32]) {
    for value in out {
        *value = unit(stream);
    }
}

/// Fills with standard normal numbers (Box–Muller in `f64`, two of each pair of uniforms).
pub fn fill_normal(stream: &mut ChaCha8Rng, out: &mut [f32]) {
    for pair in out.chunks_mut(2) {
        // 1 - u is in (0, 1], where the logarithm is finite.
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - f64::from(unit(stream))));
        let angle = std::f64::consts::TAU * f64::from(unit(stream));
        for (value, turned) in pair.iter_mut().zip([libm::cos(angle), libm::sin(angle)]) {
            *value = (radius * turned) as f32;
        }
    }
}

/// One uniform number of `[0, 1)`, a multiple of 2⁻²⁴.
pub fn unit(stream: &mut ChaCha8Rng) -> f32 {
    (stream.next_u32() >> 8) as f32 / (1u32 << 24) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_draws_the_same_numbers_in_any_batch() {
        let whole = Draws { seed: 3, epoch: 2, sample_ids: &[10, 11, 12] }.uniform(Purpose::Mask, 5);
        let alone = Draws { seed: 3, epoch: 2, sample_ids: &[11] }.uniform(Purpose::Mask, 5);
        assert_eq!(whole[5..10], alone);
    }

    #[test]
    fn every_part_of_the_key_counts() {
        let draw =
            |seed, epoch, sample, purpose| Draws { seed, epoch, sample_ids: &[sample] }.uniform(purpose, 4);
        let base = draw(1, 1, 1, Purpose::Mask);
        for other in [
            draw(2, 1, 1, Purpose::Mask),
            draw(1, 2, 1, Purpose::Mask),
            draw(1, 1, 2, Purpose::Mask),
            draw(1, 1, 1, Purpose::AttackMask),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn normal_numbers_have_mean_zero_and_variance_one() {
        let mut numbers = vec![0.0; 40_000];
        fill_normal(&mut for_name(0, "x"), &mut numbers);
        let mean = numbers.iter().sum::<f32>() / 40_000.0;
        let variance = numbers.iter().map(|x| x * x).sum::<f32>() / 40_000.0;
        // Four standard errors: 4/√n and 4·√(2/n).
        assert!(mean.abs() < 0.02, "{mean}");
        assert!((variance - 1.0).abs() < 0.029, "{variance}");
    }
}
