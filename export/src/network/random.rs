//! Random weights for any network, for benches and tests that must not depend on a file.

use std::collections::BTreeMap;

use super::Network;
use super::weights::Weights;
use crate::random::Numbers;
use crate::tensor::Tensor;

/// Standard deviation of linear weights, tokens and positions, as in the published initialisation of ViT.
const WEIGHT_DEVIATION: f32 = 0.02;

/// Factor of a branch at the start (section 2 of the CaiT paper, up to 18 blocks).
const LAYER_SCALE: f32 = 0.1;

/// Draws every tensor from `seed`, in the order of the network's list.
pub(super) fn drawn(network: &Network, seed: u64) -> Weights {
    let mut numbers = Numbers::new(seed);
    let mut tensors = BTreeMap::new();
    for (name, dims) in network.parameters() {
        let values = values(&name, &dims, &mut numbers);
        tensors.insert(name, Tensor::from_f32(&dims, &values));
    }
    Weights::drawn(tensors)
}

fn values(name: &str, dims: &[usize], numbers: &mut Numbers) -> Vec<f32> {
    let count = dims.iter().product();
    let layer = name.rsplit_once('.').map_or(name, |(layer, _)| layer);
    let is_scale = dims.len() == 1 && name.ends_with(".weight");
    if name.ends_with(".bias") {
        return vec![0.0; count];
    }
    if is_scale || name.ends_with(".gating_param") {
        return vec![1.0; count];
    }
    if name.ends_with(".gamma_1") || name.ends_with(".gamma_2") {
        return vec![LAYER_SCALE; count];
    }
    let deviation = match dims {
        [_, rest @ ..] if dims.len() == 4 => (rest.iter().product::<usize>() as f32).sqrt().recip(),
        [heads, _] if layer.ends_with(".proj_l") || layer.ends_with(".proj_w") => {
            (*heads as f32).sqrt().recip()
        }
        _ if layer.ends_with(".pos_proj") => 1.0,
        _ => WEIGHT_DEVIATION,
    };
    (0..count).map(|_| deviation * numbers.normal()).collect()
}
