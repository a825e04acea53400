//! The masked autoencoder: an encoder of the visible patches and a small decoder that reconstructs all patches.
//!
//! Names and sizes are MAE's (`models_mae.py`); the decoder of every model in the paper has 2 blocks of width 128 with 16
//! heads (table 8).

use tch::{Kind, Tensor};

use crate::model::Architecture;
use crate::model::build::build_encoder;
use crate::model::decoder::{Decoder, DecoderShape};
use crate::model::encoder::{Encoder, Positions};
use crate::model::layers::LayerNorm;
use crate::model::mask::Mask;
use crate::model::patches::patchify;
use crate::parameters::Scope;

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
        let encoder = build_encoder(scope, architecture, Positions::Fixed, compute);
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

    /// The reconstruction target of `images`: patches normalised by their own mean and variance,
    /// `[N, L, patch²·3]` (MAE, `norm_pix_loss`).
    pub fn target(&self, images: &Tensor) -> Tensor {
        normalise_patches(&patchify(images, self.patch_size))
    }
}

/// Reconstruction error of the masked patches: squared error averaged inside each patch, then over the masked patches of
/// all images; a scalar.
pub fn reconstruction_loss(prediction: &Tensor, target: &Tensor, mask: &Mask) -> Tensor {
    let error = (prediction.to_kind(Kind::Float) - target).square();
    let error = error.mean_dim(-1, false, Kind::Float); // [N, L]
    (error * &mask.masked).sum(Kind::Float) / mask.masked.sum(Kind::Float)
}

/// `(t − mean) / √(var + 1e-6)` with the unbiased variance over the last axis. A patch of one value has variance 0.
fn normalise_patches(patches: &Tensor) -> Tensor {
    let mean = patches.mean_dim(-1, true, Kind::Float);
    let variance = patches.var_dim(-1, true, true);
    (patches - mean) / (variance + 1e-6).sqrt()
}
