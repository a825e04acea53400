//! What a checkpoint says of itself: the metadata `mimir` of the safetensors files that `mimir-train` writes.
//!
//! The metadata is a string that holds one JSON object. Unknown keys, keys that stand twice and newer versions are
//! refused, because what they say could change what the network computes.

use serde::{Deserialize, Serialize};

use crate::Normalisation;
use crate::architecture::{Architecture, Pooling};

/// The key of the header in the metadata of a safetensors file.
pub const METADATA_KEY: &str = "mimir";

/// The version of the header that is written. Earlier ones have the same keys, and fewer: version 1 has no `epochs`, and
/// files without a version were written before there was one.
pub const HEADER_VERSION: u32 = 2;

/// A stage of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Masked autoencoding: the file has a decoder and no head.
    Pretrain,
    /// Training of a classifier.
    Finetune,
}

/// The decoder of a masked autoencoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoderSizes {
    /// Width of a token.
    pub width: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
}

/// The header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointHeader {
    /// [`HEADER_VERSION`]; 0 for files from before it.
    #[serde(default)]
    pub version: u32,
    /// The stage that wrote the file.
    pub stage: Stage,
    /// The encoder.
    pub architecture: Architecture,
    /// Pooling in front of the head; a classifier has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pooling: Option<Pooling>,
    /// Number of classes, K; a classifier has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
    /// Names of the classes in the order of the logits, where the data set has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_names: Option<Vec<String>>,
    /// What is done to pixels before the network sees them; none: pixels in `[0, 1]` as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalisation: Option<Normalisation>,
    /// The decoder of a masked autoencoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder: Option<DecoderSizes>,
    /// Epochs that were finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Epochs of the whole run: weights of a run that has not finished have a smaller `epoch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
    /// Steps of the optimiser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// The seed of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// SHA-256 of the experiment as the run's folder holds it (`config.toml`), in lowercase hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment: Option<String>,
    /// Digest of the images that were trained on, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

/// A header that is not understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// Not JSON, or not these keys.
    #[error("metadata `{METADATA_KEY}`: {0}")]
    Json(#[from] serde_json::Error),
    /// Written by a newer release.
    #[error(
        "metadata `{METADATA_KEY}` has version {found}; this release reads versions up to {HEADER_VERSION}: use a newer one"
    )]
    Version {
        /// The version.
        found: u32,
    },
    /// The state of a run, to continue it from.
    #[error(
        "holds the state of a training run, not a network: wanted best.safetensors or last.safetensors of that run"
    )]
    State,
    /// Keys that contradict each other.
    #[error("metadata `{METADATA_KEY}`: {0}")]
    Content(String),
}

/// The version alone, which decides whether the other keys are understood; and that of the other kind of file that
/// `mimir-train` writes.
#[derive(Deserialize)]
struct Version {
    #[serde(default)]
    version: u32,
    state_version: Option<u32>,
}

impl CheckpointHeader {
    /// Of a stage and an encoder, with nothing else known.
    pub fn new(stage: Stage, architecture: Architecture) -> Self {
        Self {
            version: HEADER_VERSION,
            stage,
            architecture,
            pooling: None,
            classes: None,
            class_names: None,
            normalisation: None,
            decoder: None,
            epoch: None,
            epochs: None,
            step: None,
            seed: None,
            experiment: None,
            data: None,
        }
    }

    /// Reads the text under [`METADATA_KEY`].
    ///
    /// # Errors
    /// Text that is not a header, of a newer version, or whose sizes do not fit each other.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        let Version { version, state_version } = serde_json::from_str(text)?;
        if state_version.is_some() {
            return Err(HeaderError::State);
        }
        if version > HEADER_VERSION {
            return Err(HeaderError::Version { found: version });
        }
        let header: Self = serde_json::from_str(text)?;
        header.check()?;
        Ok(header)
    }

    fn check(&self) -> Result<(), HeaderError> {
        let content = |text: String| Err(HeaderError::Content(text));
        self.architecture.check().or_else(|error| content(format!("architecture: {error}")))?;
        if self.stage == Stage::Finetune && (self.pooling.is_none() || self.classes.is_none()) {
            return content("a classifier without `pooling` or `classes`".to_owned());
        }
        match (&self.class_names, self.classes) {
            (Some(names), Some(classes)) if names.len() != classes => {
                content(format!("{} class_names for {classes} classes", names.len()))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_a_run_is_no_network() {
        let state = r#"{"state_version": 1, "average_updates": null, "optimizer_steps": 764}"#;
        let error = CheckpointHeader::parse(state).unwrap_err().to_string();
        assert!(error.contains("state of a training run") && error.contains("best.safetensors"), "{error}");
    }

    const OLD: &str = r#"{"stage": "finetune", "architecture": {"family": "vit", "width": 32, "depth": 2, "heads": 2,
        "image_size": 32, "patch_size": 8}, "pooling": "mean", "classes": 3, "epoch": 4, "step": 20, "seed": 0}"#;

    fn changed(from: &str, to: &str) -> Result<CheckpointHeader, HeaderError> {
        assert!(OLD.contains(from), "{from}");
        CheckpointHeader::parse(&OLD.replacen(from, to, 1))
    }

    #[test]
    fn headers_from_before_the_version_are_read() {
        let header = CheckpointHeader::parse(OLD).unwrap();
        assert_eq!((header.version, header.classes, header.epoch), (0, Some(3), Some(4)));
        assert_eq!(header.pooling, Some(Pooling::Mean));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut header = CheckpointHeader::parse(OLD).unwrap();
        header.version = HEADER_VERSION;
        header.epochs = Some(8);
        header.class_names = Some(["a", "b", "c"].map(str::to_owned).to_vec());
        header.normalisation = Some(Normalisation::new([0.5; 3], [0.25; 3]));
        let text = serde_json::to_string(&header).unwrap();
        assert_eq!(CheckpointHeader::parse(&text).unwrap(), header);
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        let cases = [
            (r#""seed": 0"#, r#""sede": 0"#, "unknown field `sede`"),
            (r#""seed": 0"#, r#""seed": 0, "seed": 1"#, "duplicate field `seed`"),
            (r#""width": 32"#, r#""width": 32, "qk_norm": true"#, "unknown field `qk_norm`"),
            (r#""stage""#, r#""version": 3, "layers": [], "stage""#, "version 3; this release reads"),
            (r#""heads": 2"#, r#""heads": 5"#, "heads 5; wanted a divisor of width 32"),
            (r#""depth": 2"#, r#""depth": 1000000000"#, "depth 1000000000; wanted 1 to 512"),
            (r#""depth": 2"#, r#""depth": -2"#, "invalid value"),
            (r#", "classes": 3"#, "", "a classifier without"),
            (r#""classes": 3"#, r#""classes": 3, "class_names": ["a"]"#, "1 class_names for 3 classes"),
        ];
        for (from, to, wanted) in cases {
            let error = changed(from, to).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error} lacks {wanted}");
        }
        assert!(CheckpointHeader::parse("[]").is_err());
    }
}
