//! The list of attacks: a preset or names, and the flags that change their parameters.

use mimir_bundle::attack::{Argument, TransferSpec};
use mimir_bundle::{AttackSpec, Norm};
use mimir_certify::{ErrorKind, ExtraAttacks};
use mimir_runtime::attack::{Preset, attacks_named};

use crate::failure::{Failure, OrKind, failure};
use crate::settings::{AttackName, ParameterFlag, Settings, attacks_with};

/// The attacks that the settings ask for, each parameter in its range.
///
/// # Errors
/// When the list is empty, names an attack twice or a preset beside others, when a flag reaches no attack of the list,
/// or when a parameter is out of its range, or an attack is not for that norm.
pub(crate) fn attacks(settings: &Settings, norm: Norm) -> Result<Vec<AttackSpec>, Failure> {
    let default = [AttackName::default_choice()];
    let mut attacks = named(settings.attacks.as_deref().unwrap_or(&default), norm)?;
    add_transfer(settings, &mut attacks)?;
    change(settings, &mut attacks)?;
    expect_feature_used(settings, &attacks)?;
    attacks.iter().try_for_each(AttackSpec::check).or_kind(ErrorKind::Options)?;
    attacks.iter().try_for_each(|attack| attack.check_norm(norm)).or_kind(ErrorKind::Options)?;
    Ok(attacks)
}

/// The presets for deterministic models add an attack where the model calls for it; a list of names is what it says.
pub(crate) fn extra_attacks(settings: &Settings) -> ExtraAttacks {
    let default = [AttackName::default_choice()];
    let names = settings.attacks.as_deref().unwrap_or(&default);
    let preset = names.iter().find_map(|name| Preset::named(name.as_str()));
    match preset {
        Some(Preset::Standard | Preset::Plus | Preset::Fast | Preset::Mimir) => ExtraAttacks::WhereCalledFor,
        Some(Preset::Rand) | None => ExtraAttacks::None,
    }
}

fn named(names: &[AttackName], norm: Norm) -> Result<Vec<AttackSpec>, Failure> {
    if names.is_empty() {
        return Err(failure(ErrorKind::Options, "--attacks is empty: name a preset, or at least one attack"));
    }
    let preset = names.iter().find(|name| Preset::named(name.as_str()).is_some());
    if let (Some(preset), true) = (preset, names.len() > 1) {
        return Err(failure(
            ErrorKind::Options,
            format!("--attacks: {preset} is a preset and cannot be combined with other attacks"),
        ));
    }
    if let Some(twice) = names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
        return Err(failure(
            ErrorKind::Options,
            format!("--attacks names {0} twice: raise --restarts instead", twice.1),
        ));
    }
    let mut attacks = Vec::new();
    for name in names {
        attacks.extend(attacks_named(name.as_str(), norm).or_kind(ErrorKind::Options)?);
    }
    Ok(attacks)
}

/// A surrogate is there for the attack that asks it, which needs one.
fn add_transfer(settings: &Settings, attacks: &mut Vec<AttackSpec>) -> Result<(), Failure> {
    let is_listed = attacks.iter().any(|attack| matches!(attack, AttackSpec::Transfer(_)));
    match (settings.surrogate.is_some(), is_listed) {
        (true, false) => attacks.push(AttackSpec::Transfer(TransferSpec::default())),
        (false, true) => {
            let message = "transfer takes its way from another model: name it with --surrogate FILE";
            return Err(failure(ErrorKind::Options, message));
        }
        (true, true) | (false, false) => {}
    }
    Ok(())
}

fn change(settings: &Settings, attacks: &mut [AttackSpec]) -> Result<(), Failure> {
    settings.attack_arguments().iter().try_for_each(|(flag, argument)| set(flag, *argument, attacks))
}

