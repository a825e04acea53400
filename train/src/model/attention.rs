//! Multi-head self-attention through libtorch's scaled-dot-product kernels.

use tch::{Kind, Tensor};

use crate::model::layers::Linear;
use crate::parameters::{Init, Scope};

/// Attention with a fused `qkv` and an output projection `proj`, scale head_dim^-0.5 (timm's `Attention`).
#[derive(Debug)]
pub struct Attention {
    qkv: Linear,
    proj: Linear,
    heads: i64,
}

impl Attention {
    /// `heads` must divide `width`; [`Architecture::check`](crate::model::Architecture::check) has seen to it.
    pub fn new(mut scope: Scope<'_>, width: i64, heads: i64, compute: Kind) -> Self {
        let qkv = Linear::new(scope.child("qkv"), width, 3 * width, Init::XavierUniform, compute);
        let proj = Linear::new(scope.child("proj"), width, width, Init::XavierUniform, compute);
        Self { qkv, proj, heads }
    }

    /// `[N, T, D]` to the same shape.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let (n, t, d) = (x.size()[0], x.size()[1], x.size()[2]);
        let qkv = self.qkv.forward(x).reshape([n, t, 3, self.heads, d / self.heads]);
        let qkv = qkv.permute([2, 0, 3, 1, 4]).unbind(0); // three of [N, heads, T, D / heads]
        let mixed = Tensor::scaled_dot_product_attention(
            &qkv[0],
            &qkv[1],
            &qkv[2],
            None::<&Tensor>,
            0.0,
            false,
            None,
            false,
        );
        self.proj.forward(&mixed.transpose(1, 2).reshape([n, t, d]))
    }
}
