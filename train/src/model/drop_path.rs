//! Stochastic depth: whole residual branches dropped per sample (timm's `DropPath`).

use tch::{Device, Tensor};

use crate::random::{BatchRng, Purpose};

/// What to multiply every residual branch with: 0 where dropped, 1 / keep probability where kept.
#[derive(Debug)]
pub struct DropPath {
    scales: Tensor, // [branches, N, 1, 1]
}

impl DropPath {
    /// Samples which branches are dropped in `depth` blocks of two branches each. Block i drops with probability `rate
    /// · i / (depth − 1)`. `None` for a rate of 0.
    pub fn sample(rng: BatchRng<'_>, depth: i64, rate: f64, device: Device) -> Option<Self> {
        if rate == 0.0 {
            return None;
        }
        let (n, branches) = (rng.sample_ids.len(), 2 * depth as usize);
        let uniform = rng.uniform(Purpose::DropPath, branches); // [N, branches]
        let scales: Vec<f32> = (0..branches)
            .flat_map(|branch| {
                let keep = 1.0 - drop_rate(branch / 2, depth, rate);
                let scale = move |u: f32| if f64::from(u) < keep { (1.0 / keep) as f32 } else { 0.0 };
                uniform.iter().skip(branch).step_by(branches).map(move |&u| scale(u))
            })
            .collect();
        let scales = Tensor::from_slice(&scales).reshape([branches as i64, n as i64, 1, 1]);
        Some(Self { scales: scales.to_device(device) })
    }

    /// The scales of one branch (0 attention, 1 MLP) of a block, `[N, 1, 1]`.
    pub fn scale(&self, block: usize, branch: usize) -> Tensor {
        self.scales.get((2 * block + branch) as i64)
    }
}

fn drop_rate(block: usize, depth: i64, rate: f64) -> f64 {
    rate * block as f64 / (depth - 1).max(1) as f64
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

    #[test]
    fn the_first_block_keeps_all_and_the_last_drops_at_the_rate() {
        let ids: Vec<u64> = (0..4000).collect();
        let rng = BatchRng { seed: 0, epoch: 0, sample_ids: &ids };
        let drop_path = DropPath::sample(rng, 3, 0.2, Device::Cpu).unwrap();
        assert_eq!(drop_path.scale(0, 1).min().double_value(&[]), 1.0);
        let last = drop_path.scale(2, 0);
        let dropped = last.eq(0.0).to_kind(tch::Kind::Float).mean(tch::Kind::Float).double_value(&[]);
        // Four standard errors of a share of 0.2 among 4000.
        assert!((dropped - 0.2).abs() < 0.0253, "{dropped}");
        assert!((last.max().double_value(&[]) - 1.25).abs() < 1e-6);
    }

    #[test]
    fn no_rate_no_draws() {
        let rng = BatchRng { seed: 0, epoch: 0, sample_ids: &[1] };
        assert!(DropPath::sample(rng, 3, 0.0, Device::Cpu).is_none());
    }
}
