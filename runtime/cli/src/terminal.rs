//! Lines on standard error.

use std::io::Write;

use mimir_bundle::one_line;

/// Says something on one line, whatever names of files it is about. A closed standard error is no reason to stop.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", one_line(line));
}
