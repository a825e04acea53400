//! What is built: the sizes of a network in full.

use mimir_bundle::architecture::{Architecture, Family, Pooling};

use crate::error::{Error, ErrorKind, Result};

/// Most classes: more than any data set has.
const MOST_CLASSES: usize = 1 << 20;

/// Most elements of all constants that a builder makes from smaller tensors: 1 GiB. A file of a few megabytes could
/// otherwise ask for any amount of memory.
const MOST_COMPUTED: usize = 1 << 28;

/// A classifier: its encoder, pooling and head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// The encoder.
    pub architecture: Architecture,
    /// What stands between encoder and head.
    pub pooling: Pooling,
    /// Number of classes, K.
    pub classes: usize,
    /// Channels of an image, C; 3 wherever it comes from a checkpoint.
    pub channels: usize,
    /// Width of the hidden layer of a block, as a multiple of the width; 4 wherever it comes from a checkpoint.
    pub mlp_ratio: usize,
}

impl Network {
    /// With three colour channels and MLP ratio 4.
    pub fn new(architecture: Architecture, pooling: Pooling, classes: usize) -> Self {
        Self { architecture, pooling, classes, channels: 3, mlp_ratio: 4 }
    }

    /// Checks the sizes against each other.
    ///
    /// # Errors
    /// Names the size, what was found and what would fit.
    pub fn check(&self) -> Result<()> {
        self.architecture.check().map_err(|error| Error::shape(error.to_string()))?;
        let sizes = [
            ("classes", self.classes, MOST_CLASSES),
            ("channels", self.channels, 1 << 10),
            ("mlp_ratio", self.mlp_ratio, 1 << 10),
        ];
        match sizes.iter().find(|(_, size, most)| !(1..=*most).contains(size)) {
            None => self.check_computed(),
            Some((name, found, most)) => Err(Error::shape(format!("{name} {found}; wanted 1 to {most}"))),
        }
    }

    /// Refuses attention by position between more patches than memory is for.
    fn check_computed(&self) -> Result<()> {
        let &Architecture { family, depth, heads, .. } = &self.architecture;
        let patches = self.architecture.patches();
        let pairs = patches.checked_mul(patches).and_then(|pairs| pairs.checked_mul(heads * depth));
        match (family, pairs) {
            (Family::Convit, None | Some(MOST_COMPUTED..)) => Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "attention by position between {patches} patches in {heads} heads and {depth} blocks is more than \
                     {MOST_COMPUTED} numbers; use a smaller image_size or a larger patch_size"
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Tokens of an image after the last block: the class token and the patches, T = 1 + L.
    pub fn tokens(&self) -> usize {
        1 + self.architecture.patches()
    }

    pub(super) fn hidden(&self) -> usize {
        self.mlp_ratio * self.architecture.width
    }
}

/// The normalisation in front of the head.
pub(super) fn norm_name(pooling: Pooling) -> &'static str {
    match pooling {
        Pooling::Mean => "fc_norm",
        Pooling::ClassToken => "norm",
    }
}
