//! Family and sizes of a network.

pub use mimir_bundle::architecture::Family;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The shape of a network: its family and its sizes. Three colour channels, MLP ratio 4, pre-norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Architecture {
    /// Kind of encoder.
    pub family: Family,
    /// Width D of a token.
    pub width: i64,
    /// Number of blocks (self-attention blocks for CaiT).
    pub depth: i64,
    /// Attention heads; they divide the width.
    pub heads: i64,
    /// Side of the square input image in pixels.
    pub image_size: i64,
    /// Side of a square patch in pixels; it divides the image.
    pub patch_size: i64,
}

impl From<Architecture> for mimir_bundle::architecture::Architecture {
    /// As a checkpoint says it; the sizes have been checked, so they are positive.
    fn from(architecture: Architecture) -> Self {
        let Architecture { family, width, depth, heads, image_size, patch_size } = architecture;
        let [width, depth, heads, image_size, patch_size] =
            [width, depth, heads, image_size, patch_size].map(|size| usize::try_from(size).unwrap_or(0));
        Self { family, width, depth, heads, image_size, patch_size }
    }
}

/// Sizes that do not fit each other.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArchitectureError {
    /// A size is 0 or negative.
    #[error("{name} is {found}; wanted at least 1")]
    Empty {
        /// The key.
        name: &'static str,
        /// Its value.
        found: i64,
    },
    /// Patches do not tile the image.
    #[error(
        "patch_size {patch_size} does not divide image_size {image_size}; patches that fit: {}",
        divisors(*image_size)
    )]
    Patch {
        /// Side of a patch.
        patch_size: i64,
        /// Side of the image.
        image_size: i64,
    },
    /// Heads do not divide the width.
    #[error("heads {heads} does not divide width {width}; heads that fit: {}", divisors(*width))]
    Heads {
        /// Number of heads.
        heads: i64,
        /// Width of a token.
        width: i64,
    },
    /// The sine and cosine positions need a width that is a multiple of 4.
    #[error("width {width} is not a multiple of 4, which sine-cosine positions need")]
    Positions {
        /// Width of a token.
        width: i64,
    },
    /// The convolutional stem halves the image four times.
    #[error(
        "the convolutional stem needs patch_size 16 and found {patch_size}; use family vit for other patches"
    )]
    Stem {
        /// Side of a patch.
        patch_size: i64,
    },
    /// ConViT has plain attention in its last two blocks.
    #[error("a ConViT of depth {depth} has no positional block; wanted at least 3")]
    TooShallow {
        /// Number of blocks.
        depth: i64,
    },
}

