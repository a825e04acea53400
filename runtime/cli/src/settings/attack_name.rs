//! Names of attacks, as users write them.

use std::fmt;
use std::str::FromStr;

use mimir_runtime::evaluate::{ApgdSpec, AttackSpec, UnknownAttack};
use serde::{Deserialize, Serialize};

/// The name of an attack that exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct AttackName(String);

impl AttackName {
    /// The attack that runs where nobody names one.
    pub(crate) fn default_attack() -> Self {
        Self(AttackSpec::ApgdCe(ApgdSpec::default()).name().to_owned())
    }
}

impl FromStr for AttackName {
    type Err = UnknownAttack;

    fn from_str(text: &str) -> Result<Self, UnknownAttack> {
        text.parse::<AttackSpec>().map(|spec| Self(spec.name().to_owned()))
    }
}

impl TryFrom<String> for AttackName {
    type Error = UnknownAttack;

    fn try_from(text: String) -> Result<Self, UnknownAttack> {
        text.parse()
    }
}

impl From<AttackName> for String {
    fn from(name: AttackName) -> Self {
        name.0
    }
}

impl fmt::Display for AttackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
