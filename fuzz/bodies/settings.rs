//! Settings files.

/// Reads one.
pub(crate) fn run(bytes: &[u8]) {
    let _ = mimir_certify_cli::check_settings(&String::from_utf8_lossy(bytes));
}
