//! Random numbers that are keyed by their use, not by the order of calls.
//!
//! All random numbers of a run come from [`Stream`]s keyed by (seed, epoch, sample, [`Purpose`]), as order and
//! augmentation do; those of whole batches (masks, starts of attacks, stochastic depth) are counted from a key that the stream
//! gives, on the device that they are for. A run that is resumed, or uses other micro-batches, gets the same numbers. Initial weights are
//! keyed by seed and name instead ([`for_name`]): a network with one layer more starts from the same numbers in all the
//! others.

mod counter;

use mimir_data::random::{Key, Stream};
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

/// The use of a random number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The mask of the training pass.
    Mask,
    /// The mask of the attack, if it uses one of its own.
    AttackMask,
    /// The start of an attack inside the ball.
    AttackStart,
    /// Which residual branches are dropped.
    DropPath,
    /// The same for the clean images of TRADES, which go through the network on their own.
    DropPathClean,
    /// Mixup and cutmix, keyed by the first sample of the batch.
    Mix,
    /// Attacks of an evaluation.
    Evaluation,
}

impl Purpose {
    /// Its part of the key. It must never change, or a resumed run would get other numbers.
    fn name(self) -> &'static str {
        match self {
            Self::Mask => "mask",
            Self::AttackMask => "own mask",
            Self::AttackStart => "start",
            Self::DropPath => "drop",
            Self::DropPathClean => "drop two",
            Self::Mix => "mix",
            Self::Evaluation => "evaluate",
        }
    }
}

/// Random numbers for the samples of one batch in one epoch.
#[derive(Debug, Clone, Copy)]
pub struct BatchRng<'a> {
    /// Seed of the run.
    pub seed: u64,
    /// Epoch, from 0.
    pub epoch: u64,
    /// Positions of the samples in the training set, one for each row of the batch.
    pub sample_ids: &'a [u64],
}

impl BatchRng<'_> {
    /// Independent uniform numbers of `[0, 1)`, `per_sample` for each sample, row after row.
    pub fn uniform(&self, purpose: Purpose, per_sample: usize) -> Vec<f32> {
        let mut numbers = vec![0.0; self.sample_ids.len() * per_sample];
        if per_sample > 0 {
            for (row, &sample) in numbers.chunks_exact_mut(per_sample).zip(self.sample_ids) {
                counter::fill(self.key(purpose, sample), row);
            }
        }
        numbers
    }

    /// The same numbers as a tensor on a device, `[N, per_sample]`. On a GPU they are drawn there.
    pub fn uniform_on(&self, device: Device, purpose: Purpose, per_sample: usize) -> Tensor {
        if device.is_cuda() {
            let keys: Vec<_> = self.sample_ids.iter().map(|&sample| self.key(purpose, sample)).collect();
            return counter::on_device(&keys, per_sample, device);
        }
        let shape = [self.sample_ids.len() as i64, per_sample as i64];
        Tensor::from_slice(&self.uniform(purpose, per_sample)).reshape(shape)
    }

    /// Independent standard normal numbers on a device, `[N, per_sample]` (Box–Muller, one of each pair of uniforms).
    pub fn normal_on(&self, device: Device, purpose: Purpose, per_sample: usize) -> Tensor {
        let half = per_sample as i64;
        let uniform = self.uniform_on(device, purpose, 2 * per_sample).to_kind(Kind::Double);
        // 1 − u is in (0, 1], where the logarithm is finite.
        let radius = ((1.0f64 - uniform.narrow(1, 0, half)).log() * -2.0).sqrt();
        let angle = uniform.narrow(1, half, half) * std::f64::consts::TAU;
        (radius * angle.cos()).to_kind(Kind::Float)
    }

    fn key(&self, purpose: Purpose, sample: u64) -> counter::Key {
        let mut stream = self.stream(purpose, sample);
        let mut word = || stream.below(1 << 32) as u32;
        [word(), word()]
    }

    /// The stream of the batch as a whole, keyed by its first sample.
    pub fn batch_stream(&self, purpose: Purpose) -> Stream {
        self.stream(purpose, self.sample_ids.first().copied().unwrap_or(0))
    }

    fn stream(&self, purpose: Purpose, sample: u64) -> Stream {
        Stream::new(&Key { seed: self.seed, epoch: self.epoch, sample, purpose: purpose.name() })
    }
}

/// The stream for a parameter of that name: the key is SHA-256 of the seed and the name.
pub fn for_name(seed: u64, name: &str) -> Stream {
    let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(name.as_bytes()).finalize();
    Stream::from_key(digest.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_draws_the_same_numbers_in_any_batch() {
        let whole = BatchRng { seed: 3, epoch: 2, sample_ids: &[10, 11, 12] }.uniform(Purpose::Mask, 5);
        let alone = BatchRng { seed: 3, epoch: 2, sample_ids: &[11] }.uniform(Purpose::Mask, 5);
        assert_eq!(whole[5..10], alone);
    }

    #[test]
    fn tensors_hold_the_same_numbers() {
        let rng = BatchRng { seed: 3, epoch: 2, sample_ids: &[10, 11, 12] };
        let tensor = rng.uniform_on(Device::Cpu, Purpose::Mask, 5);
        assert_eq!(tensor.size(), [3, 5]);
        assert_eq!(Vec::<f32>::try_from(tensor.flatten(0, 1)).unwrap(), rng.uniform(Purpose::Mask, 5));
        let keys = rng.sample_ids.iter().map(|&sample| rng.key(Purpose::Mask, sample)).collect::<Vec<_>>();
        assert_eq!(counter::on_device(&keys, 5, Device::Cpu), tensor, "as a GPU would draw them");
    }

    #[test]
    fn normal_numbers_have_their_moments() {
        let ids: Vec<u64> = (0..200).collect();
        let numbers =
            BatchRng { seed: 0, epoch: 0, sample_ids: &ids }.normal_on(Device::Cpu, Purpose::Mask, 200);
        let moment = |power: f64| numbers.pow_tensor_scalar(power).mean(Kind::Double).double_value(&[]);
        // 40,000 numbers: five standard errors of 1/200, and of √2/200 for the square.
        assert!(
            moment(1.0).abs() < 0.025 && (moment(2.0) - 1.0).abs() < 0.0354,
            "{} {}",
            moment(1.0),
            moment(2.0)
        );
        assert!(moment(3.0).abs() < 5.0 * 15f64.sqrt() / 200.0);
    }

    #[test]
    fn every_part_of_the_key_counts() {
        let draw = |seed, epoch, sample, purpose| {
            BatchRng { seed, epoch, sample_ids: &[sample] }.uniform(purpose, 4)
        };
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
}
