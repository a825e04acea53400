//! The convolutional stem of Singh et al. (arXiv 2303.01870), under the names of their code: `patch_embed.proj.stem.N`,
//! N counting convolutions, normalisations and activations alike.
//!
//! Its receptive field of 31 pixels is wider than a patch of 16, so in pre-training visible tokens would read masked
//! pixels (as they do in the authors' code). With a mask, masked pixels are therefore set to 0, and so is the masked
//! part of the output of every stage: a masked patch looks like zero padding to its neighbours.

use tch::{Kind, Tensor};

use crate::model::layers::{Conv2d, ConvGeometry, LayerNorm};
use crate::model::{Architecture, Mask};
use crate::parameters::{Init, Scope};

/// Output channels of the four stages, each of which halves the image.
const CHANNELS: [i64; 4] = [48, 96, 192, 384];

/// Four times convolution 3×3 of stride 2, normalisation over channels, GELU; then a convolution 1×1 to the width.
#[derive(Debug)]
pub(super) struct ConvStem {
    stages: Vec<(Conv2d, LayerNorm)>,
    project: Conv2d,
    side: i64,
    patch_size: i64,
}

impl ConvStem {
    /// Initialised as PyTorch initialises convolutions, because the authors insert the stem after MAE's initialisation.
    pub(super) fn new(mut scope: Scope<'_>, architecture: &Architecture, compute: Kind) -> Self {
        let mut scope = scope.child("stem");
        let mut input = 3;
        let mut stages = Vec::new();
        for (stage, output) in CHANNELS.into_iter().enumerate() {
            let geometry = ConvGeometry { kernel: 3, stride: 2, padding: 1 };
            let convolution = convolution(scope.child(3 * stage), input, output, geometry, compute);
            stages.push((convolution, LayerNorm::new(scope.child(3 * stage + 1), output)));
            input = output;
        }
        let geometry = ConvGeometry { kernel: 1, stride: 1, padding: 0 };
        let project =
            convolution(scope.child(3 * CHANNELS.len()), input, architecture.width, geometry, compute);
        Self { stages, project, side: architecture.grid_size(), patch_size: architecture.patch_size }
    }

    /// Images `[N, 3, H, W]` to `[N, D, H / 16, W / 16]`.
    pub(super) fn forward(&self, images: &Tensor, mask: Option<&Mask>) -> Tensor {
        let mut patch = self.patch_size;
        // The channels lie innermost in memory from here on: convolutions are as fast and normalisation needs no copy.
        let mut x =
            self.mask_patches(images, mask, patch).permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
        for (convolution, norm) in &self.stages {
            let pixels = convolution.forward(&x).permute([0, 2, 3, 1]); // [N, H', W', C]
            x = norm.forward(&pixels).gelu("none").permute([0, 3, 1, 2]);
            patch /= 2;
            x = self.mask_patches(&x, mask, patch);
        }
        self.project.forward(&x)
    }

    /// Sets masked patches of `patch` × `patch` values to 0.
    fn mask_patches(&self, x: &Tensor, mask: Option<&Mask>, patch: i64) -> Tensor {
        match mask {
            None => x.shallow_clone(),
            Some(mask) => x * mask.visible_pixels(self.side, self.side, patch),
        }
    }
}

fn convolution(scope: Scope<'_>, input: i64, output: i64, geometry: ConvGeometry, compute: Kind) -> Conv2d {
    let bound = 1.0 / ((input * geometry.kernel * geometry.kernel) as f64).sqrt();
    Conv2d::new(scope, input, output, geometry, Init::Uniform { bound }, Init::Uniform { bound }, compute)
}
