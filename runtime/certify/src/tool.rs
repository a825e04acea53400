//! The program, as reports and certificates name it.

use mimir_bundle::certificate::Tool;

/// Its name.
const NAME: &str = "mimir-certify";

/// The commit that it was built from, where it was built in a checkout.
pub const COMMIT: Option<&str> = option_env!("MIMIR_COMMIT");

/// This program, its version, and the commit that it was built from, where it was built in a checkout.
pub(crate) fn this_tool() -> Tool {
    Tool {
        name: NAME.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        commit: COMMIT.filter(|commit| !commit.is_empty()).map(Into::into),
    }
}