/// A tensor is named for attacks that move its values.
fn expect_feature_used(settings: &Settings, attacks: &[AttackSpec]) -> Result<(), Failure> {
    let moves_features = |attack: &AttackSpec| attack.feature().is_some();
    if settings.feature.is_none() || attacks.iter().any(moves_features) {
        return Ok(());
    }
    let chosen: Vec<&str> = attacks.iter().map(AttackSpec::name).collect();
    let all = AttackSpec::NAMES.iter().copied();
    let those: Vec<&str> =
        all.filter(|name| AttackSpec::named(name).is_some_and(|spec| moves_features(&spec))).collect();
    let (chosen, those) = (chosen.join(", "), those.join(", "));
    Err(failure(
        ErrorKind::Options,
        format!(
            "--feature has no effect on {chosen}: it applies to {those}; omit it, or add one of these to --attacks"
        ),
    ))
}

/// Sets a parameter of every attack that has it.
fn set(flag: &ParameterFlag, argument: Argument, attacks: &mut [AttackSpec]) -> Result<(), Failure> {
    let ParameterFlag { flag, parameter, .. } = flag;
    let reached =
        attacks.iter_mut().filter_map(|attack| attack.set(parameter, argument).then_some(())).count();
    if reached > 0 {
        return Ok(());
    }
    let chosen: Vec<&str> = attacks.iter().map(AttackSpec::name).collect();
    Err(failure(
        ErrorKind::Options,
        format!(
            "{flag} has no effect on {}: it applies to {}; omit it, or add one of these to --attacks",
            chosen.join(", "),
            attacks_with(parameter).join(", ")
        ),
    ))
}

#[cfg(test)]
mod tests {
    use mimir_bundle::attack::PgdPoint;

    use super::*;
    use crate::settings::PgdPointName;

    fn made(change: impl FnOnce(&mut Settings)) -> Result<Vec<AttackSpec>, String> {
        let mut settings = Settings::default();
        change(&mut settings);
        attacks(&settings, Norm::Linf).map_err(|failure| failure.to_string())
    }

    fn list(names: &[&str]) -> Option<Vec<AttackName>> {
        Some(names.iter().map(|name| name.parse().unwrap()).collect())
    }

    #[test]
    fn without_names_it_is_the_standard_preset() {
        let names = |attacks: Vec<AttackSpec>| attacks.iter().map(AttackSpec::name).collect::<Vec<_>>();
        assert_eq!(names(made(|_| {}).unwrap()), ["apgd-ce", "apgd-t", "fab-t", "square"]);
        assert_eq!(names(made(|s| s.attacks = list(&["noise", "pgd"])).unwrap()), ["noise", "pgd"]);
        let with_surrogate = made(|s| s.surrogate = Some("other.onnx".into())).unwrap();
        assert_eq!(names(with_surrogate), ["apgd-ce", "apgd-t", "fab-t", "square", "transfer"]);
    }

    #[test]
    fn presets_for_deterministic_models_may_add_an_attack() {
        let extra = |names: &[&str]| extra_attacks(&Settings { attacks: list(names), ..Settings::default() });
        assert_eq!(extra_attacks(&Settings::default()), ExtraAttacks::WhereCalledFor);
        assert_eq!(extra(&["standard"]), ExtraAttacks::WhereCalledFor);
        assert_eq!(extra(&["plus"]), ExtraAttacks::WhereCalledFor);
        assert_eq!(extra(&["fast"]), ExtraAttacks::WhereCalledFor);
        assert_eq!(extra(&["mimir"]), ExtraAttacks::WhereCalledFor);
        assert_eq!(extra(&["rand"]), ExtraAttacks::None);
        assert_eq!(extra(&["apgd-ce", "square"]), ExtraAttacks::None);
    }