/// All at least 1.
pub(super) fn check_sizes(sizes: &[(&'static str, i64)]) -> Result<(), ArchitectureError> {
    match sizes.iter().find(|(_, size)| *size < 1) {
        Some(&(name, found)) => Err(ArchitectureError::Empty { name, found }),
        None => Ok(()),
    }
}

pub(super) fn check_heads(heads: i64, width: i64) -> Result<(), ArchitectureError> {
    if width % heads != 0 { Err(ArchitectureError::Heads { heads, width }) } else { Ok(()) }
}

pub(super) fn check_positions(width: i64) -> Result<(), ArchitectureError> {
    if width % 4 != 0 { Err(ArchitectureError::Positions { width }) } else { Ok(()) }
}

fn divisors(number: i64) -> String {
    let fitting: Vec<_> = (1..=number).filter(|d| number % d == 0).map(|d| d.to_string()).collect();
    fitting.join(", ")
}

impl Architecture {
    /// Checks what every family asks of its sizes.
    ///
    /// # Errors
    /// Names the key, what was found and what would fit.
    pub fn check(&self) -> Result<(), ArchitectureError> {
        let sizes = [
            ("width", self.width),
            ("depth", self.depth),
            ("heads", self.heads),
            ("image_size", self.image_size),
            ("patch_size", self.patch_size),
        ];
        check_sizes(&sizes)?;
        let &Self { width, heads, image_size, patch_size, depth, .. } = self;
        if image_size % patch_size != 0 {
            return Err(ArchitectureError::Patch { patch_size, image_size });
        }
        check_heads(heads, width)?;
        check_positions(width)?;
        match self.family {
            Family::VitConvStem if patch_size != 16 => Err(ArchitectureError::Stem { patch_size }),
            Family::Convit if depth < 3 => Err(ArchitectureError::TooShallow { depth }),
            Family::Vit | Family::VitConvStem | Family::Convit | Family::Cait => Ok(()),
        }
    }

    /// Layer of the parameter of that name, for layer-wise learning-rate decay: 0 for patches, positions and class
    /// token, i + 1 for block i, one more than the last block for normalisation and head.
    ///
    /// CaiT's class-attention blocks share the last block's number, so that all others keep the one they have in the
    /// authors' code (which takes these for the first blocks, section 6). ConViT's class token joins late and still has
    /// 0.
    pub fn layer_id(&self, name: &str) -> usize {
        let depth = self.depth as usize;
        if let Some(block) = name.strip_prefix("blocks.").and_then(|rest| rest.split('.').next()) {
            return block.parse().map_or(depth, |block: usize| (block + 1).min(depth));
        }
        match name {
            "cls_token" | "pos_embed" => 0,
            _ if name.starts_with("patch_embed.") => 0,
            _ if name.starts_with("blocks_token_only.") => depth,
            _ => depth + 1,
        }
    }

    /// Number of layers for [`layer_id`](Self::layer_id): the blocks and two more.
    pub fn num_layers(&self) -> usize {
        self.depth as usize + 2
    }

    /// Patches along one side of the grid.
    pub fn grid_size(&self) -> i64 {
        self.image_size / self.patch_size
    }

    /// Number of patches L.
    pub fn num_patches(&self) -> i64 {
        self.grid_size() * self.grid_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_do_not_fit_are_named_with_those_that_do() {
        let fits = Architecture {
            family: Family::Vit,
            width: 192,
            depth: 12,
            heads: 3,
            image_size: 32,
            patch_size: 4,
        };
        assert_eq!(fits.check(), Ok(()));
        let cases = [
            (Architecture { patch_size: 5, ..fits }, "patches that fit: 1, 2, 4, 8, 16, 32"),
            (Architecture { heads: 5, ..fits }, "heads 5 does not divide width 192"),
            (Architecture { width: 90, heads: 3, ..fits }, "multiple of 4"),
            (Architecture { depth: 0, ..fits }, "depth is 0"),
            (Architecture { family: Family::VitConvStem, ..fits }, "patch_size 16"),
            (Architecture { family: Family::Convit, depth: 2, ..fits }, "at least 3"),
        ];
        for (architecture, wanted) in cases {
            let error = architecture.check().unwrap_err().to_string();
            assert!(error.contains(wanted), "{error} lacks {wanted}");
        }
    }

    #[test]
    fn depths_run_from_the_patches_to_the_head() {
        let vit = Architecture {
            family: Family::Vit,
            width: 192,
            depth: 12,
            heads: 3,
            image_size: 32,
            patch_size: 4,
        };
        let cait = Architecture { family: Family::Cait, depth: 24, heads: 4, ..vit };
        let cases = [
            (vit, "cls_token", 0),
            (vit, "pos_embed", 0),
            (vit, "patch_embed.proj.weight", 0),
            (vit, "blocks.0.attn.qkv.weight", 1),
            (vit, "blocks.11.mlp.fc2.bias", 12),
            (vit, "fc_norm.weight", 13),
            (vit, "head.bias", 13),
            (cait, "blocks.1.gamma_1", 2),
            (cait, "blocks_token_only.0.attn.q.weight", 24),
            (cait, "blocks_token_only.1.attn.q.weight", 24),
            (cait, "norm.weight", 25),
        ];
        for (architecture, name, layer) in cases {
            assert_eq!(architecture.layer_id(name), layer, "{name}");
        }
        assert_eq!((vit.num_layers(), cait.num_layers()), (14, 26));
    }
}
