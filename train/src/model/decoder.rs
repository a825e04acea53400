//! The decoder of the masked autoencoder: small, and of the encoder's own kind of blocks.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::model::architecture::{ArchitectureError, check_heads, check_positions, check_sizes};
use crate::model::block::Block;
use crate::model::cait::{self, BlockSizes, LayerScaleBlock};
use crate::model::convit;
use crate::model::layers::{LayerNorm, Linear};
use crate::model::mask::Mask;
use crate::model::positional::{Offsets, PositionalAttention};
use crate::model::{Architecture, Family, position};
use crate::parameters::{Init, Scope};

/// The shape of the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DecoderShape {
    /// Width of a token.
    pub width: i64,
    /// Number of blocks.
    pub depth: i64,
    /// Attention heads; they divide the width.
    pub heads: i64,
}

impl From<DecoderShape> for mimir_bundle::checkpoint::DecoderSizes {
    /// As a checkpoint says it; the sizes have been checked, so they are positive.
    fn from(DecoderShape { width, depth, heads }: DecoderShape) -> Self {
        let [width, depth, heads] = [width, depth, heads].map(|size| usize::try_from(size).unwrap_or(0));
        Self { width, depth, heads }
    }
}

impl Default for DecoderShape {
    fn default() -> Self {
        Self { width: 128, depth: 2, heads: 16 }
    }
}

impl DecoderShape {
    /// Checks the sizes against each other.
    ///
    /// # Errors
    /// Names the key, what was found and what would fit.
    pub fn check(&self) -> Result<(), ArchitectureError> {
        check_sizes(&[
            ("decoder width", self.width),
            ("decoder depth", self.depth),
            ("decoder heads", self.heads),
        ])?;
        check_heads(self.heads, self.width)?;
        check_positions(self.width)
    }
}

/// Linear to the decoder's width, mask tokens, fixed positions, blocks, Linear to pixels.
#[derive(Debug)]
pub(super) struct Decoder {
    embed: Linear,
    mask_token: Tensor,
    positions: Tensor, // [1, 1 + L, D'] for plain blocks, [1, L, D'] for the others
    blocks: Blocks,
    norm: LayerNorm,
    pred: Linear,
}

/// The blocks by family, and how they treat the class token.
#[derive(Debug)]
enum Blocks {
    /// ViT's: the class token in front, with a position of its own.
    Plain(Vec<Block>),
    /// ConViT's, all positional: no class token, which has no position in the grid.
    Positional(Vec<Block<PositionalAttention>>, Offsets),
    /// CaiT's, without class attention: the class token in front, without a position.
    LayerScale(Vec<LayerScaleBlock>),
}

impl Decoder {
    pub(super) fn new(
        scope: &mut Scope<'_>,
        architecture: &Architecture,
        shape: DecoderShape,
        compute: Kind,
    ) -> Self {
        let (side, width) = (architecture.grid_size(), shape.width);
        let mask_token = scope.parameter("mask_token", &[1, 1, width], Init::Normal(0.02));
        let table = match architecture.family {
            Family::Vit | Family::VitConvStem => position::sin_cos_with_class_token(side, side, width),
            Family::Convit | Family::Cait => position::sin_cos(side, side, width),
        };
        let positions = scope.buffer("decoder_pos_embed", &table);
        let xavier = || Init::XavierUniform;
        let embed = Linear::new(scope.child("decoder_embed"), architecture.width, width, xavier(), compute);
        let blocks = Blocks::new(scope.child("decoder_blocks"), architecture, shape, compute);
        let norm = LayerNorm::new(scope.child("decoder_norm"), width);
        let pixels = architecture.patch_size * architecture.patch_size * 3;
        let pred = Linear::new(scope.child("decoder_pred"), width, pixels, xavier(), compute);
        Self { embed, mask_token, positions, blocks, norm, pred }
    }

