//! The masked autoencoder: an encoder that sees some patches, a small decoder that draws all of them.
//!
//! Names and sizes are MAE's (`models_mae.py`); the decoder of every model in the paper has 2 blocks of width 128 with 16
//! heads (table 8).

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::model::encoder::{self, Encoder, Positions};
use crate::model::layers::{LayerNorm, Linear};
use crate::model::mask::Mask;
use crate::model::patches::patchify;
use crate::model::vit::Block;
use crate::model::{Architecture, position};
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

impl Default for DecoderShape {
    fn default() -> Self {
        Self { width: 128, depth: 2, heads: 16 }
    }
}

/// Encoder, final normalisation and decoder.
#[derive(Debug)]
pub struct MaskedAutoencoder {
    encoder: Box<dyn Encoder>,
    norm: LayerNorm,
    decoder: Decoder,
    patch_size: i64,
}

impl MaskedAutoencoder {
    /// Under MAE's names; sizes have been checked.
    pub fn new(
        scope: &mut Scope<'_>,
        architecture: &Architecture,
        decoder: DecoderShape,
        compute: Kind,
    ) -> Self {
        let encoder = encoder::build(scope, architecture, Positions::Fixed, compute);
        let norm = LayerNorm::new(scope.child("norm"), architecture.width);
        let decoder = Decoder::new(scope, architecture, decoder, compute);
        Self { encoder, norm, decoder, patch_size: architecture.patch_size }
    }

    /// Latent z of images `[N, 3, H, W]`: class token and visible patches after the final normalisation,
    /// `[N, 1 + L_keep, D]` (eq. 4).
    pub fn encode(&self, images: &Tensor, mask: &Mask) -> Tensor {
        let visible = mask.visible(&self.encoder.embed(images, Some(mask)));
        self.norm.forward(&self.encoder.encode(&visible, Some(&mask.ids_keep), None))
    }

    /// Prediction for every patch, `[N, L, patch²·3]`, from [`encode`](Self::encode)'s latent.
    pub fn decode(&self, latent: &Tensor, mask: &Mask) -> Tensor {
        self.decoder.forward(latent, mask)
    }

    /// What the decoder is to draw for `images`: patches normalised by their own mean and variance,
    /// `[N, L, patch²·3]` (MAE, `norm_pix_loss`).
    pub fn target(&self, images: &Tensor) -> Tensor {
        normalise_patches(&patchify(images, self.patch_size))
    }
}

/// Squared error averaged inside each patch and then over the hidden patches of all images, a scalar.
pub fn reconstruction_loss(prediction: &Tensor, target: &Tensor, mask: &Mask) -> Tensor {
    let error = (prediction.to_kind(Kind::Float) - target).square();
    let error = error.mean_dim(-1, false, Kind::Float); // [N, L]
    (error * &mask.hidden).sum(Kind::Float) / mask.hidden.sum(Kind::Float)
}

/// `(t − mean) / √(var + 1e-6)` with the unbiased variance over the last axis. A patch of one value has variance 0.
fn normalise_patches(patches: &Tensor) -> Tensor {
    let mean = patches.mean_dim(-1, true, Kind::Float);
    let variance = patches.var_dim(-1, true, true);
    (patches - mean) / (variance + 1e-6).sqrt()
}

/// Linear to the decoder's width, mask tokens, fixed positions, blocks, Linear to pixels.
#[derive(Debug)]
struct Decoder {
    embed: Linear,
    mask_token: Tensor,
    positions: Tensor, // [1, 1 + L, D']
    blocks: Vec<Block>,
    norm: LayerNorm,
    pred: Linear,
}

impl Decoder {
    fn new(scope: &mut Scope<'_>, architecture: &Architecture, shape: DecoderShape, compute: Kind) -> Self {
        let (side, width) = (architecture.side(), shape.width);
        let mask_token = scope.parameter("mask_token", &[1, 1, width], Init::Normal(0.02));
        let positions =
            scope.table("decoder_pos_embed", &position::sin_cos_with_class_token(side, side, width));
        let xavier = || Init::XavierUniform;
        let embed = Linear::new(scope.child("decoder_embed"), architecture.width, width, xavier(), compute);
        let blocks = (0..shape.depth)
            .map(|i| Block::new(scope.child("decoder_blocks").child(i), width, shape.heads, compute))
            .collect();
        let norm = LayerNorm::new(scope.child("decoder_norm"), width);
        let pixels = architecture.patch_size * architecture.patch_size * 3;
        let pred = Linear::new(scope.child("decoder_pred"), width, pixels, xavier(), compute);
        Self { embed, mask_token, positions, blocks, norm, pred }
    }

    fn forward(&self, latent: &Tensor, mask: &Mask) -> Tensor {
        let mut x = self.unshuffle(&self.embed.forward(latent), mask) + &self.positions;
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.forward(&x, None, i);
        }
        let x = self.pred.forward(&self.norm.forward(&x));
        x.narrow(1, 1, x.size()[1] - 1) // without the class token
    }

    /// Class token in front, then all patches in raster order, mask tokens where nothing was seen.
    fn unshuffle(&self, x: &Tensor, mask: &Mask) -> Tensor {
        let (n, seen, width) = (x.size()[0], x.size()[1] - 1, x.size()[2]);
        let hidden = mask.ids_restore.size()[1] - seen;
        let mask_tokens = self.mask_token.expand([n, hidden, width], false);
        let shuffled = Tensor::cat(&[x.narrow(1, 1, seen), mask_tokens.to_kind(x.kind())], 1); // [N, L, D']
        let ids = mask.ids_restore.unsqueeze(-1).expand([-1, -1, width], false);
        Tensor::cat(&[&x.narrow(1, 0, 1), &shuffled.gather(1, &ids, false)], 1)
    }
}
