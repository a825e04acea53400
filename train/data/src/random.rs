//! Random numbers keyed by their use: independent of threads, order and earlier calls.
//!
//! A [`Stream`] is ChaCha8 under a 256-bit key:
//!
//! | bytes | content, little-endian |
//! | --- | --- |
//! | 0–7 | seed of the run |
//! | 8–15 | epoch, or pass over the generated images |
//! | 16–23 | sample, 0 where the numbers are not about one |
//! | 24–31 | purpose, in ASCII, padded with zeros |
//!
//! Exponential, logarithm and cosine are `libm`'s, so that the same key gives the same bits on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The key of a stream of random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Seed of the run.
    pub seed: u64,
    /// Epoch, counted from 0.
    pub epoch: u64,
    /// Sample id.
    pub sample: u64,
    /// The use; at most 8 bytes count.
    pub purpose: &'static str,
}

impl Key {
    fn bytes(&self) -> [u8; 32] {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&self.epoch.to_le_bytes());
        key[16..24].copy_from_slice(&self.sample.to_le_bytes());
        for (byte, letter) in key[24..].iter_mut().zip(self.purpose.bytes()) {
            *byte = letter;
        }
        key
    }
}

/// The random numbers of one [`Key`].
#[derive(Debug, Clone)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// From the first number of that key.
    pub fn new(key: &Key) -> Self {
        Self::from_key(key.bytes())
    }

    /// From the first number of a key that spells its use in its own way.
    pub fn from_key(key: [u8; 32]) -> Self {
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Fills with independent uniform numbers of `[0, 1)`, multiples of 2⁻²⁴.
    pub fn fill_unit(&mut self, out: &mut [f32]) {
        const SCALE: f32 = 1.0 / (1_u32 << 24) as f32;
        for value in out {
            *value = (self.0.next_u32() >> 8) as f32 * SCALE;
        }
    }

    /// Uniform in `[0, 1)`, a multiple of 2⁻⁵³.
    pub fn unit(&mut self) -> f64 {
        const SCALE: f64 = 1.0 / (1_u64 << 53) as f64;
        (self.0.next_u64() >> 11) as f64 * SCALE
    }

    /// Uniform between the two ends of `range`.
    pub fn uniform(&mut self, range: [f64; 2]) -> f64 {
        range[0] + (range[1] - range[0]) * self.unit()
    }

    /// Uniform on a logarithmic scale between the two positive ends of `range`.
    pub fn log_uniform(&mut self, range: [f64; 2]) -> f64 {
        libm::exp(self.uniform(range.map(libm::log)))
    }

    /// True with this probability.
    pub fn bernoulli(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Uniform in `0..count`, and 0 for a count of 0. An integer is more likely than another by at most `count / 2⁶⁴`.
    pub fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.0.next_u64()) * count as u128) >> 64) as usize
    }

    /// Standard normal (Box–Muller, one of each pair of uniforms).
    pub fn normal(&mut self) -> f64 {
        // 1 - u is in (0, 1], where the logarithm is finite.
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }

    /// A uniformly random order of `0..count` (Fisher–Yates).
    pub fn permutation(&mut self, count: u32) -> Vec<u32> {
        let mut order: Vec<u32> = (0..count).collect();
        for last in (1..order.len()).rev() {
            let other = self.below(last + 1);
            order.swap(last, other);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key { seed: 7, epoch: 3, sample: 11, purpose: "augment" };

    #[test]
    fn every_part_of_the_key_changes_the_stream() {
        let draw = |key: Key| Stream::new(&key).permutation(64);
        let others = [
            Key { seed: 8, ..KEY },
            Key { epoch: 4, ..KEY },
            Key { sample: 12, ..KEY },
            Key { purpose: "order", ..KEY },
        ];
        assert_eq!(draw(KEY), draw(KEY));
        for other in others {
            assert_ne!(draw(KEY), draw(other), "{other:?}");
        }
    }

    /// A run that is resumed with a later release must see the images that it would have seen.
    #[test]
    fn the_stream_is_pinned() {
        let mut stream = Stream::new(&KEY);
        assert_eq!(stream.permutation(10), PINNED_ORDER);
        let numbers = [stream.unit(), stream.normal(), stream.log_uniform([0.75, 4.0 / 3.0])];
        assert_eq!(numbers.map(f64::to_bits), PINNED_BITS);
    }

    const PINNED_ORDER: [u32; 10] = [3, 4, 1, 8, 9, 5, 6, 7, 0, 2];
    const PINNED_BITS: [u64; 3] =
        [4_599_245_213_365_555_446, 13_829_351_057_209_211_687, 4_607_270_827_667_669_006];

    #[test]
    fn moments_are_those_of_the_distributions() {
        const COUNT: usize = 40_000;
        let mut stream = Stream::new(&KEY);
        let mean = |draws: &[f64]| draws.iter().sum::<f64>() / COUNT as f64;
        let square = |draws: &[f64]| draws.iter().map(|draw| draw * draw).sum::<f64>() / COUNT as f64;
        let normal: Vec<f64> = (0..COUNT).map(|_| stream.normal()).collect();
        let integers: Vec<f64> = (0..COUNT).map(|_| stream.below(9) as f64 - 4.0).collect();
        let logs: Vec<f64> = (0..COUNT).map(|_| libm::log(stream.log_uniform([0.5, 2.0]))).collect();
        // Five standard errors: 1/sqrt(N) for a mean of variance 1, sqrt(2/N) for a square of a normal.
        let error = 5.0 / (COUNT as f64).sqrt();
        assert!(mean(&normal).abs() < error && (square(&normal) - 1.0).abs() < error * 2_f64.sqrt());
        // -4..=4 has variance 60/9 = 20/3, and its squares have variance 708/9 - (20/3)² = 308/9.
        assert!(mean(&integers).abs() < error * (20.0_f64 / 3.0).sqrt());
        assert!((square(&integers) - 20.0 / 3.0).abs() < error * (308.0_f64 / 9.0).sqrt());
        assert!(mean(&logs).abs() < error * std::f64::consts::LN_2 / 3_f64.sqrt());
    }

    #[test]
    fn every_order_of_three_is_as_likely() {
        const COUNT: usize = 6_000;
        let mut stream = Stream::new(&KEY);
        let mut counts = std::collections::BTreeMap::new();
        (0..COUNT).for_each(|_| *counts.entry(stream.permutation(3)).or_insert(0_usize) += 1);
        assert_eq!(counts.len(), 6);
        // Binomial of mean 1000: five standard deviations are 5·sqrt(1000·5/6) = 144.
        assert!(counts.values().all(|count| count.abs_diff(1_000) < 145), "{counts:?}");
    }
}
