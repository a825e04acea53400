//! Which images are in which batch: a function of seed, epoch and step, without state.

use crate::error::DataError;
use crate::random::{Key, Stream};
use crate::training_set::SampleIndex;

/// The batches of a run.
///
/// An epoch takes each real image at most once, in an order that depends on seed and epoch only; a last incomplete
/// batch is dropped. Of every batch, `round(share · batch)` images are generated: they follow the real ones, and
/// come from one sequence over all epochs that takes each generated image once before it takes any of them again.
///
/// Generated images make no epoch longer: it then has `ceil(real / batch)` batches, as in the authors' code
/// (`semisup.py`), and takes only some of the real images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampler {
    seed: u64,
    /// Images that there are.
    real: u32,
    generated: u32,
    /// Images in each batch.
    real_per_batch: usize,
    generated_per_batch: usize,
}

impl Sampler {
    /// For batches of `batch` images out of `real` real ones and `generated` others, which fill `share` of each.
    ///
    /// # Errors
    /// Where a batch holds no real image, or more than there are, or there are 2³² images or more.
    pub fn new(
        seed: u64,
        batch: usize,
        real: usize,
        (generated, share): (usize, f64),
    ) -> Result<Self, DataError> {
        // As many as `f64` counts exactly is far more than fits.
        let generated_per_batch = if generated == 0 { 0 } else { (share * batch as f64).round() as usize };
        let real_per_batch = batch.saturating_sub(generated_per_batch);
        let counts = u32::try_from(real).ok().zip(u32::try_from(generated).ok());
        let (Some((real, generated)), true) = (counts, (1..=real).contains(&real_per_batch)) else {
            let found = format!("{batch}, of which {generated_per_batch} generated");
            let wanted = format!("1 to {real} real images in a batch, and fewer than 2^32 in all");
            return Err(DataError::InvalidParameter { name: "batch", found, wanted });
        };
        Ok(Self { seed, real, generated, real_per_batch, generated_per_batch })
    }

    /// Batches in an epoch.
    pub fn steps_per_epoch(&self) -> usize {
        let real = self.real as usize;
        let one_pass = real / self.real_per_batch;
        if self.generated_per_batch == 0 { one_pass } else { real.div_ceil(self.batch()).min(one_pass) }
    }

    /// Images in a batch.
    pub fn batch(&self) -> usize {
        self.real_per_batch + self.generated_per_batch
    }

    /// The order of an epoch. Takes time and memory in proportion to the number of images.
    pub fn epoch(&self, epoch: u64) -> EpochOrder {
        let key = Key { seed: self.seed, epoch, sample: 0, purpose: "order" };
        EpochOrder {
            sampler: *self,
            real: Stream::new(&key).permutation(self.real),
            generated: self.generated_in(epoch),
        }
    }

    /// The part of the sequence of generated images that falls into an epoch.
    fn generated_in(&self, epoch: u64) -> Vec<u32> {
        let needed = self.steps_per_epoch() * self.generated_per_batch;
        let mut order = Vec::with_capacity(needed);
        if needed == 0 {
            return order;
        }
        let length = u128::from(self.generated);
        let mut place = u128::from(epoch) * needed as u128;
        while order.len() < needed {
            let pass = (place / length) as u64;
            let key = Key { seed: self.seed, epoch: pass, sample: 0, purpose: "generate" };
            let rest = Stream::new(&key).permutation(self.generated);
            let start = (place % length) as usize;
            let end = rest.len().min(start + needed - order.len());
            order.extend_from_slice(&rest[start..end]);
            place += (end - start) as u128;
        }
        order
    }
}

/// The order of one epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochOrder {
    sampler: Sampler,
    /// A permutation of the real images.
    real: Vec<u32>,
    /// Those of all steps.
    generated: Vec<u32>,
}

impl EpochOrder {
    /// The real images in the order in which they are taken; those behind the last whole batch are not.
    pub fn real(&self) -> &[u32] {
        &self.real
    }

