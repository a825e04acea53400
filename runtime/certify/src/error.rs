//! Why there is no answer: what is at fault, and which option could change it.

use std::error::Error as StdError;
use std::fmt;

use mimir_runtime::evaluate::EvaluateError;
pub use mimir_runtime::report::ErrorKind;
use mimir_runtime::verify::VerifyError;

/// A result of this crate.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Any error, as a cause.
pub(crate) type Source = Box<dyn StdError + Send + Sync>;

/// An option that would change the answer: a program names it as its users write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionName {
    /// `CertifyOptions::normalisation`.
    Normalisation,
    /// `CertifyOptions::input_shape`.
    InputShape,
    /// `CertifyOptions::attacks`, and the number of gradients that they average (`eot`).
    Attacks,
    /// `CertifyOptions::attacks`, where only those that need no gradient can be run.
    GradientFreeAttacks,
    /// `CertifyOptions::surrogate`.
    Surrogate,
    /// The batch in `EngineOptions::overrides`, which must be this one for the surrogate.
    SurrogateBatch(usize),
    /// `CertifyOptions::feature`.
    Feature,
    /// The transform in `ImageSource::preparation`.
    ImageSize,
    /// The class map in `ImageSource::preparation`.
    ClassMap,
    /// The batch in `EngineOptions::overrides`.
    Batch,
    /// `CertifyOptions::approximate_search`.
    ApproximateSearch,
    /// `EngineOptions::cross_checking`.
    CrossChecking,
    /// `EngineOptions::precision`.
    Precision,
    /// `ReplayOptions::engine`.
    ReplayEngine,
    /// `ReplayOptions::images`.
    ReplayImages,
    /// `ReportOptions::counterexamples`, when the report was made.
    Counterexamples,
    /// `Gate::min_preset`.
    MinPreset,
    /// `Gate::baseline`.
    Baseline,
    /// `CertifyOptions::bundle`: the bundle has a certificate of the same threat model.
    ReplaceCertificate,
    /// [`ForeignSignature`](crate::signing::ForeignSignature).
    ReplaceSignature,
    /// `ReportOptions::existing_journal`: what is finished was kept, and the run can be resumed.
    ExistingJournal,
}

/// Why there is no answer. `Display` is one sentence without its causes, which are in [`source`](StdError::source).
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    option: Option<OptionName>,
    cause: Cause,
}

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error(transparent)]
    Foreign(Source),
    #[error("{context}")]
    InContext { context: String, source: Source },
}

impl Error {
    /// An error with its cause, or with a sentence.
    pub(crate) fn new(kind: ErrorKind, cause: impl Into<Source>) -> Self {
        Self { kind, option: None, cause: Cause::Foreign(cause.into()) }
    }

    /// The same error, which that option would change.
    pub(crate) fn about(self, option: OptionName) -> Self {
        Self { option: Some(option), ..self }
    }

    /// The same error with a sentence in front.
    pub(crate) fn context(self, context: impl fmt::Display) -> Self {
        let Self { kind, option, cause } = self;
        let source = match cause {
            Cause::Foreign(source) => source,
            in_context @ Cause::InContext { .. } => in_context.into(),
        };
        Self { kind, option, cause: Cause::InContext { context: context.to_string(), source } }
    }

    /// What is at fault.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The option that would change the answer, where there is one.
    pub fn option(&self) -> Option<OptionName> {
        self.option
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.source()
    }
}

impl From<EvaluateError> for Error {
    fn from(error: EvaluateError) -> Self {
        let kind = match &error {
            EvaluateError::NonFinite(_) => ErrorKind::Model,
            EvaluateError::Plan(_) => ErrorKind::Options,
            EvaluateError::Archive(_) => ErrorKind::Storage,
            EvaluateError::Resumed(VerifyError::Model(_)) => ErrorKind::Internal,
            EvaluateError::Set(_)
            | EvaluateError::Resumed(_)
            | EvaluateError::Verification(VerifyError::Store(_)) => ErrorKind::Data,
            EvaluateError::Interrupted => ErrorKind::Interrupted,
            // The original model ran when it was calibrated: what fails now is ours.
            EvaluateError::Model(_)
            | EvaluateError::Verification(_)
            | EvaluateError::Undecided
            | EvaluateError::WorkerPanicked(_) => ErrorKind::Internal,
        };
        Self::new(kind, error)
    }
}

/// Says what an error is the fault of.
pub(crate) trait OrKind<T> {
    /// The value, or an error of that kind.
    fn or_kind(self, kind: ErrorKind) -> Result<T>;
}

impl<T, E: Into<Source>> OrKind<T> for std::result::Result<T, E> {
    fn or_kind(self, kind: ErrorKind) -> Result<T> {
        self.map_err(|error| Error::new(kind, error))
    }
}

/// An error and its causes in one sentence. A cause that the sentence before it ends with is not said twice.
pub fn with_causes(error: &dyn StdError) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !sentence.ends_with(&said) {
            sentence = format!("{sentence}: {said}");
        }
        cause = error.source();
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_follow_their_context() {
        let cause = std::io::Error::other("the disk is full");
        let error = Error::new(ErrorKind::Storage, cause).context("cannot write x").context("kept");
        assert_eq!(error.to_string(), "kept");
        assert_eq!(with_causes(&error), "kept: cannot write x: the disk is full");
        let error = error.about(OptionName::ExistingJournal);
        assert_eq!((error.kind(), error.option()), (ErrorKind::Storage, Some(OptionName::ExistingJournal)));
    }

    #[test]
    fn a_cause_that_was_said_is_not_said_again() {
        let missing = std::fs::read("/nonexistent/x").unwrap_err();
        let said = missing.to_string();
        let error = Error::new(ErrorKind::Data, missing).context(format!("/nonexistent/x: {said}"));
        assert_eq!(with_causes(&error), format!("/nonexistent/x: {said}"));
    }

    #[test]
    fn a_sentence_has_no_causes() {
        let error = Error::new(ErrorKind::Model, "no such node");
        assert_eq!((with_causes(&error), error.option()), ("no such node".to_owned(), None));
    }
}
