//! Random numbers that depend on what they are for, not on who asks first.
//!
//! A [`Stream`] is ChaCha8 under a 256-bit key that spells out its purpose, so that noise does not depend on batch
//! size, order, workers, or on which other images are attacked:
//!
//! | bytes | content, little-endian |
//! | --- | --- |
//! | 0–7 | seed of the run |
//! | 8–15 | image: its position in the evaluation set |
//! | 16–23 | attack: its name in ASCII, the first 8 bytes, padded with zeros |
//! | 24–27 | target class plus one; 0 for untargeted attacks |
//! | 28–31 | restart, from 0 |
//!
//! Elements come from consecutive 32-bit outputs. Logarithm and cosine are `libm`'s, so that the same key gives the
//! same bits on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a stream of random numbers is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Seed of the run.
    pub seed: u64,
    /// Position of the image in the evaluation set.
    pub image: usize,
    /// Name of the attack; the first 8 bytes count.
    pub attack: &'static str,
    /// Target class of a targeted attack.
    pub target: Option<usize>,
    /// Restart, from 0.
    pub restart: usize,
}

impl Key {
    fn bytes(&self) -> [u8; 32] {
        let target = self.target.map_or(0, |class| class as u32 + 1);
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&(self.image as u64).to_le_bytes());
        for (byte, letter) in key[16..24].iter_mut().zip(self.attack.bytes()) {
            *byte = letter;
        }
        key[24..28].copy_from_slice(&target.to_le_bytes());
        key[28..].copy_from_slice(&(self.restart as u32).to_le_bytes());
        key
    }
}

/// The random numbers of one [`Key`].
#[derive(Debug, Clone)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// From the first number of that key.
    pub fn new(key: &Key) -> Self {
        Self(ChaCha8Rng::from_seed(key.bytes()))
    }

    /// Fills with independent uniform numbers of `[-1, 1)`, multiples of 2⁻²³.
    pub fn fill_uniform(&mut self, out: &mut [f32]) {
        for value in out {
            *value = 2.0 * self.unit() - 1.0;
        }
    }

    /// Fills with independent standard normal numbers (Box–Muller in `f64`, two of each pair of uniforms).
    pub fn fill_normal(&mut self, out: &mut [f32]) {
        for pair in out.chunks_mut(2) {
            // 1 - u is in (0, 1], where the logarithm is finite.
            let radius = libm::sqrt(-2.0 * libm::log(1.0 - f64::from(self.unit())));
            let angle = std::f64::consts::TAU * f64::from(self.unit());
            for (value, turned) in pair.iter_mut().zip([libm::cos(angle), libm::sin(angle)]) {
                *value = (radius * turned) as f32;
            }
        }
    }

    /// Uniform in `0..count`, and 0 for a count of 0. Takes one output whatever the count; an integer is more likely
    /// than another by at most `count / 2³²`.
    pub fn below(&mut self, count: usize) -> usize {
        ((u64::from(self.0.next_u32()) * count as u64) >> 32) as usize
    }

    /// -1 or 1, one output each.
    pub fn sign(&mut self) -> f32 {
        if self.0.next_u32() >> 31 == 0 { 1.0 } else { -1.0 }
    }

    /// Uniform in `[0, 1)`: the upper 24 bits, which a float holds exactly.
    fn unit(&mut self) -> f32 {
        const SCALE: f32 = 1.0 / (1 << 24) as f32;
        (self.0.next_u32() >> 8) as f32 * SCALE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key { seed: 7, image: 3, attack: "apgd-ce", target: None, restart: 0 };

    fn uniform(key: Key, count: usize) -> Vec<f32> {
        let mut out = vec![0.0; count];
        Stream::new(&key).fill_uniform(&mut out);
        out
    }

    #[test]
    fn every_part_of_the_key_changes_the_stream() {
        let others = [
            Key { seed: 8, ..KEY },
            Key { image: 4, ..KEY },
            Key { attack: "apgd-t", ..KEY },
            Key { target: Some(0), ..KEY },
            Key { restart: 1, ..KEY },
        ];
        let reference = uniform(KEY, 64);
        assert_eq!(reference, uniform(KEY, 64));
        for other in others {
            assert_ne!(reference, uniform(other, 64), "{other:?}");
        }
    }

    /// Pins the stream: a certificate that names a seed must mean the same noise in every later release.
    #[test]
    fn the_stream_is_pinned() {
        let scaled: Vec<i32> =
            uniform(KEY, 4).iter().map(|value| (value * (1 << 23) as f32) as i32).collect();
        assert_eq!(scaled, [-3_632_661, -8_355_799, -752_442, -2_462_814]);
        let mut normal = [0.0; 4];
        Stream::new(&KEY).fill_normal(&mut normal);
        assert_eq!(normal.map(f32::to_bits), [1_062_273_730, 1_009_016_527, 3_207_226_291, 1_063_312_197]);
    }

    #[test]
    fn integers_and_signs_are_pinned_and_even() {
        let mut stream = Stream::new(&KEY);
        let pinned: Vec<usize> = (0..8).map(|_| stream.below(10)).collect();
        let signs: Vec<f32> = (0..8).map(|_| stream.sign()).collect();
        assert_eq!(pinned, [2, 0, 4, 3, 8, 7, 5, 5]);
        assert_eq!(signs, [-1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0, 1.0]);
        assert_eq!(stream.below(0), 0);
        let mut counts = [0_usize; 7];
        let mut positive = 0_usize;
        for _ in 0..70_000 {
            counts[stream.below(7)] += 1;
            positive += usize::from(stream.sign() > 0.0);
        }
        // Six standard deviations: 6 √(70000 · 1/7 · 6/7) = 556 and 6 √(70000 / 4) = 794.
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 556), "{counts:?}");
        assert!(positive.abs_diff(35_000) < 794, "{positive}");
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let count = 1 << 16;
        let moments = |values: &[f32]| {
            let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / count as f64;
            let square = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / count as f64;
            (mean, square)
        };
        let (mean, square) = moments(&uniform(KEY, count));
        assert!(mean.abs() < 0.01 && (square - 1.0 / 3.0).abs() < 0.01, "{mean} {square}");
        let mut normal = vec![0.0; count];
        Stream::new(&KEY).fill_normal(&mut normal);
        let (mean, square) = moments(&normal);
        assert!(mean.abs() < 0.02 && (square - 1.0).abs() < 0.02, "{mean} {square}");
    }

    #[test]
    fn an_odd_count_is_filled_to_the_end() {
        let mut values = [f32::NAN; 7];
        Stream::new(&KEY).fill_normal(&mut values);
        assert!(values.iter().all(|value| value.is_finite()));
    }
}
