//! Errors of rten, and the release that they name.

use crate::session::EngineError;

/// The release that is linked in: `=` in Cargo.toml, because a certificate names it.
pub(in crate::session) const VERSION: &str = "0.27.0";

/// rten refused something, in its words or ours.
pub(super) fn failed(message: &dyn std::fmt::Display) -> EngineError {
    EngineError::Failed { engine: "rten", message: message.to_string() }
}
