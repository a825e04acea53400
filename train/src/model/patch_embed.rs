//! From pixels to one token for each patch.

use tch::{Kind, Tensor};

use crate::model::conv_stem::ConvStem;
use crate::model::layers::Conv2d;
use crate::model::{Architecture, Family, Mask};
use crate::parameters::Scope;

/// Under `patch_embed.proj`.
#[derive(Debug)]
pub(super) enum PatchEmbed {
    /// One convolution that reads each patch by itself.
    Patches(Conv2d),
    /// Four strided convolutions.
    Stem(ConvStem),
}

impl PatchEmbed {
    pub(super) fn new(scope: &mut Scope<'_>, architecture: &Architecture, compute: Kind) -> Self {
        let &Architecture { width, patch_size, .. } = architecture;
        let mut scope = scope.child("patch_embed");
        match architecture.family {
            Family::VitConvStem => Self::Stem(ConvStem::new(scope.child("proj"), architecture, compute)),
            Family::Vit | Family::Convit | Family::Cait => {
                Self::Patches(Conv2d::patches(scope.child("proj"), 3, width, patch_size, compute))
            }
        }
    }

    /// Images `[N, 3, H, W]` to tokens in grid order, `[N, L, D]`. With a mask, nothing of a masked patch reaches the
    /// token of a visible one. The channels do not lie together in memory; added as the second summand to positions,
    /// whose channels do, they come to.
    pub(super) fn forward(&self, images: &Tensor, mask: Option<&Mask>) -> Tensor {
        let patches = match self {
            // Sees its own patch only, so a mask changes nothing.
            Self::Patches(convolution) => convolution.forward(images),
            Self::Stem(stem) => stem.forward(images, mask),
        };
        patches.flatten(2, 3).transpose(1, 2)
    }
}
