//! ConViT (d'Ascoli et al., arXiv 2103.10697; timm `convit.py`).
//!
//! All blocks but the last two have positional attention over the patches; the class token joins before the last two,
//! which have plain attention. In pre-training each visible patch keeps its true position in the grid. (The authors of
//! MIMIR number the visible patches as if they were a smaller grid, so that offsets are meaningless.) `qk`, `v` and `qkv`
//! have no bias, as in timm, in pre-training too, so that fine-tuning takes over every tensor.

use tch::{Kind, Tensor};

use crate::model::attention::Attention;
use crate::model::block::Block;
use crate::model::encoder::Encoder;
use crate::model::mask::Mask;
use crate::model::patch_embed::PatchEmbed;
use crate::model::positional::{Offsets, PositionalAttention};
use crate::model::{Architecture, DropPath, position};
use crate::parameters::Scope;

/// Blocks at the end with plain attention.
const PLAIN_BLOCKS: i64 = 2;

/// Patches, positions, positional blocks, class token, plain blocks.
#[derive(Debug)]
pub(super) struct Convit {
    patch_embed: PatchEmbed,
    class_token: Tensor,
    positions: Tensor, // [1, L, D]
    positional_blocks: Vec<Block<PositionalAttention>>,
    plain_blocks: Vec<Block>,
    raster: Offsets,
    side: i64,
}

impl Convit {
    /// Under `cls_token`, `pos_embed`, `patch_embed.proj` and `blocks.N`. Positions are trained in pre-training too; the
    /// class token has none.
    pub(super) fn new(scope: &mut Scope<'_>, architecture: &Architecture, compute: Kind) -> Self {
        let &Architecture { width, depth, heads, .. } = architecture;
        let side = architecture.grid_size();
        let scheme = scope.scheme();
        let class_token = scope.parameter("cls_token", &[1, 1, width], scheme.late_class_token());
        let table = position::sin_cos(side, side, width);
        let positions = scope.parameter("pos_embed", &table.size(), scheme.positions(table));
        let patch_embed = PatchEmbed::new(scope, architecture, compute);
        let mut blocks = scope.child("blocks");
        let first_plain = depth - PLAIN_BLOCKS;
        let positional_blocks =
            (0..first_plain).map(|i| positional_block(blocks.child(i), width, heads, compute)).collect();
        let plain_blocks =
            (first_plain..depth).map(|i| plain_block(blocks.child(i), width, heads, compute)).collect();
        let raster = Offsets::full_grid(side, scope.device());
        Self { patch_embed, class_token, positions, positional_blocks, plain_blocks, raster, side }
    }
}

/// A block with positional attention.
pub(super) fn positional_block(
    scope: Scope<'_>,
    width: i64,
    heads: i64,
    compute: Kind,
) -> Block<PositionalAttention> {
    Block::with_attention(scope, width, compute, |scope| {
        PositionalAttention::new(scope, width, heads, compute)
    })
}

fn plain_block(scope: Scope<'_>, width: i64, heads: i64, compute: Kind) -> Block {
    Block::with_attention(scope, width, compute, |scope| {
        Attention::without_qkv_bias(scope, width, heads, compute)
    })
}

impl Encoder for Convit {
    fn embed(&self, images: &Tensor, mask: Option<&Mask>) -> Tensor {
        &self.positions + self.patch_embed.forward(images, mask)
    }

    fn encode(&self, tokens: &Tensor, ids: Option<&Tensor>, drop_path: Option<&DropPath>) -> Tensor {
        let masked_offsets = ids.map(|ids| Offsets::between(ids, self.side));
        let offsets = masked_offsets.as_ref().unwrap_or(&self.raster);
        let mut x = tokens.shallow_clone();
        for (i, block) in self.positional_blocks.iter().enumerate() {
            x = block.forward_with(&x, drop_path, i, |attention, x| attention.forward(x, offsets));
        }
        let class_token = self.class_token.expand([tokens.size()[0], -1, -1], false);
        x = Tensor::cat(&[&class_token, &x], 1); // [N, 1 + T, D]
        for (i, block) in self.plain_blocks.iter().enumerate() {
            x = block.forward(&x, drop_path, self.positional_blocks.len() + i);
        }
        x
    }
}
