//! Family and sizes of a network that `mimir-train` trains and `mimir-export` builds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most blocks of a network, so that a number in a foreign file cannot ask for a graph without end.
const MOST_BLOCKS: usize = 512;

/// Largest value of any other size.
const LARGEST: usize = 1 << 16;

/// Blocks of a ConViT with plain attention, after those with positions.
pub const CONVIT_PLAIN_BLOCKS: usize = 2;

/// A kind of encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Vision transformer with a patch convolution.
    Vit,
    /// Vision transformer behind four strided convolutions.
    VitConvStem,
    /// ConViT: gated positional self-attention in all blocks but the last two.
    Convit,
    /// CaiT: talking heads, LayerScale, two class-attention layers at the end.
    Cait,
}

impl Family {
    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vit => "vit",
            Self::VitConvStem => "vit_conv_stem",
            Self::Convit => "convit",
            Self::Cait => "cait",
        }
    }

    /// Pooling of the MIMIR authors' fine-tuning, where an experiment does not say another.
    pub fn pooling(self) -> Pooling {
        match self {
            Self::Vit | Self::VitConvStem => Pooling::Mean,
            Self::Convit | Self::Cait => Pooling::ClassToken,
        }
    }

    /// Rows of the position table that no patch has: one for the class token of a ViT.
    pub fn prefix_tokens(self) -> usize {
        match self {
            Self::Vit | Self::VitConvStem => 1,
            Self::Convit | Self::Cait => 0,
        }
    }
}

/// What stands between the last block and the linear head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The mean of the patch tokens, then `fc_norm`; the encoder's own final `norm` is not used.
    Mean,
    /// The class token after the encoder's final `norm`.
    ClassToken,
}

/// The shape of a network: its family and its sizes. Three colour channels, MLP ratio 4, pre-norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Kind of encoder.
    pub family: Family,
    /// Width D of a token.
    pub width: usize,
    /// Number of blocks (self-attention blocks for CaiT).
    pub depth: usize,
    /// Attention heads; they divide the width.
    pub heads: usize,
    /// Side of the square input image in pixels.
    pub image_size: usize,
    /// Side of a square patch in pixels; it divides the image.
    pub patch_size: usize,
}

/// Sizes that do not fit each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} {found}; wanted {wanted}")]
pub struct InvalidArchitecture {
    /// The key.
    pub key: &'static str,
    /// Its value.
    pub found: usize,
    /// What would fit.
    pub wanted: String,
}

impl Architecture {
    /// Checks what every family asks of its sizes.
    ///
    /// # Errors
    /// Names the key, what was found and what would fit.
    pub fn check(&self) -> Result<(), InvalidArchitecture> {
        let &Self { family, width, depth, heads, image_size, patch_size } = self;
        let invalid = |key, found, wanted: String| Err(InvalidArchitecture { key, found, wanted });
        let sizes = [
            ("width", width, LARGEST),
            ("depth", depth, MOST_BLOCKS),
            ("heads", heads, LARGEST),
            ("image_size", image_size, LARGEST),
            ("patch_size", patch_size, LARGEST),
        ];
        if let Some(&(key, found, most)) = sizes.iter().find(|(_, size, most)| !(1..=*most).contains(size)) {
            return invalid(key, found, format!("1 to {most}"));
        }
        if !image_size.is_multiple_of(patch_size) {
            return invalid("patch_size", patch_size, format!("a divisor of image_size {image_size}"));
        }
        if !width.is_multiple_of(heads) {
            return invalid("heads", heads, format!("a divisor of width {width}"));
        }
        match family {
            Family::VitConvStem if patch_size != 16 => {
                invalid("patch_size", patch_size, "16, which the convolutional stem has".to_owned())
            }
            Family::Convit if depth <= CONVIT_PLAIN_BLOCKS => {
                invalid("depth", depth, "at least 3 blocks of a ConViT".to_owned())
            }
            Family::Vit | Family::VitConvStem | Family::Convit | Family::Cait => Ok(()),
        }
    }

    /// Patches along one side of the image.
    pub fn grid(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// Number of patches L.
    pub fn patches(&self) -> usize {
        self.grid() * self.grid()
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
            (Architecture { patch_size: 5, ..fits }, "patch_size 5; wanted a divisor of image_size 32"),
            (Architecture { heads: 5, ..fits }, "heads 5; wanted a divisor of width 192"),
            (Architecture { depth: 0, ..fits }, "depth 0; wanted 1 to 512"),
            (Architecture { depth: usize::MAX, ..fits }, "wanted 1 to 512"),
            (Architecture { family: Family::VitConvStem, ..fits }, "patch_size 4; wanted 16"),
            (Architecture { family: Family::Convit, depth: 2, ..fits }, "depth 2; wanted at least 3"),
        ];
        for (architecture, wanted) in cases {
            let error = architecture.check().unwrap_err().to_string();
            assert!(error.contains(wanted), "{error} lacks {wanted}");
        }
    }
}
