//! Lists of attacks by the names that users know.

use mimir_bundle::Norm;
use mimir_bundle::attack::AttackSpec;
pub use mimir_bundle::attack::Preset;

/// A name that is neither an attack nor a preset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no attack {name:?}; did you mean {nearest:?}? (attacks: {}; presets: {})",
    AttackSpec::NAMES.join(", "),
    Preset::NAMES.join(", ")
)]
pub struct UnknownAttack {
    /// What was asked for.
    pub name: String,
    /// The closest name that exists.
    pub nearest: &'static str,
}

/// The attacks of a name: those of a preset, or a single one with its default parameters.
///
/// # Errors
/// When there is none of that name; the error has the nearest one.
pub fn attacks_named(name: &str, norm: Norm) -> Result<Vec<AttackSpec>, UnknownAttack> {
    let preset = Preset::named(name).map(|preset| preset.attacks(norm));
    let known = preset.or_else(|| AttackSpec::named(name).map(|attack| vec![attack]));
    known.ok_or_else(|| UnknownAttack { name: name.to_owned(), nearest: nearest(name) })
}

/// The known name of the fewest edits; the first of several.
fn nearest(name: &str) -> &'static str {
    let known = AttackSpec::NAMES.iter().chain(Preset::NAMES);
    known.min_by_key(|known| strsim::levenshtein(name, known)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::NORMS;

    #[test]
    fn every_name_gives_valid_attacks() {
        assert_eq!(Preset::ALL.map(Preset::name), Preset::NAMES);
        for norm in NORMS {
            for name in AttackSpec::NAMES.iter().chain(Preset::NAMES) {
                let attacks = attacks_named(name, norm).unwrap();
                assert!(!attacks.is_empty(), "{name}");
                for attack in attacks {
                    attack.check().unwrap();
                }
            }
            for name in AttackSpec::NAMES {
                assert_eq!(attacks_named(name, norm).unwrap(), [AttackSpec::named(name).unwrap()]);
            }
        }
    }

    #[test]
    fn a_wrong_name_is_an_error_with_the_nearest() {
        let cases = [
            ("apdg-ce", "apgd-ce"),
            ("Standard", "standard"),
            ("plsu", "plus"),
            ("fgm", "fgsm"),
            ("apgd-", "apgd-t"),
        ];
        for (name, nearest) in cases {
            let error = attacks_named(name, Norm::Linf).unwrap_err();
            assert_eq!(error, UnknownAttack { name: name.to_owned(), nearest });
        }
        assert_eq!(
            attacks_named("apdg-ce", Norm::L1).unwrap_err().to_string(),
            format!(
                "no attack \"apdg-ce\"; did you mean \"apgd-ce\"? (attacks: {}; presets: standard, plus, rand, fast, mimir)",
                AttackSpec::NAMES.join(", ")
            )
        );
    }
}
