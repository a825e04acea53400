//! Errors as sentences and exit codes.

use std::process::ExitCode;

use anyhow::Error;
use mimir_data::DataError;

use crate::config::ConfigError;
use crate::convert::ConvertError;
use crate::device::DeviceError;
use crate::run::RunError;

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const DATA: u8 = 4;
const INTERNAL: u8 = 70;

/// Something that was typed and cannot be.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub String);

/// Prints the error once; the code says what kind it is.
pub(super) fn print(error: &Error) -> ExitCode {
    eprintln!("error: {}", sentence(error));
    ExitCode::from(code(error))
}

/// The error and its causes; a cause that the text before it has told already is left out.
fn sentence(error: &Error) -> String {
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
    // A setting of `[data]` that the images do not allow is the configuration's fault, not the images'.
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
    }) {
        USAGE
    } else {
        FAILED
    }
}

/// libtorch reports what it cannot do, memory that is not there above all, by panicking; the message is on stderr by now.
pub(super) fn panicked() -> ExitCode {
    eprintln!(
        "error: libtorch gave up, as said above. What the run had saved is whole: --resume goes on from its state. Out of \
         memory? Raise training.accumulate or lower training.batch"
    );
    ExitCode::from(INTERNAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let plain = Error::msg("no such file").context("cannot read a.toml");
        assert_eq!(sentence(&plain), "cannot read a.toml: no such file");
        let told = Error::msg("no such file").context("a.toml: no such file");
        assert_eq!(sentence(&told), "a.toml: no such file");
    }
}
