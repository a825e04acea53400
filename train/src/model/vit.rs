//! The vision transformer (timm `vision_transformer.py`; MAE `models_mae.py`).

use tch::{Kind, Tensor};

use crate::model::attention::Attention;
use crate::model::drop_path::{self, DropPath};
use crate::model::encoder::{Encoder, Positions};
use crate::model::layers::{Conv2d, LayerNorm, Mlp};
use crate::model::mask::Mask;
use crate::model::{Architecture, position};
use crate::parameters::{Init, Scope};

/// Patch convolution, class token, positions and pre-norm blocks.
#[derive(Debug)]
pub struct Vit {
    patch_embed: Conv2d,
    class_token: Tensor,
    positions: Tensor, // [1, 1 + L, D]
    blocks: Vec<Block>,
}

impl Vit {
    /// Under `cls_token`, `pos_embed`, `patch_embed.proj` and `blocks.N`.
    pub fn new(
        scope: &mut Scope<'_>,
        architecture: &Architecture,
        positions: Positions,
        compute: Kind,
    ) -> Self {
        let &Architecture { width, depth, heads, patch_size, .. } = architecture;
        let class_token = scope.parameter("cls_token", &[1, 1, width], Init::Normal(0.02));
        let positions = position_table(scope, architecture, positions);
        let patch_embed =
            Conv2d::patches(scope.child("patch_embed").child("proj"), 3, width, patch_size, compute);
        let blocks =
            (0..depth).map(|i| Block::new(scope.child("blocks").child(i), width, heads, compute)).collect();
        Self { patch_embed, class_token, positions, blocks }
    }
}

fn position_table(scope: &mut Scope<'_>, architecture: &Architecture, positions: Positions) -> Tensor {
    let side = architecture.side();
    let table = position::sin_cos_with_class_token(side, side, architecture.width);
    match positions {
        Positions::Fixed => scope.table("pos_embed", &table),
        Positions::Learned => scope.parameter("pos_embed", &table.size(), Init::Value(table)),
    }
}

impl Encoder for Vit {
    // A patch convolution sees its own patch only, so a mask changes nothing here.
    fn embed(&self, images: &Tensor, _mask: Option<&Mask>) -> Tensor {
        let patches = self.patch_embed.forward(images).flatten(2, 3).transpose(1, 2); // [N, L, D]
        patches + self.positions.narrow(1, 1, self.positions.size()[1] - 1)
    }

    fn encode(&self, tokens: &Tensor, _ids: Option<&Tensor>, drop_path: Option<&DropPath>) -> Tensor {
        let class_token = &self.class_token + self.positions.narrow(1, 0, 1);
        let class_token = class_token.expand([tokens.size()[0], -1, -1], false);
        let mut x = Tensor::cat(&[&class_token, tokens], 1); // [N, 1 + T, D]
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.forward(&x, drop_path, i);
        }
        x
    }
}

/// `x + attn(norm1(x))`, then `x + mlp(norm2(x))`.
#[derive(Debug)]
pub struct Block {
    norm1: LayerNorm,
    attn: Attention,
    norm2: LayerNorm,
    mlp: Mlp,
}

impl Block {
    /// Under `norm1`, `attn`, `norm2` and `mlp`.
    pub fn new(mut scope: Scope<'_>, width: i64, heads: i64, compute: Kind) -> Self {
        Self {
            norm1: LayerNorm::new(scope.child("norm1"), width),
            attn: Attention::new(scope.child("attn"), width, heads, compute),
            norm2: LayerNorm::new(scope.child("norm2"), width),
            mlp: Mlp::new(scope.child("mlp"), width, 4 * width, compute),
        }
    }

    /// `[N, T, D]` to the same shape; `index` is the block's place for stochastic depth.
    pub fn forward(&self, x: &Tensor, drop_path: Option<&DropPath>, index: usize) -> Tensor {
        let x = drop_path::add(x, &self.attn.forward(&self.norm1.forward(x)), drop_path, index, 0);
        drop_path::add(&x, &self.mlp.forward(&self.norm2.forward(&x)), drop_path, index, 1)
    }
}
