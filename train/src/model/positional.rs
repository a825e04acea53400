//! Gated positional self-attention (d'Ascoli et al., "ConViT", arXiv 2103.10697, eq. 5–8).
//!
//! Each head mixes two attentions: by content, softmax(q·kᵀ / √head_dim), and by position, the softmax of a linear
//! function of the offset between two patches. Both have rows that sum to 1, so their mix does too, and as attention is
//! linear in what it gathers, the two may gather on their own: content goes through libtorch's fused kernel, and the
//! positional weights, which are the same for all images while no patch is masked, are computed once for the batch.

use tch::{Device, Kind, Tensor};

use crate::model::attention::{attend, split_heads};
use crate::model::layers::Linear;
use crate::parameters::{Init, Scope};

/// Offsets (dx, dy, dx² + dy²) from patch i to patch j in units of patches, `[3, M, T, T]` float32, where M is the number
/// of images or 1 if they all have the same patches.
#[derive(Debug)]
pub(super) struct Offsets(Tensor);

impl Offsets {
    /// Between all patches of a `side` × `side` grid, in row-major order.
    pub(super) fn full_grid(side: i64, device: Device) -> Self {
        Self::between(&Tensor::arange(side * side, (Kind::Int64, device)).unsqueeze(0), side)
    }

    /// Between the patches with grid indices `ids`, `[M, T]` int64.
    pub(super) fn between(ids: &Tensor, side: i64) -> Self {
        let difference = |place: &Tensor| place.unsqueeze(1) - place.unsqueeze(2); // [M, T (from), T (to)]
        let row = ids.floor_divide_scalar(side);
        let dx = difference(&(ids - &row * side)).to_kind(Kind::Float);
        let dy = difference(&row).to_kind(Kind::Float);
        Self(Tensor::stack(&[&dx, &dy, &(dx.square() + dy.square())], 0))
    }
}

/// ConViT's `GPSA`, with no bias on `qk` and `v`.
#[derive(Debug)]
pub(super) struct PositionalAttention {
    gate: Tensor, // [heads], the share of position is its sigmoid
    qk: Linear,
    v: Linear,
    proj: Linear,
    position_weight: Tensor, // [heads, 3]
    position_bias: Tensor,   // [heads]
    heads: i64,
}

impl PositionalAttention {
    /// Initialised as a convolution: each head attends to one neighbour, with the identity as value projection.
    pub(super) fn new(mut scope: Scope<'_>, width: i64, heads: i64, compute: Kind) -> Self {
        let gate = scope.parameter("gating_param", &[heads], Init::Ones);
        let scheme = scope.scheme();
        let qk = Linear::without_bias(scope.child("qk"), width, 2 * width, scheme.linear(), compute);
        let identity = Init::Value(Tensor::eye(width, (Kind::Float, Device::Cpu)));
        let v = Linear::without_bias(scope.child("v"), width, width, identity, compute);
        let proj = Linear::new(scope.child("proj"), width, width, scheme.linear(), compute);
        let mut pos_proj = scope.child("pos_proj");
        let position_weight = pos_proj.parameter("weight", &[heads, 3], Init::Value(local_init(heads)));
        let position_bias = pos_proj.parameter("bias", &[heads], Init::Zeros);
        Self { gate, qk, v, proj, position_weight, position_bias, heads }
    }

    /// `[N, T, D]` to the same shape.
    pub(super) fn forward(&self, x: &Tensor, offsets: &Offsets) -> Tensor {
        let (n, t, d) = (x.size()[0], x.size()[1], x.size()[2]);
        let qk = split_heads(&self.qk.forward(x), 2, self.heads);
        let v = self.v.forward(x).reshape([n, t, self.heads, d / self.heads]);
        let by_content = attend(&qk[0], &qk[1], &v.transpose(1, 2)).transpose(1, 2);
        let by_position = gather(&self.positional_weights(offsets).to_kind(v.kind()), &v);
        let gate = self.gate.sigmoid().to_kind(v.kind()).unsqueeze(-1); // [heads, 1]
        self.proj.forward(&by_content.lerp_tensor(&by_position, &gate).reshape([n, t, d]))
    }

    /// softmax of `pos_proj`, `[heads, M, T, T]` float32: squared distances have too many digits for bfloat16.
    fn positional_weights(&self, Offsets(offsets): &Offsets) -> Tensor {
        let size = offsets.size();
        let scores = self.position_bias.unsqueeze(1).addmm(&self.position_weight, &offsets.reshape([3, -1]));
        scores.reshape([self.heads, size[1], size[2], size[3]]).softmax(-1, None)
    }
}

/// Weights `[heads, M, T, T]` times values `[N, T, heads, head_dim]`, in the shape of the values.
fn gather(weights: &Tensor, v: &Tensor) -> Tensor {
    let (n, t, heads, head_dim) = (v.size()[0], v.size()[1], v.size()[2], v.size()[3]);
    if weights.size()[1] == 1 {
        let values = v.permute([2, 1, 0, 3]).reshape([heads, t, n * head_dim]);
        let mixed = weights.squeeze_dim(1).bmm(&values); // [heads, T, N·head_dim]
        mixed.reshape([heads, t, n, head_dim]).permute([2, 1, 0, 3])
    } else {
        let values = v.permute([2, 0, 1, 3]).reshape([heads * n, t, head_dim]);
        let mixed = weights.reshape([heads * n, t, t]).bmm(&values);
        mixed.reshape([heads, n, t, head_dim]).permute([1, 2, 0, 3])
    }
}

/// Weights with which head h1 + k·h2 attends mostly to the patch at (h2 − c, h1 − c) from its own, c the middle of a
/// k × k neighbourhood: the score is minus the squared distance from there (locality strength 1). Heads beyond k² start
/// at 0 and look everywhere alike.
fn local_init(heads: i64) -> Tensor {
    let k = (1..=heads).take_while(|k| k * k <= heads).last().unwrap_or(1);
    let centre = (k - 1) as f32 / 2.0;
    let row = |head: i64| match head < k * k {
        true => [2.0 * ((head / k) as f32 - centre), 2.0 * ((head % k) as f32 - centre), -1.0],
        false => [0.0; 3],
    };
    let weights: Vec<f32> = (0..heads).flat_map(row).collect();
    Tensor::from_slice(&weights).reshape([heads, 3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_point_from_a_patch_to_another() {
        // Of a grid three wide, patch 5 (row 1, column 2) and patch 6 (row 2, column 0).
        let Offsets(offsets) = Offsets::between(&Tensor::from_slice(&[5i64, 6]).unsqueeze(0), 3);
        assert_eq!(offsets.size(), [3, 1, 2, 2]);
        let from_5_to_6: Vec<f64> = (0..3).map(|i| offsets.double_value(&[i, 0, 0, 1])).collect();
        assert_eq!(from_5_to_6, [-2.0, 1.0, 5.0]);
    }

    #[test]
    fn nine_heads_start_on_the_nine_neighbours() {
        let mut weights = Vec::<f32>::try_from(local_init(9).flatten(0, 1)).unwrap();
        let last = weights.split_off(24);
        assert_eq!(last, [2.0, 2.0, -1.0]);
        assert_eq!(weights[..6], [-2.0, -2.0, -1.0, -2.0, 0.0, -1.0]);
        assert_eq!(local_init(4).double_value(&[2, 0]), 1.0);
        assert_eq!(local_init(5).get(4), Tensor::zeros([3], (Kind::Float, Device::Cpu)));
    }
}
