//! Lists of attacks by name: AutoAttack's versions, in its order and with its numbers of restarts and targets.

use mimir_bundle::Norm;
use mimir_bundle::attack::{
    ApgdSpec, Argument, AttackSpec, FabSpec, SquareSpec, TargetedApgdSpec, TargetedFabSpec,
};

use crate::ball::StandardApgd;

/// A version of AutoAttack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// What published robust accuracies mean.
    Standard,
    /// More losses and restarts, for models that may mask gradients.
    Plus,
    /// For models with random operators: gradients averaged over 20 evaluations.
    Rand,
}

/// Restarts of [`Preset::Plus`].
const RESTARTS: usize = 5;
/// Gradients that [`Preset::Rand`] averages.
const EOT: usize = 20;

impl Preset {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Standard, Self::Plus, Self::Rand];

    /// Their names.
    pub const NAMES: &'static [&'static str] = &["standard", "plus", "rand"];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Plus => "plus",
            Self::Rand => "rand",
        }
    }

    /// The preset of that name; `None` where there is none.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// What those attacks lack of this preset: the first attack of it that is missing among them, or has fewer steps,
    /// restarts, targets or queries, or another parameter. `None` where they are at least as strong.
    pub fn missing_of(self, attacks: &[AttackSpec], norm: Norm) -> Option<String> {
        self.attacks(norm).iter().find_map(|wanted| {
            let found = attacks.iter().find(|attack| attack.name() == wanted.name());
            found.map_or_else(|| Some(format!("{} is missing", wanted.name())), |found| weaker(found, wanted))
        })
    }

    /// The preset whose attacks, with all their parameters, these are; `None` where they are of no preset.
    pub fn of(attacks: &[AttackSpec], norm: Norm) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.attacks(norm) == attacks)
    }

    /// Its attacks, in order, for threat models of that norm.
    pub fn attacks(self, norm: Norm) -> Vec<AttackSpec> {
        match self {
            Self::Standard => standard(norm),
            Self::Plus => plus(norm),
            Self::Rand => {
                let apgd = ApgdSpec { eot: EOT, ..ApgdSpec::default() };
                vec![AttackSpec::ApgdCe(apgd.clone()), AttackSpec::ApgdDlr(apgd)]
            }
        }
    }
}

/// Why an attack is weaker than one of the same name; `None` where it is not.
fn weaker(found: &AttackSpec, wanted: &AttackSpec) -> Option<String> {
    let mut same = found.clone();
    for parameter in wanted.clone().parameters() {
        let (name, wanted_value) = (parameter.name, parameter.argument());
        let found_value = found.get(name)?;
        let is_enough = match (found_value, wanted_value) {
            (Argument::Count(found), Argument::Count(wanted)) => found >= wanted,
            (found, wanted) => found == wanted,
        };
        if !is_enough {
            return Some(format!(
                "{}: {name} is {found_value}, the preset has {wanted_value}",
                wanted.name()
            ));
        }
        same.set(name, wanted_value);
    }
    (same != *wanted).then(|| format!("{} has other parameters than the preset", wanted.name()))
}

fn standard(norm: Norm) -> Vec<AttackSpec> {
    let StandardApgd { radius_schedule, restarts, targets } = StandardApgd::for_norm(norm);
    let apgd = ApgdSpec { radius_schedule, ..ApgdSpec::default() };
    vec![
        AttackSpec::ApgdCe(ApgdSpec { restarts, ..apgd.clone() }),
        AttackSpec::ApgdT(TargetedApgdSpec { targets, apgd }),
        AttackSpec::FabT(TargetedFabSpec::default()),
        AttackSpec::Square(SquareSpec::default()),
    ]
}