    /// Latent `[N, 1 + L_keep, D]` to a prediction for every patch, `[N, L, patch²·3]`.
    pub(super) fn forward(&self, latent: &Tensor, mask: &Mask) -> Tensor {
        let seen = latent.size()[1] - 1;
        let x = match &self.blocks {
            Blocks::Plain(blocks) => {
                let x = self.embed.forward(latent);
                let x = with_class_token(&x, &self.unshuffle(&x.narrow(1, 1, seen), mask)) + &self.positions;
                blocks.iter().fold(x, |x, block| block.forward(&x, None, 0))
            }
            Blocks::Positional(blocks, raster) => {
                let x = self.embed.forward(&latent.narrow(1, 1, seen));
                let x = self.unshuffle(&x, mask) + &self.positions;
                let attend = |attention: &PositionalAttention, x: &Tensor| attention.forward(x, raster);
                blocks.iter().fold(x, |x, block| block.forward_with(&x, None, 0, attend))
            }
            Blocks::LayerScale(blocks) => {
                let x = self.embed.forward(latent);
                let patches = self.unshuffle(&x.narrow(1, 1, seen), mask) + &self.positions;
                let x = with_class_token(&x.to_kind(patches.kind()), &patches);
                blocks.iter().fold(x, |x, block| block.forward(&x, None, 0))
            }
        };
        let patches = mask.ids_restore.size()[1];
        let x = self.pred.forward(&self.norm.forward(&x));
        x.narrow(1, x.size()[1] - patches, patches) // without the class token
    }

    /// Visible patches `[N, L_keep, D']` to all patches in grid order, with mask tokens at masked positions.
    fn unshuffle(&self, visible: &Tensor, mask: &Mask) -> Tensor {
        let (n, seen, width) = (visible.size()[0], visible.size()[1], visible.size()[2]);
        let hidden = mask.ids_restore.size()[1] - seen;
        let mask_tokens = self.mask_token.to_kind(visible.kind()).expand([n, hidden, width], false);
        let shuffled = Tensor::cat(&[visible, &mask_tokens], 1); // [N, L, D']
        let ids = mask.ids_restore.unsqueeze(-1).expand([-1, -1, width], false);
        shuffled.gather(1, &ids, false)
    }
}

/// The first token of `x` in front of `patches`.
fn with_class_token(x: &Tensor, patches: &Tensor) -> Tensor {
    Tensor::cat(&[&x.narrow(1, 0, 1), patches], 1)
}

impl Blocks {
    fn new(mut scope: Scope<'_>, architecture: &Architecture, shape: DecoderShape, compute: Kind) -> Self {
        let DecoderShape { width, depth, heads } = shape;
        match architecture.family {
            Family::Vit | Family::VitConvStem => {
                Self::Plain((0..depth).map(|i| Block::new(scope.child(i), width, heads, compute)).collect())
            }
            Family::Convit => {
                let raster = Offsets::full_grid(architecture.grid_size(), scope.device());
                let block = |i| convit::positional_block(scope.child(i), width, heads, compute);
                Self::Positional((0..depth).map(block).collect(), raster)
            }
            Family::Cait => {
                // As in the authors' code, the decoder uses the initial value of the encoder, whatever its own depth.
                let scale = cait::layer_scale_init(architecture.depth);
                let sizes = BlockSizes { width, heads, scale, compute };
                Self::LayerScale(cait::layer_scale_blocks(scope, depth, sizes))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_do_not_fit_are_named() {
        let fits = DecoderShape::default();
        assert_eq!(fits.check(), Ok(()));
        let cases = [
            (DecoderShape { depth: 0, ..fits }, "decoder depth is 0"),
            (DecoderShape { heads: 3, ..fits }, "heads 3 does not divide width 128"),
            (DecoderShape { width: 126, heads: 1, ..fits }, "width 126 is not a multiple of 4"),
        ];
        for (shape, wanted) in cases {
            let error = shape.check().unwrap_err().to_string();
            assert!(error.contains(wanted), "{error} lacks {wanted}");
        }
    }
}
