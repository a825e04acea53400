//! What masked autoencoder and classifier need from an encoder.

use tch::Tensor;

use crate::model::drop_path::DropPath;
use crate::model::mask::Mask;

/// Whether the position embedding of a ViT is a fixed table (pre-training) or trained (fine-tuning). ConViT and CaiT
/// train theirs in any case, as the authors do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// The sine-cosine table, never updated.
    Fixed,
    /// Trained; starts as the sine-cosine table, or as timm's where the network follows timm's rule.
    Learned,
}

/// Images to tokens. N images, L patches, T of them given, width D.
pub trait Encoder: std::fmt::Debug {
    /// Patches with their positions, `[N, L, D]`, of images `[N, 3, H, W]` in `[0, 1]`. With a mask, nothing of a masked
    /// patch reaches the token of a visible one.
    fn embed(&self, images: &Tensor, mask: Option<&Mask>) -> Tensor;

    /// Class token, then the given tokens, after the last block and before the final normalisation, `[N, 1 + T, D]`.
    /// `tokens` is `[N, T, D]`; `ids` `[N, T]` gives the grid position of each one, `None` means all patches in
    /// order.
    fn encode(&self, tokens: &Tensor, ids: Option<&Tensor>, drop_path: Option<&DropPath>) -> Tensor;
}
