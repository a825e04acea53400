//! Names of attacks and presets, as users write them.

use std::fmt;
use std::str::FromStr;

use mimir_bundle::Norm;
use mimir_runtime::attack::{Preset, UnknownAttack, attacks_named};
use serde::{Deserialize, Serialize};

/// The name of an attack or a preset that exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct AttackName(String);

impl AttackName {
    /// What runs where nobody names anything.
    pub(crate) fn default_choice() -> Self {
        Self(Preset::Standard.name().to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AttackName {
    type Err = UnknownAttack;

    fn from_str(text: &str) -> Result<Self, UnknownAttack> {
        // The same names exist for every norm.
        attacks_named(text, Norm::Linf).map(|_| Self(text.to_owned()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attacks_and_presets_have_names() {
        for text in ["standard", "rand", "apgd-ce", "noise"] {
            assert_eq!(text.parse::<AttackName>().unwrap().as_str(), text);
        }
        let error = "sqare".parse::<AttackName>().unwrap_err().to_string();
        assert!(error.contains("did you mean \"square\"?"), "{error}");
        assert_eq!(AttackName::default_choice().as_str(), "standard");
    }
}
