//! The pre-norm block around any kind of attention.

use tch::{Kind, Tensor};

use crate::model::attention::Attention;
use crate::model::drop_path::{self, DropPath};
use crate::model::layers::{LayerNorm, Mlp};
use crate::parameters::Scope;

/// `x + attn(norm1(x))`, then `x + mlp(norm2(x))`.
#[derive(Debug)]
pub(super) struct Block<A = Attention> {
    norm1: LayerNorm,
    attn: A,
    norm2: LayerNorm,
    mlp: Mlp,
}

impl<A> Block<A> {
    /// Under `norm1`, `attn` (which `attention` builds), `norm2` and `mlp`.
    pub(super) fn with_attention(
        mut scope: Scope<'_>,
        width: i64,
        compute: Kind,
        attention: impl FnOnce(Scope<'_>) -> A,
    ) -> Self {
        Self {
            norm1: LayerNorm::new(scope.child("norm1"), width),
            attn: attention(scope.child("attn")),
            norm2: LayerNorm::new(scope.child("norm2"), width),
            mlp: Mlp::new(scope.child("mlp"), width, 4 * width, compute),
        }
    }

    /// `[N, T, D]` to the same shape; `attend` runs the attention on the normalised tokens, `index` is the block's place
    /// for stochastic depth.
    pub(super) fn forward_with(
        &self,
        x: &Tensor,
        drop_path: Option<&DropPath>,
        index: usize,
        attend: impl FnOnce(&A, &Tensor) -> Tensor,
    ) -> Tensor {
        let x = drop_path::add(x, &attend(&self.attn, &self.norm1.forward(x)), drop_path, index, 0);
        drop_path::add(&x, &self.mlp.forward(&self.norm2.forward(&x)), drop_path, index, 1)
    }
}

impl Block {
    /// With plain attention.
    pub(super) fn new(scope: Scope<'_>, width: i64, heads: i64, compute: Kind) -> Self {
        Self::with_attention(scope, width, compute, |scope| Attention::new(scope, width, heads, compute))
    }

    /// `[N, T, D]` to the same shape.
    pub(super) fn forward(&self, x: &Tensor, drop_path: Option<&DropPath>, index: usize) -> Tensor {
        self.forward_with(x, drop_path, index, Attention::forward)
    }
}