    #[test]
    fn flags_reach_every_attack_that_has_the_parameter() {
        let made = made(|settings| {
            settings.attacks = list(&[
                "apgd-ce",
                "apgd-dlr",
                "apgd-t",
                "apgd-mt",
                "malt",
                "fab",
                "fab-t",
                "fmn",
                "square",
                "hopskipjump",
                "pgd",
                "fgsm",
                "noise",
                "transfer",
                "relaxed-pgd",
                "pgd-feature",
                "pgd-mi",
                "feature-ce",
            ]);
            settings.surrogate = Some("other.onnx".into());
            settings.steps = Some(3);
            settings.restarts = Some(4);
            settings.targets = Some(5);
            settings.queries = Some(6);
            settings.eot = Some(7);
            settings.samples = Some(8);
            settings.step_size = Some(0.75);
            settings.pgd_momentum = Some(0.5);
            settings.subset = Some(0.25);
            settings.pgd_point = Some(PgdPointName::Last);
        });
        let made = made.unwrap();
        let read = |parameter| made.iter().filter_map(|attack| attack.get(parameter)).collect::<Vec<_>>();
        for (parameter, value, attacks) in [
            ("steps", 3, 14),
            ("restarts", 4, 16),
            ("targets", 5, 6),
            ("queries", 6, 2),
            ("eot", 7, 6),
            ("samples", 8, 1),
        ] {
            assert_eq!(read(parameter), vec![Argument::Count(value); attacks], "{parameter}");
        }
        assert_eq!(read("step_size"), [Argument::Number(0.75); 3]);
        assert_eq!(read("momentum_decay"), [Argument::Number(0.5)]);
        assert_eq!(read("subset"), [Argument::Number(0.25)]);
        assert_eq!(read("point"), [Argument::Point(PgdPoint::Last)]);
        assert_eq!(
            made.iter().map(AttackSpec::eot).collect::<Vec<_>>(),
            [7, 7, 7, 7, 7, 1, 1, 1, 1, 1, 7, 1, 1, 1, 1, 1, 1, 1]
        );
    }

    #[test]
    fn mistakes_name_the_way_out() {
        type Change = fn(&mut Settings);
        let cases: [(Change, &str); 16] = [
            (|s| s.attacks = Some(vec![]), "--attacks is empty"),
            (|s| s.attacks = list(&["square", "square"]), "names square twice"),
            (|s| s.attacks = list(&["apgd-ce", "rand"]), "rand is a preset"),
            (
                |s| (s.attacks, s.queries) = (list(&["pgd"]), Some(1)),
                "--queries has no effect on pgd: it applies to square",
            ),
            (
                |s| (s.attacks, s.steps) = (list(&["square", "noise"]), Some(1)),
                "--steps has no effect on square, noise",
            ),
            (|s| (s.attacks, s.restarts) = (list(&["fgsm"]), Some(1)), "--restarts"),
            (
                |s| (s.attacks, s.targets) = (list(&["fab"]), Some(1)),
                "it applies to apgd-t, apgd-mt, malt, fab-t, transfer, relaxed-pgd",
            ),
            (
                |s| (s.attacks, s.eot) = (list(&["fab"]), Some(1)),
                "apgd-ce, apgd-dlr, apgd-t, apgd-mt, malt, pgd",
            ),
            (|s| s.samples = Some(1), "--samples"),
            (
                |s| s.feature = Some("x".to_owned()),
                "--feature has no effect on apgd-ce, apgd-t, fab-t, square: it applies to pgd-feature, pgd-mi, feature-ce",
            ),
            (|s| s.step_size = Some(1.0), "--step-size"),
            (|s| s.pgd_point = Some(PgdPointName::Best), "--pgd-point"),
            (|s| s.attacks = list(&["transfer"]), "name it with --surrogate FILE"),
            (|s| s.attacks = list(&["cw"]), "cw is an attack in L2, not in Linf"),
            (
                |s| (s.attacks, s.pgd_momentum) = (list(&["pgd"]), Some(1.5)),
                "momentum_decay is 1.5, must be 0 to 1",
            ),
            (|s| s.steps = Some(0), "apgd-ce: steps is 0, must be 1 to"),
        ];
        for (change, expected) in cases {
            let error = made(change).unwrap_err();
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }
}
