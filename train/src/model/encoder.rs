//! What masked autoencoder and classifier ask of an encoder, and the choice of one.

use tch::{Kind, Tensor};

use crate::model::cait::Cait;
use crate::model::convit::Convit;
use crate::model::mask::Mask;
use crate::model::{Architecture, DropPath, Family, Vit};
use crate::parameters::Scope;

/// Whether a ViT's positions are a fixed table (pre-training) or trained (fine-tuning). ConViT and CaiT train theirs in
/// any case, as the authors do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// The sine-cosine table, never updated.
    Fixed,
    /// Starts as the sine-cosine table and is trained.
    Learned,
}

/// Images to tokens. N images, L patches, T of them given, width D.
pub trait Encoder: std::fmt::Debug {
    /// Patches with their positions, `[N, L, D]`, of images `[N, 3, H, W]` in `[0, 1]`. With a mask, nothing of a hidden
    /// patch reaches the token of a visible one.
    fn embed(&self, images: &Tensor, mask: Option<&Mask>) -> Tensor;

    /// Class token, then the given tokens, after the last block and before the final normalisation, `[N, 1 + T, D]`.
    /// `tokens` is `[N, T, D]`; `ids` `[N, T]` says which raster position each one has, `None` that all are there in
    /// order.
    fn encode(&self, tokens: &Tensor, ids: Option<&Tensor>, drop_path: Option<&DropPath>) -> Tensor;
}

/// Builds the encoder that `architecture` names under timm's names; sizes have been checked.
pub fn build(
    scope: &mut Scope<'_>,
    architecture: &Architecture,
    positions: Positions,
    compute: Kind,
) -> Box<dyn Encoder> {
    match architecture.family {
        Family::Vit | Family::VitConvStem => Box::new(Vit::new(scope, architecture, positions, compute)),
        Family::Convit => Box::new(Convit::new(scope, architecture, compute)),
        Family::Cait => Box::new(Cait::new(scope, architecture, compute)),
    }
}
