//! Vision Transformers with random weights, for benches and tests that must not depend on a file.
//!
//! The network is the plain ViT of [`network`](crate::network), with its logits from the class token.

use mimir_bundle::architecture::{Architecture, Family, Pooling};

use crate::error::Result;
use crate::graph::Graph;
use crate::network::{BuildOptions, Network, build_random};

/// Sizes of a Vision Transformer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VitConfig {
    /// Height and width of an image in pixels.
    pub image_size: usize,
    /// Height and width of a patch in pixels; divides `image_size`.
    pub patch_size: usize,
    /// Channels of an image.
    pub channels: usize,
    /// Width of a token, `D`.
    pub dim: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads, `H`; divides `dim`.
    pub heads: usize,
    /// Width of the hidden layer of each block, as a multiple of `dim`.
    pub mlp_ratio: usize,
    /// Number of classes, `K`.
    pub classes: usize,
}

impl VitConfig {
    /// ViT-T with patches of 4 on 32 × 32 images in ten classes: 65 tokens, 5.4 million parameters.
    pub const TINY_CIFAR10: Self = Self {
        image_size: 32,
        patch_size: 4,
        channels: 3,
        dim: 192,
        depth: 12,
        heads: 3,
        mlp_ratio: 4,
        classes: 10,
    };

    fn network(&self) -> Network {
        let &Self { image_size, patch_size, channels, dim, depth, heads, mlp_ratio, classes } = self;
        let architecture =
            Architecture { family: Family::Vit, width: dim, depth, heads, image_size, patch_size };
        Network { channels, mlp_ratio, ..Network::new(architecture, Pooling::ClassToken, classes) }
    }
}

/// A Vision Transformer from `images` `[N, C, S, S]` to `logits` `[N, K]`, with weights drawn from `seed`.
///
/// # Errors
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) when a size is zero or does not divide what it must.
pub fn vit(config: VitConfig, seed: u64) -> Result<Graph> {
    build_random(&config.network(), seed, &BuildOptions::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::DataType;

    const SMALL: VitConfig = VitConfig {
        image_size: 4,
        patch_size: 2,
        channels: 1,
        dim: 4,
        depth: 1,
        heads: 2,
        mlp_ratio: 2,
        classes: 3,
    };

    #[test]
    fn the_tiny_model_has_the_published_size() {
        let graph = vit(VitConfig { depth: 1, ..VitConfig::TINY_CIFAR10 }, 0).unwrap();
        let floats = graph.constants().filter(|(_, tensor)| tensor.dtype() == DataType::Float32);
        let parameters: usize =
            floats.map(|(_, tensor)| tensor.elements()).filter(|elements| *elements > 1).sum();
        // One block of 444,864 (attention 148,224, mlp 295,872, norms 768), embedding 22,080, head 2,314.
        assert_eq!(parameters, 444_864 + 22_080 + 2_314);
    }

    #[test]
    fn weights_depend_on_the_seed_alone() {
        assert_eq!(vit(SMALL, 1).unwrap(), vit(SMALL, 1).unwrap());
        assert_ne!(vit(SMALL, 1).unwrap(), vit(SMALL, 2).unwrap());
    }

    #[test]
    fn logits_follow_the_batch() {
        let graph = vit(SMALL, 0).unwrap();
        assert_eq!(graph.shape(graph.outputs()[0]).unwrap().to_string(), "[N, 3]");
    }

    #[test]
    fn sizes_must_divide() {
        let refused = |config: VitConfig| vit(config, 0).unwrap_err().to_string();
        let patch = VitConfig { patch_size: 3, ..SMALL };
        assert_eq!(refused(patch), "patch_size 3; wanted a divisor of image_size 4");
        assert_eq!(refused(VitConfig { heads: 3, ..SMALL }), "heads 3; wanted a divisor of width 4");
        assert_eq!(refused(VitConfig { dim: 0, ..SMALL }), "width 0; wanted 1 to 65536");
    }
}
