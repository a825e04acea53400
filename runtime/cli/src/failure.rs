//! Why the program could not answer: what it says, in the words of its flags, and its exit code.

use std::fmt;

use mimir_bundle::one_line;
use mimir_certify::{ErrorKind, OptionName, with_causes};

/// An error with its kind, which decides the exit code. `Display` is one sentence with its causes.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    error: anyhow::Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&with_causes(&*self.error))
    }
}

impl From<mimir_certify::Error> for Failure {
    fn from(error: mimir_certify::Error) -> Self {
        let (kind, option) = (error.kind(), error.option());
        let sentence = match kind {
            // Of the user's own text, such as a policy, the lines with the mistake are shown.
            ErrorKind::Options => with_causes(&error),
            // Models, archives and reports are of others.
            _ => one_line(&with_causes(&error)).into_owned(),
        };
        match option {
            Some(OptionName::Feature) if kind == ErrorKind::Model => {
                failure(kind, format!("{sentence}; name another tensor with --feature"))
            }
            Some(option) => failure(kind, with_flag(option, &sentence)),
            None => failure(kind, sentence),
        }
    }
}

/// What the library says about an option, with the flag that sets it and the way out.
fn with_flag(option: OptionName, sentence: &str) -> String {
    match option {
        OptionName::Normalisation => format!("--mean and --std: {sentence}"),
        OptionName::Attacks => format!("{sentence}; use --attacks rand, or give --eot"),
        OptionName::InputShape => format!("--input-shape: {sentence}"),
        OptionName::GradientFreeAttacks => {
            format!("{sentence}; without gradients it can be attacked by --attacks square,noise")
        }
        OptionName::Surrogate => format!("--surrogate: {sentence}"),
        OptionName::SurrogateBatch(rows) => {
            format!("--surrogate: {sentence}; --batch {rows} asks both models so")
        }
        OptionName::Feature => format!("--feature: {sentence}"),
        OptionName::ImageSize => format!("{sentence} (--resize, --crop)"),
        OptionName::ClassMap => format!("{sentence} (--class-map)"),
        OptionName::Batch => format!("--batch: {sentence}; omit it"),
        OptionName::ApproximateSearch => format!(
            "{sentence}. Try another ONNX Runtime, or --engine rten; --accept-approximate attacks the graphs all the same, \
             and the certificate says so"
        ),
        OptionName::CrossChecking => format!("--cross-check: {sentence}; omit it"),
        OptionName::Precision => format!("--precision mixed: {sentence}; omit it"),
        OptionName::ReplayEngine => format!("{sentence}; name one with --engine"),
        OptionName::ReplayImages => format!("{sentence}; say where the original images are with --data"),
        OptionName::Counterexamples => format!("{sentence}: run with --save-adversarial"),
        OptionName::MinPreset => {
            format!("--min-preset: {sentence}; add it to --attacks, or leave its parameters alone")
        }
        OptionName::Baseline => format!("--baseline: {sentence}"),
        OptionName::ReplaceCertificate => format!(
            "{sentence}; add --replace-certificate to have it take that place (what is there is kept beside the \
             bundle), or --keep-bundle to leave the bundle alone"
        ),
        OptionName::ReplaceSignature => {
            format!("{sentence}; add --replace-signature to have it kept beside the bundle instead")
        }
        OptionName::ExistingJournal => format!("{sentence}; once that is solved, run again with --resume"),
    }
}

/// Says what an error is the fault of.
pub(crate) trait OrKind<T> {
    /// The value, or a failure of that kind.
    fn or_kind(self, kind: ErrorKind) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrKind<T> for Result<T, E> {
    fn or_kind(self, kind: ErrorKind) -> Result<T, Failure> {
        self.map_err(|error| Failure { kind, error: error.into() })
    }
}

/// A failure with a sentence.
pub(crate) fn failure(kind: ErrorKind, message: impl fmt::Display) -> Failure {
    Failure { kind, error: anyhow::Error::msg(message.to_string()) }
}

#[cfg(test)]
mod tests {
    use mimir_certify::{ReplayOptions, replay};
    use mimir_data::{ReadOptions, Split};
    use mimir_runtime::report::Conclusion;

    use super::*;

    /// The table of `--help` and `docs/report.md`.
    #[test]
    fn exit_codes() {
        use Conclusion::{DoesNotHold, Holds, Inconclusive, NoRequirement, Open};
        let conclusions = [NoRequirement, Holds, DoesNotHold, Inconclusive, Open];
        assert_eq!(conclusions.map(Conclusion::exit_code), [0, 0, 10, 11, 75]);
    }

    #[test]
    fn causes_are_in_the_sentence() {
        let error = anyhow::anyhow!("no such file").context("settings file x.toml");
        let failed = Err::<(), _>(error).or_kind(ErrorKind::Options).unwrap_err();
        assert_eq!(failed.to_string(), "settings file x.toml: no such file");
    }

    #[test]
    fn no_cause_is_said_twice() {
        let error = mimir_data::open(
            &"npz:/nonexistent.npz".parse().unwrap(),
            &ReadOptions { split: Split::Test, first: None },
        );
        let failed = error.or_kind(ErrorKind::Data).unwrap_err().to_string();
        assert!(failed.starts_with("/nonexistent.npz: "), "{failed}");
        assert_eq!(failed.matches("(os error").count(), 1, "{failed}");
    }

    #[test]
    fn errors_of_the_library_keep_their_kind() {
        let error = replay(&ReplayOptions::new("/nonexistent", "model.onnx")).unwrap_err();
        let failed = Failure::from(error);
        assert_eq!(failed.kind, ErrorKind::Data);
        assert!(failed.to_string().starts_with("/nonexistent/certificate.json: "), "{failed}");
    }
}
