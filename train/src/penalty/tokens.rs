//! Which tensors the penalty is computed of.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Which part of the encoder's output is z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Latent {
    /// All tokens side by side, in the order of the mask, which differs between samples: distances mix positions. The
    /// paper's choice.
    #[default]
    AllTokens,
    /// The class token.
    ClassToken,
    /// The mean of the visible patch tokens.
    MeanPool,
}

/// Which part of the adversarial image is x.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImagePart {
    /// All pixels, including those of masked patches. The paper's choice.
    #[default]
    Whole,
    /// The pixels of visible patches, with 0 for the others. Where masks differ between samples, distances see the masks.
    Visible,
}

impl Latent {
    /// z `[N, d]` of the encoder's output `[N, 1 + T, D]`, class token first: d is (1 + T)·D, or D for one token or a
    /// mean.
    pub fn rows(self, tokens: &Tensor) -> Tensor {
        match self {
            Self::AllTokens => tokens.flatten(1, -1),
            Self::ClassToken => tokens.select(1, 0),
            Self::MeanPool => {
                tokens.narrow(1, 1, tokens.size()[1] - 1).mean_dim(1, false, Kind::Float) // [N, D]
            }
        }
    }
}

impl ImagePart {
    /// x `[N, C·H·W]` of images `[N, C, H, W]`. `visible` `[N, 1, H, W]` is 1 on pixels of visible patches and 0 on
    /// masked ones (`Mask::visible_pixels`).
    pub fn rows(self, images: &Tensor, visible: &Tensor) -> Tensor {
        match self {
            Self::Whole => images.flatten(1, -1),
            Self::Visible => (images * visible).flatten(1, -1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latents_are_rows() {
        let tokens = Tensor::arange(24, (Kind::Float, tch::Device::Cpu)).reshape([2, 3, 4]);
        assert_eq!(Latent::AllTokens.rows(&tokens), tokens.reshape([2, 12]));
        let class = Tensor::from_slice(&[0f32, 1.0, 2.0, 3.0, 12.0, 13.0, 14.0, 15.0]).reshape([2, 4]);
        assert_eq!(Latent::ClassToken.rows(&tokens), class);
        // Tokens 1 and 2, so 4 and 8 before the first one's mean 6.
        assert_eq!(Latent::MeanPool.rows(&tokens), class + 6.0);
    }

    #[test]
    fn masked_pixels_become_zero() {
        let images = Tensor::arange(8, (Kind::Float, tch::Device::Cpu)).reshape([1, 2, 2, 2]) + 1.0;
        let visible = Tensor::from_slice(&[1f32, 0.0, 0.0, 1.0]).reshape([1, 1, 2, 2]);
        assert_eq!(ImagePart::Whole.rows(&images, &visible), images.reshape([1, 8]));
        let wanted = Tensor::from_slice(&[1f32, 0.0, 0.0, 4.0, 5.0, 0.0, 0.0, 8.0]).reshape([1, 8]);
        assert_eq!(ImagePart::Visible.rows(&images, &visible), wanted);
    }
}