fn plus(norm: Norm) -> Vec<AttackSpec> {
    let StandardApgd { radius_schedule, .. } = StandardApgd::for_norm(norm);
    let apgd = ApgdSpec { radius_schedule, ..ApgdSpec::default() };
    let several = ApgdSpec { restarts: RESTARTS, ..apgd.clone() };
    vec![
        AttackSpec::ApgdCe(several.clone()),
        AttackSpec::ApgdDlr(several),
        AttackSpec::Fab(FabSpec { restarts: RESTARTS, ..FabSpec::default() }),
        AttackSpec::Square(SquareSpec::default()),
        AttackSpec::ApgdT(TargetedApgdSpec { apgd, ..TargetedApgdSpec::default() }),
        AttackSpec::FabT(TargetedFabSpec::default()),
    ]
}

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
    use mimir_bundle::attack::RadiusSchedule;

    use super::*;
    use crate::testing::NORMS;

    /// `name restarts x targets`, with `~` where the radius shrinks and the number of averaged gradients.
    fn summary(attack: &AttackSpec) -> String {
        let apgd = |spec: &ApgdSpec| {
            let shrinks = if spec.radius_schedule == RadiusSchedule::Shrinking { "~" } else { "" };
            assert_eq!(spec.steps, 100);
            format!("{}{shrinks} eot {}", spec.restarts, spec.eot)
        };
        let numbers = match attack {
            AttackSpec::ApgdCe(spec) | AttackSpec::ApgdDlr(spec) => apgd(spec),
            AttackSpec::ApgdT(spec) => format!("{} x {}", apgd(&spec.apgd), spec.targets),
            AttackSpec::Fab(spec) => format!("{}", spec.restarts),
            AttackSpec::FabT(spec) => format!("{} x {}", spec.fab.restarts, spec.targets),
            AttackSpec::Square(spec) => format!("{} of {}", spec.restarts, spec.queries),
            other => panic!("{} is in no preset", other.name()),
        };
        format!("{} {numbers}", attack.name())
    }

    #[test]
    fn what_a_list_lacks_of_a_preset_is_named() {
        for norm in [Norm::Linf, Norm::L2, Norm::L1] {
            for preset in Preset::ALL {
                assert_eq!(preset.missing_of(&preset.attacks(norm), norm), None);
            }
            let lacks =
                |attacks: &[AttackSpec]| Preset::Standard.missing_of(attacks, norm).unwrap_or_default();
            let standard = Preset::Standard.attacks(norm);
            assert_eq!(lacks(&standard[..3]), "square is missing");
            assert_eq!(lacks(&[]), "apgd-ce is missing");
            let changed = |attack: usize, name: &str, argument| {
                let mut attacks = standard.clone();
                assert!(attacks[attack].set(name, argument));
                lacks(&attacks)
            };
            assert_eq!(changed(0, "steps", Argument::Count(99)), "apgd-ce: steps is 99, the preset has 100");
            assert_eq!(
                changed(3, "queries", Argument::Count(10)),
                "square: queries is 10, the preset has 5000"
            );
            assert_eq!(changed(0, "rho", Argument::Number(0.5)), "apgd-ce: rho is 0.5, the preset has 0.75");
            assert_eq!(changed(3, "queries", Argument::Count(9000)), "");
        }
    }

    #[test]
    fn presets_are_those_of_the_reference() {
        let standard = ["apgd-ce 1 eot 1", "apgd-t 1 eot 1 x 9", "fab-t 1 x 9", "square 1 of 5000"];
        let standard_l1 = ["apgd-ce 5~ eot 1", "apgd-t 1~ eot 1 x 5", "fab-t 1 x 9", "square 1 of 5000"];
        let plus =
            "apgd-ce 5 eot 1, apgd-dlr 5 eot 1, fab 5, square 1 of 5000, apgd-t 1 eot 1 x 9, fab-t 1 x 9";
        let plus_l1 =
            "apgd-ce 5~ eot 1, apgd-dlr 5~ eot 1, fab 5, square 1 of 5000, apgd-t 1~ eot 1 x 9, fab-t 1 x 9";
        let rand = "apgd-ce 1 eot 20, apgd-dlr 1 eot 20";
        for norm in NORMS {
            let list =
                |preset: Preset| preset.attacks(norm).iter().map(summary).collect::<Vec<_>>().join(", ");
            let is_l1 = norm == Norm::L1;
            assert_eq!(list(Preset::Standard), if is_l1 { standard_l1 } else { standard }.join(", "));
            assert_eq!(list(Preset::Plus), if is_l1 { plus_l1 } else { plus });
            assert_eq!(list(Preset::Rand), rand);
        }
    }

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
                "no attack \"apdg-ce\"; did you mean \"apgd-ce\"? (attacks: {}; presets: standard, plus, rand)",
                AttackSpec::NAMES.join(", ")
            )
        );
    }
}
