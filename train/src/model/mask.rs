//! Random masking of patches.

use tch::{Device, Kind, Tensor};

use crate::random::{BatchRng, Purpose};

/// One random mask for each image of a batch. L patches, of which L_keep stay visible.
#[derive(Debug)]
pub struct Mask {
    /// Grid indices of the visible patches, `[N, L_keep]` int64, in random order.
    pub ids_keep: Tensor,
    /// For each patch its index among visible, then masked ones, `[N, L]` int64.
    pub ids_restore: Tensor,
    /// 1 for masked patches, 0 for visible ones, `[N, L]` float32.
    pub masked: Tensor,
}

impl Mask {
    /// How many of so many patches stay visible at that ratio: `int(patches · (1 − mask_ratio))` (MAE, `random_masking`).
    pub fn visible_patches(patches: i64, mask_ratio: f64) -> i64 {
        (patches as f64 * (1.0 - mask_ratio)) as i64
    }

    /// Keeps `keep` of the patches, 0 to L, independently for each sample. On `device`, where it is drawn.
    pub fn random(rng: BatchRng<'_>, purpose: Purpose, patches: i64, keep: i64, device: Device) -> Self {
        Self::from_noise(&rng.uniform_on(device, purpose, patches as usize), keep)
    }

    /// `count` masks of each sample, one after the other; the first is that of [`random`](Self::random).
    pub fn random_series(
        rng: BatchRng<'_>,
        purpose: Purpose,
        patches: i64,
        keep: i64,
        count: usize,
        device: Device,
    ) -> Vec<Self> {
        let noise = rng.uniform_on(device, purpose, count * patches as usize);
        let noise = noise.reshape([-1, count as i64, patches]);
        noise.unbind(1).iter().map(|noise| Self::from_noise(noise, keep)).collect()
    }

    /// Keeps the `keep` patches with the smallest noise, `[N, L]`.
    pub fn from_noise(noise: &Tensor, keep: i64) -> Self {
        let (n, patches) = (noise.size()[0], noise.size()[1]);
        let ids_shuffle = noise.argsort(1, false); // [N, L]
        let order = Tensor::arange(patches, (Kind::Int64, noise.device())).expand([n, patches], false);
        // The inverse permutation: sorting once is enough.
        let ids_restore = ids_shuffle.scatter(1, &ids_shuffle, &order);
        let masked = ids_restore.ge(keep).to_kind(Kind::Float);
        Self { ids_keep: ids_shuffle.narrow(1, 0, keep), ids_restore, masked }
    }

    /// Visible patches of each sample, L_keep.
    pub fn keep(&self) -> i64 {
        self.ids_keep.size()[1]
    }

    /// The visible rows of `tokens` `[N, L, D]`, `[N, L_keep, D]`.
    pub fn visible(&self, tokens: &Tensor) -> Tensor {
        let d = tokens.size()[2];
        tokens.gather(1, &self.ids_keep.unsqueeze(-1).expand([-1, -1, d], false), false)
    }

    /// 1 on pixels of visible patches, 0 on masked ones, `[N, 1, rows·patch, columns·patch]` float32.
    pub fn visible_pixels(&self, rows: i64, columns: i64, patch: i64) -> Tensor {
        let visible = (1.0f64 - &self.masked).reshape([-1, 1, rows, 1, columns, 1]);
        visible.expand([-1, 1, rows, patch, columns, patch], false).reshape([
            -1,
            1,
            rows * patch,
            columns * patch,
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_hides_what_it_does_not_keep() {
        let rng = BatchRng { seed: 1, epoch: 0, sample_ids: &[4, 9] };
        let mask = Mask::random(rng, Purpose::Mask, 16, 4, Device::Cpu);
        assert_eq!(mask.ids_keep.size(), [2, 4]);
        assert_eq!(mask.masked.sum_dim_intlist(1, false, Kind::Float), Tensor::from_slice(&[12f32, 12.0]));
        assert_eq!(mask.masked.gather(1, &mask.ids_keep, false).sum(Kind::Float).double_value(&[]), 0.0);
    }

    /// From the number to a ratio and back, 9 of 100 patches were 8.
    #[test]
    fn the_number_of_visible_patches_is_that_of_mae_and_never_lost() {
        for (patches, ratio, wanted) in [(256, 0.75, 64), (196, 0.75, 49), (64, 0.75, 16), (100, 0.9, 9)] {
            assert_eq!(Mask::visible_patches(patches, ratio), wanted);
        }
        let rng = BatchRng { seed: 1, epoch: 0, sample_ids: &[4] };
        for keep in 1..100 {
            assert_eq!(Mask::random(rng, Purpose::Mask, 100, keep, Device::Cpu).keep(), keep);
        }
    }

    #[test]
    fn a_series_begins_with_the_single_mask_and_goes_on_with_others() {
        let rng = BatchRng { seed: 1, epoch: 0, sample_ids: &[4, 9] };
        let series = Mask::random_series(rng, Purpose::AttackMask, 16, 4, 3, Device::Cpu);
        let single = Mask::random(rng, Purpose::AttackMask, 16, 4, Device::Cpu);
        assert_eq!(series.len(), 3);
        assert_eq!(series[0].ids_keep, single.ids_keep);
        for later in &series[1..] {
            assert_eq!(later.keep(), 4);
            assert_ne!(later.ids_keep, single.ids_keep);
        }
        assert_ne!(series[1].ids_keep, series[2].ids_keep);
    }

    #[test]
    fn restoring_undoes_the_shuffle() {
        let noise = Tensor::from_slice(&[0.3f32, 0.1, 0.2, 0.4]).reshape([1, 4]);
        let mask = Mask::from_noise(&noise, 2);
        assert_eq!(mask.ids_keep, Tensor::from_slice(&[1i64, 2]).reshape([1, 2]));
        assert_eq!(mask.ids_restore, Tensor::from_slice(&[2i64, 0, 1, 3]).reshape([1, 4]));
        assert_eq!(mask.masked, Tensor::from_slice(&[1f32, 0.0, 0.0, 1.0]).reshape([1, 4]));
        let pixels = mask.visible_pixels(2, 2, 2);
        assert_eq!(pixels.size(), [1, 1, 4, 4]);
        assert_eq!(pixels.double_value(&[0, 0, 1, 3]), 1.0);
        assert_eq!(pixels.double_value(&[0, 0, 3, 3]), 0.0);
    }
}
