//! The one error of this crate: what kind, where, what was found, what was wanted, and the way out.

use std::fmt;
use std::path::PathBuf;

use mimir_bundle::one_line;

/// What went wrong, coarse enough to choose an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file could not be read or written.
    Io,
    /// The bytes are not a well-formed ONNX model.
    Format,
    /// The model exceeds a cap of [`Limits`](crate::onnx::Limits).
    Limit,
    /// The model is well formed, but uses something that we do not support.
    Unsupported,
    /// No gradient of the output reaches the images: the model can only be attacked without gradients.
    NoGradient,
    /// A shape or type does not fit, or cannot be determined.
    Shape,
    /// The model is not an image classifier as the caller described it.
    NotAClassifier,
}

/// The part of the model that the error is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A node, by name (or by its first output where it has none) and operator.
    Node {
        /// Node name.
        name: String,
        /// Operator type, e.g. `Conv`.
        op_type: String,
    },
    /// A tensor, by name.
    Tensor(String),
    /// A file.
    File(PathBuf),
}

/// An error with its location. `Display` is one sentence that names the location first. Names come from the file: what they
/// have beside text is escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    location: Option<Location>,
    message: String,
}

/// Shorthand used by the whole crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error without a location.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, location: None, message: one_line(&message.into()).into_owned() }
    }

    /// An error with a list of what is wrong, a line each after the first.
    pub(crate) fn with_list(kind: ErrorKind, lines: impl IntoIterator<Item = String>) -> Self {
        let lines: Vec<String> = lines.into_iter().map(|line| one_line(&line).into_owned()).collect();
        Self { kind, location: None, message: lines.join("\n") }
    }

    /// Shorthand for [`ErrorKind::Format`].
    pub fn format(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Format, message)
    }

    /// Shorthand for [`ErrorKind::Unsupported`].
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// Shorthand for [`ErrorKind::Shape`].
    pub fn shape(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Shape, message)
    }

    /// Names the tensor, unless a location is known already.
    #[must_use]
    pub fn at_tensor(self, name: impl Into<String>) -> Self {
        self.at(Location::Tensor(name.into()))
    }

    /// Names the file, unless a location is known already.
    #[must_use]
    pub fn at_file(self, path: impl Into<PathBuf>) -> Self {
        self.at(Location::File(path.into()))
    }

    /// Names the location, unless one is known already.
    #[must_use]
    pub fn at(mut self, location: Location) -> Self {
        self.location.get_or_insert(location);
        self
    }

    /// The kind, for the caller's exit code.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The node, tensor or file, where one is known.
    pub fn location(&self) -> Option<&Location> {
        self.location.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = &self.message;
        match &self.location {
            Some(Location::Node { name, op_type }) => {
                write!(f, "node `{}` ({}): {message}", one_line(name), one_line(op_type))
            }
            Some(Location::Tensor(name)) => write!(f, "tensor `{}`: {message}", one_line(name)),
            Some(Location::File(path)) => write!(f, "{}: {message}", one_line(&path.to_string_lossy())),
            None => f.write_str(message),
        }
    }
}

impl std::error::Error for Error {}
