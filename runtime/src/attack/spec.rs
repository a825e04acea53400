//! Attacks by name and parameters, as settings state them and certificates record them.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Attack;
use super::apgd::{Apgd, ApgdSpec};
use crate::ball::Ball;

/// An attack with every parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "attack", rename_all = "kebab-case")]
pub enum AttackSpec {
    /// Auto-PGD on the cross entropy.
    ApgdCe(ApgdSpec),
}

/// A name that is no attack.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no attack {name:?}; did you mean {nearest:?}? (known: {})", AttackSpec::NAMES.join(", "))]
pub struct UnknownAttack {
    /// What was asked for.
    pub name: String,
    /// The closest name that exists.
    pub nearest: &'static str,
}

/// A parameter out of its range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{attack}: {parameter} is {found}, must be {wanted}")]
pub struct SpecError {
    /// Name of the attack.
    pub attack: &'static str,
    /// Name of the parameter.
    pub parameter: &'static str,
    /// Its value.
    pub found: f64,
    /// Its range.
    pub wanted: &'static str,
}

impl AttackSpec {
    /// The names that [`AttackSpec::from_str`] knows.
    pub const NAMES: &'static [&'static str] = &["apgd-ce"];

    /// Its name on the command line and in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ApgdCe(_) => "apgd-ce",
        }
    }

    /// The attack on images within that ball, with the noise of that seed.
    ///
    /// # Errors
    /// Names the parameter that is out of its range.
    pub fn attack(&self, ball: Ball, seed: u64) -> Result<Box<dyn Attack>, SpecError> {
        match self {
            Self::ApgdCe(spec) => Ok(Box::new(Apgd::new(self.name(), *spec, ball, seed)?)),
        }
    }
}

impl FromStr for AttackSpec {
    type Err = UnknownAttack;

    /// The attack of that name, with its standard parameters.
    fn from_str(name: &str) -> Result<Self, UnknownAttack> {
        match name {
            "apgd-ce" => Ok(Self::ApgdCe(ApgdSpec::default())),
            _ => Err(UnknownAttack { name: name.to_owned(), nearest: nearest(name) }),
        }
    }
}

fn nearest(name: &str) -> &'static str {
    let closest = AttackSpec::NAMES.iter().min_by_key(|known| edits(name, known));
    closest.copied().unwrap_or_default()
}

/// Levenshtein distance, row by row.
fn edits(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (position, letter) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = position + 1;
        for (column, other) in right.bytes().enumerate() {
            let substituted = diagonal + usize::from(letter != other);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_to_the_attack_of_that_name() {
        for name in AttackSpec::NAMES {
            assert_eq!(name.parse::<AttackSpec>().unwrap().name(), *name);
        }
    }

    #[test]
    fn a_wrong_name_is_an_error_with_the_nearest() {
        let error = "apdg-ce".parse::<AttackSpec>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no attack \"apdg-ce\"; did you mean \"apgd-ce\"? (known: apgd-ce)"
        );
    }

    #[test]
    fn edit_distances() {
        for (left, right, want) in [("", "", 0), ("abc", "abc", 0), ("abc", "", 3), ("kitten", "sitting", 3)]
        {
            assert_eq!(edits(left, right), want, "{left} {right}");
        }
    }

    #[test]
    fn json_states_every_parameter_and_survives_a_round_trip() {
        let spec: AttackSpec = "apgd-ce".parse().unwrap();
        let json = serde_json::to_string(&spec).unwrap();
        let expected = concat!(
            r#"{"attack":"apgd-ce","steps":100,"restarts":1,"rho":0.75,"momentum":0.75,"initial_step":2.0,"#,
            r#""first_period":0.22,"period_decrement":0.03,"shortest_period":0.06}"#
        );
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<AttackSpec>(&json).unwrap(), spec);
        assert!(serde_json::from_str::<AttackSpec>(&json.replace("rho", "rhoo")).is_err());
    }
}
