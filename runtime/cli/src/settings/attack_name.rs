//! Names of attacks and presets, as users write them.

use std::fmt;
use std::str::FromStr;

use mimir_bundle::AttackSpec;
use mimir_runtime::attack::preset::Preset;
use serde::{Deserialize, Serialize};

use super::spelling::{did_you_mean, listed};

/// The name of an attack or a preset that exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct AttackName(String);

impl AttackName {
    /// What runs where nobody names anything.
    pub(crate) fn default_choice() -> Self {
        Self("standard".to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AttackName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if AttackSpec::named(text).is_some() || Preset::named(text).is_some() {
            return Ok(Self(text.to_owned()));
        }
        let known = [Preset::NAMES, AttackSpec::NAMES].concat();
        let near = did_you_mean(text, &known);
        Err(format!(
            "no attack or preset `{text}`{near}; presets: {}; attacks: {}",
            listed(Preset::NAMES),
            listed(AttackSpec::NAMES)
        ))
    }
}

impl TryFrom<String> for AttackName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
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
    fn the_nearest_name_is_proposed() {
        for (text, expected) in [
            ("agpd-ce", "did you mean `apgd-ce`?"),
            ("standart", "did you mean `standard`?"),
            ("sqare", "did you mean `square`?"),
            ("xyz", "no attack or preset `xyz`; presets: `standard`"),
        ] {
            let error = text.parse::<AttackName>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert_eq!(AttackName::default_choice().as_str().parse(), Ok(AttackName::default_choice()));
    }
}
