//! Why the program could not answer: what it says, in the words of its flags, and its exit code.

use std::fmt;

use mimir_certify::{ErrorKind, OptionName};

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

impl From<ErrorKind> for Blame {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Options => Self::Usage,
            ErrorKind::Model => Self::Model,
            ErrorKind::Data => Self::Data,
            ErrorKind::Internal => Self::Internal,
            ErrorKind::Storage => Self::Storage,
            ErrorKind::Interrupted => Self::Interrupted,
        }
    }
}

/// An error with its exit code. `Display` is one sentence with its causes.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) blame: Blame,
    error: anyhow::Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

impl From<mimir_certify::Error> for Failure {
    fn from(error: mimir_certify::Error) -> Self {
        let (blame, option) = (error.kind().into(), error.option());
        let sentence = format!("{:#}", anyhow::Error::from(error));
        match option {
            Some(option) => failure(blame, with_flag(option, &sentence)),
            None => failure(blame, sentence),
        }
    }
}

/// What the library says about an option, with the flag that sets it and the way out.
fn with_flag(option: OptionName, sentence: &str) -> String {
    match option {
        OptionName::Normalisation => format!("--mean and --std: {sentence}"),
        OptionName::Attacks => format!("{sentence}; use --attacks rand, or give --eot"),
        OptionName::Batch => format!("--batch: {sentence}; omit it"),
        OptionName::CrossChecking => format!("--cross-check: {sentence}; omit it"),
        OptionName::ReplayEngine => format!("{sentence}; name one with --engine"),
        OptionName::ReplayImages => format!("{sentence}; say where the original images are with --data"),
        OptionName::Counterexamples => format!("{sentence}: run with --save-adversarial"),
        OptionName::Begin => format!("{sentence}; once that is solved, run again with --resume"),
    }
}

/// Says whose fault an error is.
pub(crate) trait OrBlame<T> {
    /// The value, or a failure with that blame.
    fn or_blame(self, blame: Blame) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrBlame<T> for Result<T, E> {
    fn or_blame(self, blame: Blame) -> Result<T, Failure> {
        self.map_err(|error| Failure { blame, error: error.into() })
    }
}

/// A failure with a sentence.
pub(crate) fn failure(blame: Blame, message: impl fmt::Display) -> Failure {
    Failure { blame, error: anyhow::Error::msg(message.to_string()) }
}

#[cfg(test)]
mod tests {
    use mimir_certify::{ReplayOptions, replay};
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

    #[test]
    fn errors_of_the_library_keep_their_kind() {
        let error = replay(&ReplayOptions::new("/nonexistent", "model.onnx")).unwrap_err();
        let failed = Failure::from(error);
        assert_eq!(failed.blame, Blame::Data);
        assert!(failed.to_string().starts_with("/nonexistent/certificate.json: "), "{failed}");
    }
}
