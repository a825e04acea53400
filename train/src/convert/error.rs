//! Why a checkpoint cannot be converted.

use std::path::PathBuf;

use crate::pickle::PickleError;

/// Why a checkpoint cannot be converted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// It is no archive of `torch.save`, or is damaged.
    #[error("{}: found {found}, wanted {wanted}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is there.
        found: String,
        /// What should be there.
        wanted: &'static str,
    },
    /// Its pickle is refused.
    #[error("{} is not a checkpoint of tensors and plain values: {source}", path.display())]
    Pickle {
        /// The file.
        path: PathBuf,
        /// Why.
        source: PickleError,
    },
    /// There are no weights where they were looked for.
    #[error("{place}; keys of the file: {keys}")]
    NoWeights {
        /// Where they were looked for.
        place: String,
        /// The keys that there are.
        keys: String,
    },
    /// Two keys become one name.
    #[error("two keys of the file become `{name}`; the second is `{key}`")]
    Twice {
        /// The name.
        name: String,
        /// The second key.
        key: String,
    },
}
