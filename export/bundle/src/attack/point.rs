//! Which iterates of an attack count.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which iterates of PGD may break an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PgdPoint {
    /// Any of them: the attack ends with the first.
    Best,
    /// Only the last of a run, as in evaluations that return the last iterate.
    Last,
}
