//! Why the program could not answer, and the exit code that says so.

use std::fmt;

/// Whose fault it is: decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// Flags, settings, or a report folder that cannot be written.
    Usage,
    /// The model is not valid or not supported.
    Model,
    /// The images or labels cannot be used.
    Data,
    /// We failed, or the engine is missing.
    Internal,
    /// Something cannot be written, or read back: a full disk.
    Storage,
    /// A signal came before anything could be reported.
    Interrupted,
}

impl Blame {
    /// The exit code. 0, 10, and 75 with a report belong to [`mimir_runtime::report::Conclusion`].
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::Model => 3,
            Self::Data => 4,
            Self::Internal => 70,
            Self::Storage => 74,
            Self::Interrupted => 75,
        }
    }
}

/// An error with its exit code. `Display` is one sentence with its causes.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) blame: Blame,
    error: anyhow::Error,
}

impl Failure {
    /// A failure with its cause.
    pub(crate) fn new(blame: Blame, error: impl Into<anyhow::Error>) -> Self {
        Self { blame, error: error.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

/// Says whose fault an error is.
pub(crate) trait OrBlame<T> {
    /// The value, or a failure with that blame.
    fn or_blame(self, blame: Blame) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrBlame<T> for Result<T, E> {
    fn or_blame(self, blame: Blame) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(blame, error))
    }
}

/// A failure with a sentence.
pub(crate) fn failure(blame: Blame, message: impl fmt::Display) -> Failure {
    Failure { blame, error: anyhow::Error::msg(message.to_string()) }
}

#[cfg(test)]
mod tests {
    use mimir_runtime::report::Conclusion;

    use super::*;

    /// The table of `--help` and `docs/report.md`.
    #[test]
    fn exit_codes() {
        use Blame::{Data, Internal, Interrupted, Model, Storage, Usage};
        let blames = [Usage, Model, Data, Internal, Storage, Interrupted].map(Blame::exit_code);
        assert_eq!(blames, [2, 3, 4, 70, 74, 75]);
        use Conclusion::{DoesNotHold, Holds, NoRequirement, Open};
        assert_eq!([NoRequirement, Holds, DoesNotHold, Open].map(Conclusion::exit_code), [0, 0, 10, 75]);
    }

    #[test]
    fn causes_are_in_the_sentence() {
        let error = anyhow::anyhow!("no such file").context("settings file x.toml");
        let failed = Err::<(), _>(error).or_blame(Blame::Usage).unwrap_err();
        assert_eq!(failed.to_string(), "settings file x.toml: no such file");
    }
}
