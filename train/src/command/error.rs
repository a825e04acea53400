//! Errors as messages and exit codes.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Error;
use mimir_bundle::printable;
use mimir_data::DataError;

use crate::config::ConfigError;
use crate::convert::ConvertError;
use crate::device::DeviceError;
use crate::report::ReportError;
use crate::run::RunError;

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const DATA: u8 = 4;
const INTERNAL: u8 = 70;

/// Invalid usage of the command line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub String);

/// Prints the error once, and returns the exit code of its kind.
pub(super) fn print(error: &Error) -> ExitCode {
    // Names in checkpoints and image sets are those of whoever made them.
    let text = printable(format!("error: {}\n", message(error)).into_bytes());
    let _ = std::io::stderr().lock().write_all(&text);
    ExitCode::from(code(error))
}

/// The error and its causes; a cause that is part of the text before it is not repeated.
fn message(error: &Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn code(error: &Error) -> u8 {
    // A parameter that does not fit the images is an error of the configuration, not of the images.
    if let Some(DataError::InvalidParameter { .. }) =
        error.chain().find_map(|e| e.downcast_ref::<DataError>())
    {
        return USAGE;
    }
    let is = |test: fn(&(dyn std::error::Error + 'static)) -> bool| error.chain().any(test);
    if is(<dyn std::error::Error>::is::<DataError>) {
        DATA
    } else if is(|e| {
        e.is::<ConfigError>()
            || e.is::<DeviceError>()
            || e.is::<Usage>()
            || e.is::<RunError>()
            || e.is::<ConvertError>()
            || e.is::<ReportError>()
    }) {
        USAGE
    } else {
        FAILED
    }
}

/// tch panics on errors of libtorch, above all when memory runs out; the message has been printed to stderr.
pub(super) fn panicked() -> ExitCode {
    eprintln!(
        "error: libtorch failed, see the message above. The saved state is intact: continue with --resume. If memory ran \
         out, raise training.accumulate or lower training.batch"
    );
    ExitCode::from(INTERNAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let plain = Error::msg("no such file").context("cannot read a.toml");
        assert_eq!(message(&plain), "cannot read a.toml: no such file");
        let repeated = Error::msg("no such file").context("a.toml: no such file");
        assert_eq!(message(&repeated), "a.toml: no such file");
    }
}