    /// The image in a row of the batch of a step, and after it those that take its place where it cannot be read: the
    /// next ones in the order, which starts again at its end. None where there is no such row or step.
    pub(crate) fn candidates(&self, step: usize, row: usize) -> impl Iterator<Item = SampleIndex> + use<'_> {
        let Sampler { real_per_batch, generated_per_batch, .. } = self.sampler;
        let is_real = row < real_per_batch;
        let (list, place) = if is_real {
            (&self.real, step * real_per_batch + row)
        } else {
            (&self.generated, step * generated_per_batch + row - real_per_batch)
        };
        let index = move |position: &u32| {
            if is_real { SampleIndex::Real(*position) } else { SampleIndex::Generated(*position) }
        };
        let (before, after) = list.split_at(place.min(list.len()));
        let fits = step < self.sampler.steps_per_epoch() && row < self.sampler.batch();
        after.iter().chain(before).map(index).take(if fits { list.len() } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn slots(sampler: &Sampler, epoch: u64) -> Vec<Vec<SampleIndex>> {
        let order = sampler.epoch(epoch);
        let row = |step, row| order.candidates(step, row).next().unwrap();
        let batch = |step| (0..sampler.batch()).map(|place| row(step, place)).collect();
        (0..sampler.steps_per_epoch()).map(batch).collect()
    }

    proptest! {
        #[test]
        fn an_order_is_a_permutation(
            count in 1_usize..400, batch in 1_usize..50, seed: u64, epoch: u64,
        ) {
            let batch = batch.min(count);
            let sampler = Sampler::new(seed, batch, count, (0, 0.0)).unwrap();
            let order = sampler.epoch(epoch);
            prop_assert_eq!(&order, &sampler.epoch(epoch));
            let mut sorted = order.real().to_vec();
            sorted.sort_unstable();
            prop_assert!(sorted.into_iter().eq(0..count as u32));
            let flat: Vec<SampleIndex> = slots(&sampler, epoch).concat();
            let whole = count / batch * batch;
            let wanted = order.real().iter().take(whole).map(|position| SampleIndex::Real(*position));
            prop_assert!(flat.into_iter().eq(wanted));
        }

        /// However many passes an epoch takes, or epochs a pass.
        #[test]
        fn generated_images_are_used_up_before_they_repeat(
            generated in 1_usize..60, batch in 2_usize..20, share in 0.1_f64..0.9, seed: u64,
        ) {
            let Ok(sampler) = Sampler::new(seed, batch, 40, (generated, share)) else { return Ok(()) };
            let wanted = (share * batch as f64).round() as usize;
            let mut seen = BTreeMap::new();
            let mut total = 0_usize;
            for slots in (0..4).flat_map(|epoch| slots(&sampler, epoch)) {
                let (real, others) = slots.split_at(batch - wanted);
                prop_assert!(real.iter().all(|index| matches!(index, SampleIndex::Real(_))));
                for index in others {
                    let SampleIndex::Generated(position) = index else { panic!("{index:?} among the generated") };
                    total += 1;
                    *seen.entry(*position).or_insert(0_usize) += 1;
                    prop_assert!(seen[position] <= total.div_ceil(generated), "{position} too early");
                }
            }
        }
    }

    /// The authors' lengths: 98 steps of 512 images and 391 of 128 with 70 % of five million generated ones.
    #[test]
    fn generated_images_make_no_epoch_longer() {
        let steps =
            |batch, real, generated| Sampler::new(0, batch, real, generated).unwrap().steps_per_epoch();
        let edm = (5_000_000, 0.7);
        assert_eq!((steps(512, 50_000, edm), steps(128, 50_000, edm)), (98, 391));
        // Without them a last incomplete batch is dropped.
        assert_eq!((steps(512, 50_000, (0, 0.0)), steps(128, 50_000, (0, 0.0))), (97, 390));
        // No real image comes twice.
        assert_eq!(steps(4, 5, (9, 0.25)), 1);
    }

    #[test]
    fn seeds_and_epochs_have_orders_of_their_own() {
        let order = |seed, epoch| Sampler::new(seed, 10, 100, (0, 0.0)).unwrap().epoch(epoch).real;
        assert_ne!(order(0, 0), order(0, 1));
        assert_ne!(order(0, 0), order(1, 0));
    }

    #[test]
    fn replacements_are_the_next_ones_around_the_end() {
        let sampler = Sampler::new(5, 3, 7, (4, 0.3)).unwrap();
        let order = sampler.epoch(0);
        let around: Vec<SampleIndex> = order.candidates(2, 1).collect();
        let wanted: Vec<SampleIndex> =
            (0..7).map(|place| SampleIndex::Real(order.real()[(5 + place) % 7])).collect();
        assert_eq!(around, wanted);
        assert_eq!(order.candidates(0, 2).count(), 3);
        assert!(order.candidates(3, 0).next().is_none() && order.candidates(0, 3).next().is_none());
    }

    #[test]
    fn batches_that_cannot_be_filled_are_refused() {
        for (batch, real, generated) in
            [(0, 5, (0, 0.0)), (6, 5, (0, 0.0)), (2, 5, (9, 0.9)), (1, 0, (0, 0.0)), (1, 1 << 32, (0, 0.0))]
        {
            let error = Sampler::new(0, batch, real, generated).unwrap_err().to_string();
            assert!(error.starts_with("parameter `batch`"), "{error}");
        }
    }
}
