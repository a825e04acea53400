//! Stochastic depth: whole residual branches dropped per sample (timm's `DropPath`).

use tch::{Device, Kind, Tensor};

use crate::model::{Architecture, Family};
use crate::random::{BatchRng, Purpose};
use crate::upload;

/// What to multiply every residual branch with: 0 where dropped, 1 / keep probability where kept.
#[derive(Debug)]
pub struct DropPath {
    scales: Tensor, // [branches, N, 1, 1]
}

impl DropPath {
    /// Samples which branches are dropped in the blocks of a network, two branches each, with random numbers of
    /// `purpose`. Block i drops with probability `rate · i / (depth − 1)`, each block of a CaiT with `rate` (timm,
    /// `cait.py`). `None` for a rate of 0.
    pub fn sample(
        rng: BatchRng<'_>,
        purpose: Purpose,
        architecture: &Architecture,
        rate: f64,
        device: Device,
    ) -> Option<Self> {
        if rate == 0.0 {
            return None;
        }
        let branches = 2 * architecture.depth as usize;
        let uniform = rng.uniform_on(device, purpose, branches); // [N, branches]
        let keep: Vec<f32> =
            (0..branches).map(|branch| (1.0 - drop_rate(branch / 2, architecture, rate)) as f32).collect();
        let keep = upload::values(&keep, device);
        let kept = uniform.lt_tensor(&keep).to_kind(Kind::Float);
        Some(Self { scales: (kept / keep).transpose(0, 1).contiguous().unsqueeze(-1).unsqueeze(-1) })
    }

    /// The scales of one branch (0 attention, 1 MLP) of a block, `[N, 1, 1]`.
    pub fn scale(&self, block: usize, branch: usize) -> Tensor {
        self.scales.get((2 * block + branch) as i64)
    }
}

fn drop_rate(block: usize, architecture: &Architecture, rate: f64) -> f64 {
    match architecture.family {
        Family::Cait => rate,
        Family::Vit | Family::VitConvStem | Family::Convit => {
            rate * block as f64 / (architecture.depth - 1).max(1) as f64
        }
    }
}

/// `x + branch`, the branch scaled where there is stochastic depth.
pub(super) fn add(
    x: &Tensor,
    branch: &Tensor,
    drop_path: Option<&DropPath>,
    block: usize,
    branch_index: usize,
) -> Tensor {
    match drop_path {
        None => x + branch,
        Some(drop_path) => x + branch * drop_path.scale(block, branch_index),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(family: Family) -> Architecture {
        Architecture { family, width: 16, depth: 3, heads: 2, image_size: 16, patch_size: 4 }
    }

    fn dropped(drop_path: &DropPath, block: usize) -> f64 {
        let scale = drop_path.scale(block, 0);
        scale.eq(0.0).to_kind(Kind::Float).mean(Kind::Float).double_value(&[])
    }

    #[test]
    fn the_first_block_keeps_all_and_the_last_drops_at_the_rate() {
        let ids: Vec<u64> = (0..4000).collect();
        let rng = BatchRng { seed: 0, epoch: 0, sample_ids: &ids };
        let sample =
            |family| DropPath::sample(rng, Purpose::DropPath, &of(family), 0.2, Device::Cpu).unwrap();
        for family in [Family::Vit, Family::VitConvStem, Family::Convit] {
            let drop_path = sample(family);
            assert_eq!(drop_path.scale(0, 1).min().double_value(&[]), 1.0);
            // Four standard errors of a share of 0.2 among 4000.
            assert!((dropped(&drop_path, 2) - 0.2).abs() < 0.0253, "{family:?}");
            assert!((drop_path.scale(2, 0).max().double_value(&[]) - 1.25).abs() < 1e-6);
        }
    }

    #[test]
    fn every_block_of_a_cait_drops_at_the_rate() {
        let ids: Vec<u64> = (0..4000).collect();
        let rng = BatchRng { seed: 0, epoch: 0, sample_ids: &ids };
        let drop_path =
            DropPath::sample(rng, Purpose::DropPath, &of(Family::Cait), 0.1, Device::Cpu).unwrap();
        for block in 0..3 {
            // Four standard errors of a share of 0.1 among 4000.
            assert!((dropped(&drop_path, block) - 0.1).abs() < 0.019, "block {block}");
        }
    }

    #[test]
    fn no_rate_no_draws() {
        let rng = BatchRng { seed: 0, epoch: 0, sample_ids: &[1] };
        assert!(DropPath::sample(rng, Purpose::DropPath, &of(Family::Vit), 0.0, Device::Cpu).is_none());
    }
}
