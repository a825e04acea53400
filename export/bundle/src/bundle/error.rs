//! Why something is not a bundle.

use std::fmt;

/// A result of this module.
pub(super) type Result<T> = std::result::Result<T, BundleError>;

/// What kind of fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BundleErrorKind {
    /// A file cannot be read or written.
    Io,
    /// The bytes do not have the form that the format asks for.
    Format,
    /// More bytes, files or pixels than are allowed.
    Limit,
    /// A version of the format that this program does not read.
    Version,
    /// Files that do not belong together: another digest, size or model.
    Mismatch,
}

/// Why something is not a bundle: where, and what was found and wanted there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct BundleError {
    kind: BundleErrorKind,
    place: String,
    message: String,
}

impl BundleError {
    pub(crate) fn new(kind: BundleErrorKind, place: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self { kind, place: place.to_string(), message: message.to_string() }
    }

    /// Wrong bytes in that file of a bundle.
    pub(crate) fn format(place: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self::new(BundleErrorKind::Format, place, message)
    }

    /// A file that does not belong to the others.
    pub fn mismatch(place: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self::new(BundleErrorKind::Mismatch, place, message)
    }

    /// A file that cannot be read or written.
    pub(super) fn io(place: impl fmt::Display, error: &std::io::Error) -> Self {
        Self::new(BundleErrorKind::Io, place, error)
    }

    /// The same error within something larger: `manifest.json: model.onnx`.
    pub(super) fn within(self, outer: impl fmt::Display) -> Self {
        Self { place: format!("{outer}: {}", self.place), ..self }
    }

    /// What kind of fault it is.
    pub fn kind(&self) -> BundleErrorKind {
        self.kind
    }

    /// The path of the bundle and the file in it.
    pub fn place(&self) -> &str {
        &self.place
    }
}
