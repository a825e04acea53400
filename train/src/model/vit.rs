//! The vision transformer (timm `vision_transformer.py`; MAE `models_mae.py`).

use tch::{Kind, Tensor};

use crate::model::block::Block;
use crate::model::drop_path::DropPath;
use crate::model::encoder::{Encoder, Positions};
use crate::model::mask::Mask;
use crate::model::patch_embed::PatchEmbed;
use crate::model::{Architecture, position};
use crate::parameters::Scope;

/// Patches, class token, positions and pre-norm blocks.
#[derive(Debug)]
pub struct Vit {
    patch_embed: PatchEmbed,
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
        let &Architecture { width, depth, heads, .. } = architecture;
        let init = scope.scheme().class_token();
        let class_token = scope.parameter("cls_token", &[1, 1, width], init);
        let positions = position_table(scope, architecture, positions);
        let patch_embed = PatchEmbed::new(scope, architecture, compute);
        let blocks =
            (0..depth).map(|i| Block::new(scope.child("blocks").child(i), width, heads, compute)).collect();
        Self { patch_embed, class_token, positions, blocks }
    }
}

fn position_table(scope: &mut Scope<'_>, architecture: &Architecture, positions: Positions) -> Tensor {
    let side = architecture.grid_size();
    let table = position::sin_cos_with_class_token(side, side, architecture.width);
    match positions {
        Positions::Fixed => scope.buffer("pos_embed", &table),
        Positions::Learned => {
            let init = scope.scheme().positions(table.shallow_clone());
            scope.parameter("pos_embed", &table.size(), init)
        }
    }
}

impl Encoder for Vit {
    fn embed(&self, images: &Tensor, mask: Option<&Mask>) -> Tensor {
        self.positions.narrow(1, 1, self.positions.size()[1] - 1) + self.patch_embed.forward(images, mask)
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
