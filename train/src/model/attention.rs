//! Multi-head self-attention through libtorch's scaled-dot-product kernels.

use tch::{Kind, Tensor};

use crate::model::layers::Linear;
use crate::parameters::Scope;

/// Attention with a fused `qkv` and an output projection `proj`, scale head_dim^-0.5 (timm's `Attention`).
#[derive(Debug)]
pub(super) struct Attention {
    qkv: Linear,
    proj: Linear,
    heads: i64,
}

impl Attention {
    /// `heads` must divide `width`; [`Architecture::check`](crate::model::Architecture::check) has seen to it.
    pub(super) fn new(mut scope: Scope<'_>, width: i64, heads: i64, compute: Kind) -> Self {
        let init = scope.scheme().linear();
        let qkv = Linear::new(scope.child("qkv"), width, 3 * width, init, compute);
        Self::project(scope, qkv, width, heads, compute)
    }

    /// The same with no bias on `qkv`, as ConViT has it.
    pub(super) fn without_qkv_bias(mut scope: Scope<'_>, width: i64, heads: i64, compute: Kind) -> Self {
        let init = scope.scheme().linear();
        let qkv = Linear::without_bias(scope.child("qkv"), width, 3 * width, init, compute);
        Self::project(scope, qkv, width, heads, compute)
    }

    fn project(mut scope: Scope<'_>, qkv: Linear, width: i64, heads: i64, compute: Kind) -> Self {
        let init = scope.scheme().linear();
        let proj = Linear::new(scope.child("proj"), width, width, init, compute);
        Self { qkv, proj, heads }
    }

    /// `[N, T, D]` to the same shape.
    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        let (n, t, d) = (x.size()[0], x.size()[1], x.size()[2]);
        let qkv = split_heads(&self.qkv.forward(x), 3, self.heads);
        let mixed = attend(&qkv[0], &qkv[1], &qkv[2]);
        self.proj.forward(&mixed.transpose(1, 2).reshape([n, t, d]))
    }
}

/// `[N, T, parts·D]` as that many `[N, heads, T, D / heads]`, without a copy.
pub(super) fn split_heads(x: &Tensor, parts: i64, heads: i64) -> Vec<Tensor> {
    let (n, t, wide) = (x.size()[0], x.size()[1], x.size()[2]);
    let x = x.reshape([n, t, parts, heads, wide / parts / heads]);
    x.permute([2, 0, 3, 1, 4]).unbind(0)
}

/// softmax(q·kᵀ / √head_dim)·v, all `[N, heads, T, head_dim]`; the queries may be fewer.
pub(super) fn attend(q: &Tensor, k: &Tensor, v: &Tensor) -> Tensor {
    Tensor::scaled_dot_product_attention(q, k, v, None::<&Tensor>, 0.0, false, None, false)
}
