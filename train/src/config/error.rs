//! Errors of configurations.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::model::ArchitectureError;

/// A configuration that cannot be read or is invalid.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Invalid TOML, an unknown key, or a value of the wrong type; the message shows the line.
    #[error("{}: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// The sizes of the network.
    #[error("[model] {0}")]
    Architecture(#[from] ArchitectureError),
    /// The images: a source or a transform.
    #[error(transparent)]
    Images(#[from] mimir_data::DataError),
    /// The penalty.
    #[error("pretrain.{0}")]
    Penalty(#[from] crate::penalty::PenaltyConfigError),
    /// A value outside its range.
    #[error("{key} is {found}; wanted {wanted}")]
    Range {
        /// Full key, `pretrain.mask_ratio`.
        key: String,
        /// Its value.
        found: String,
        /// What it may be.
        wanted: String,
    },
    /// A key that has no effect together with the others.
    #[error("{key} has no effect {because}; remove it")]
    NoEffect {
        /// Full key.
        key: String,
        /// Together with what, for example "with method mae".
        because: String,
    },
    /// A missing key that another key requires.
    #[error("{key} is missing; it is needed {because}")]
    Missing {
        /// Full key.
        key: String,
        /// By what.
        because: String,
    },
    /// A base that cannot be taken.
    #[error("{}: base = \"{}\": {reason}", path.display(), base.display())]
    Base {
        /// The file with the key.
        path: PathBuf,
        /// Its value.
        base: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A variant that the file does not have, or none where it has some.
    #[error("{}", variant_text(path, found.as_deref(), known))]
    Variant {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        found: Option<String>,
        /// Those that there are.
        known: Vec<String>,
    },
    /// Something is wrong with one layer of an experiment.
    #[error("{place}: {source}")]
    In {
        /// The file, or the variant.
        place: String,
        /// What.
        source: Box<ConfigError>,
    },
    /// The stage that was asked for is not in the file.
    #[error("{}: there is no [{stage}] section; add one, or run another stage", path.display())]
    NoStage {
        /// The file.
        path: PathBuf,
        /// Name of the section.
        stage: &'static str,
    },
}

fn variant_text(path: &Path, found: Option<&str>, known: &[String]) -> String {
    let (path, known) = (path.display(), known.join(", "));
    match found {
        None => format!("{path} is a sweep: choose one of its variants with --variant: {known}"),
        Some(found) if known.is_empty() => {
            format!("{path} has no variants, and so no `{found}`; leave it out")
        }
        Some(found) => format!("{path} has no variant `{found}`; it has {known}"),
    }
}

impl ConfigError {
    /// With the file that it is about.
    pub(crate) fn in_file(self, path: &Path) -> Self {
        Self::In { place: path.display().to_string(), source: Box::new(self) }
    }

    /// With the variant that it is about.
    pub(crate) fn in_variant(self, name: &str) -> Self {
        Self::In { place: format!("variant {name}"), source: Box::new(self) }
    }

    /// Checks a number against its range, which `wanted` describes.
    pub(crate) fn range(key: &str, found: f64, fits: bool, wanted: &str) -> Result<(), Self> {
        // NaN is never in range.
        if fits && !found.is_nan() {
            return Ok(());
        }
        Err(Self::Range { key: key.into(), found: found.to_string(), wanted: wanted.into() })
    }

    pub(crate) fn no_effect(key: impl Into<String>, because: impl Into<String>) -> Self {
        Self::NoEffect { key: key.into(), because: because.into() }
    }

    pub(crate) fn missing(key: impl Into<String>, because: impl Into<String>) -> Self {
        Self::Missing { key: key.into(), because: because.into() }
    }
}
