//! The summary that GitHub shows on the page of a job.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use mimir_bundle::printable;

use crate::terminal::tell;

/// The variable that names the file, for this step.
const VARIABLE: &str = "GITHUB_STEP_SUMMARY";

/// Appends Markdown to the file that the variable names, where it is set. What goes wrong with it is a warning: the
/// answer stands elsewhere too.
pub(crate) fn append_summary(markdown: &str) {
    let Some(path) = named(std::env::var_os(VARIABLE)) else { return };
    if let Err(error) = append(&path, markdown) {
        tell(&format!("warning: {VARIABLE}: {}: {error}", path.display()));
    }
}

/// A variable that is set to nothing names no file.
fn named(value: Option<OsString>) -> Option<PathBuf> {
    value.filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn append(path: &Path, markdown: &str) -> io::Result<()> {
    let mut file = mimir_files::append_to_ours(path)?;
    file.write_all(&printable(format!("{markdown}\n").into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_added_behind_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary.md");
        append(&path, "# one").unwrap();
        append(&path, "# two\u{1b}").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "# one\n# two\\u{1b}\n");
        assert_eq!(
            [named(None), named(Some("".into())), named(Some("x".into()))],
            [None, None, Some("x".into())]
        );
        assert!(append(folder.path(), "#").is_err());
    }
}
