//! Why the program could not answer: what it says, and its exit code.

use std::fmt;

/// Exit code of every failure: 1 means that two models differ, as for `diff`.
pub(crate) const EXIT_CODE: u8 = 2;

/// An error as one sentence with its causes.
#[derive(Debug)]
pub(crate) struct Failure(anyhow::Error);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}
