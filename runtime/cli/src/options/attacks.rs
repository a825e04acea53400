//! The list of attacks: a preset or names, and the flags that change their parameters.

use mimir_bundle::attack::PgdPoint;
use mimir_bundle::{AttackSpec, Norm};
use mimir_runtime::attack::{Preset, attacks_named};

use super::usage;
use crate::failure::{Blame, Failure, OrBlame};
use crate::settings::{AttackName, PgdPointName, Settings};

/// The attacks that the settings ask for, each parameter in its range.
///
/// # Errors
/// When the list is empty, names an attack twice or a preset beside others, when a flag reaches no attack of the list,
/// or when a parameter is out of its range.
pub(crate) fn attacks(settings: &Settings, norm: Norm) -> Result<Vec<AttackSpec>, Failure> {
    let default = [AttackName::default_choice()];
    let mut attacks = named(settings.attacks.as_deref().unwrap_or(&default), norm)?;
    change(settings, &mut attacks)?;
    attacks.iter().try_for_each(AttackSpec::check).or_blame(Blame::Usage)?;
    Ok(attacks)
}

fn named(names: &[AttackName], norm: Norm) -> Result<Vec<AttackSpec>, Failure> {
    if names.is_empty() {
        return Err(usage("--attacks is empty: name a preset, or at least one attack"));
    }
    let preset = names.iter().find(|name| Preset::named(name.as_str()).is_some());
    if let (Some(preset), true) = (preset, names.len() > 1) {
        return Err(usage(format!("--attacks: {preset} is a preset, a list in itself: name it alone")));
    }
    if let Some(twice) = names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
        return Err(usage(format!("--attacks names {0} twice: raise --restarts instead", twice.1)));
    }
    let mut attacks = Vec::new();
    for name in names {
        attacks.extend(attacks_named(name.as_str(), norm).or_blame(Blame::Usage)?);
    }
    Ok(attacks)
}

/// Where an attack keeps a parameter; `None` for attacks without it.
type Slot<T> = fn(&mut AttackSpec) -> Option<&mut T>;

fn change(settings: &Settings, attacks: &mut [AttackSpec]) -> Result<(), Failure> {
    let counts: [(&str, Option<usize>, Slot<usize>); 6] = [
        ("--steps", settings.steps, steps),
        ("--restarts", settings.restarts, restarts),
        ("--targets", settings.targets, targets),
        ("--queries", settings.queries, queries),
        ("--eot", settings.eot, eot),
        ("--samples", settings.samples, samples),
    ];
    for (flag, value, slot) in counts {
        set(flag, value, slot, attacks)?;
    }
    set("--step-size", settings.step_size, step_size, attacks)?;
    let point = settings.pgd_point.map(|name| match name {
        PgdPointName::Best => PgdPoint::Best,
        PgdPointName::Last => PgdPoint::Last,
    });
    set("--pgd-point", point, pgd_point, attacks)
}

fn set<T: Copy>(
    flag: &str,
    value: Option<T>,
    slot: Slot<T>,
    attacks: &mut [AttackSpec],
) -> Result<(), Failure> {
    let Some(value) = value else { return Ok(()) };
    let mut reached = false;
    for place in attacks.iter_mut().filter_map(slot) {
        *place = value;
        reached = true;
    }
    if reached {
        return Ok(());
    }
    let has_it = |name: &&&str| AttackSpec::named(name).is_some_and(|mut spec| slot(&mut spec).is_some());
    let users: Vec<&str> = AttackSpec::NAMES.iter().filter(has_it).copied().collect();
    let chosen: Vec<&str> = attacks.iter().map(AttackSpec::name).collect();
    Err(usage(format!(
        "{flag} has no effect on {}: it is for {}; leave it away, or name one of those in --attacks",
        chosen.join(", "),
        users.join(", ")
    )))
}

fn steps(spec: &mut AttackSpec) -> Option<&mut usize> {
    match spec {
        AttackSpec::ApgdCe(spec) | AttackSpec::ApgdDlr(spec) => Some(&mut spec.steps),
        AttackSpec::ApgdT(spec) => Some(&mut spec.apgd.steps),
        AttackSpec::Fab(spec) => Some(&mut spec.steps),
        AttackSpec::FabT(spec) => Some(&mut spec.fab.steps),
        AttackSpec::Pgd(spec) => Some(&mut spec.steps),
        AttackSpec::Square(_) | AttackSpec::Fgsm(_) | AttackSpec::Noise(_) => None,
    }
}

fn restarts(spec: &mut AttackSpec) -> Option<&mut usize> {
    match spec {
        AttackSpec::ApgdCe(spec) | AttackSpec::ApgdDlr(spec) => Some(&mut spec.restarts),
        AttackSpec::ApgdT(spec) => Some(&mut spec.apgd.restarts),
        AttackSpec::Fab(spec) => Some(&mut spec.restarts),
        AttackSpec::FabT(spec) => Some(&mut spec.fab.restarts),
        AttackSpec::Square(spec) => Some(&mut spec.restarts),
        AttackSpec::Pgd(spec) => Some(&mut spec.restarts),
        AttackSpec::Fgsm(_) | AttackSpec::Noise(_) => None,
    }
}

fn targets(spec: &mut AttackSpec) -> Option<&mut usize> {
    match spec {
        AttackSpec::ApgdT(spec) => Some(&mut spec.targets),
        AttackSpec::FabT(spec) => Some(&mut spec.targets),
        _ => None,
    }
}

fn queries(spec: &mut AttackSpec) -> Option<&mut usize> {
    match spec {
        AttackSpec::Square(spec) => Some(&mut spec.queries),
        _ => None,
    }
}

fn eot(spec: &mut AttackSpec) -> Option<&mut usize> {
    match spec {
        AttackSpec::ApgdCe(spec) | AttackSpec::ApgdDlr(spec) => Some(&mut spec.eot),
        AttackSpec::ApgdT(spec) => Some(&mut spec.apgd.eot),
        AttackSpec::Pgd(spec) => Some(&mut spec.eot),
        _ => None,
    }
}

fn samples(spec: &mut AttackSpec) -> Option<&mut usize> {
    match spec {
        AttackSpec::Noise(spec) => Some(&mut spec.samples),
        _ => None,
    }
}

fn step_size(spec: &mut AttackSpec) -> Option<&mut f64> {
    match spec {
        AttackSpec::Pgd(spec) => Some(&mut spec.step_size),
        _ => None,
    }
}

fn pgd_point(spec: &mut AttackSpec) -> Option<&mut PgdPoint> {
    match spec {
        AttackSpec::Pgd(spec) => Some(&mut spec.point),
        _ => None,
    }
}

/// Gradients that an attack averages at each step: more than 1 is an attack on the expectation over randomness.
pub(crate) fn eot_of(spec: &AttackSpec) -> usize {
    eot(&mut spec.clone()).map_or(1, |eot| *eot)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }

    #[test]
    fn flags_reach_every_attack_that_has_the_parameter() {
        let made = made(|settings| {
            settings.attacks = list(AttackSpec::NAMES);
            settings.steps = Some(3);
            settings.restarts = Some(4);
            settings.targets = Some(5);
            settings.queries = Some(6);
            settings.eot = Some(7);
            settings.samples = Some(8);
            settings.step_size = Some(0.75);
            settings.pgd_point = Some(PgdPointName::Last);
        });
        let mut made = made.unwrap();
        let read = |slot: Slot<usize>, made: &mut [AttackSpec]| -> Vec<usize> {
            made.iter_mut().filter_map(slot).map(|value| *value).collect()
        };
        assert_eq!(read(steps, &mut made), [3; 6]);
        assert_eq!(read(restarts, &mut made), [4; 7]);
        assert_eq!(read(targets, &mut made), [5; 2]);
        assert_eq!(read(queries, &mut made), [6]);
        assert_eq!(read(eot, &mut made), [7; 4]);
        assert_eq!(read(samples, &mut made), [8]);
        let AttackSpec::Pgd(pgd) = &made[6] else { panic!("{:?}", made[6]) };
        assert_eq!((pgd.step_size, pgd.point), (0.75, PgdPoint::Last));
        assert_eq!(made.iter().map(eot_of).collect::<Vec<_>>(), [7, 7, 7, 1, 1, 1, 7, 1, 1]);
    }

    #[test]
    fn mistakes_name_the_way_out() {
        type Change = fn(&mut Settings);
        let cases: [(Change, &str); 12] = [
            (|s| s.attacks = Some(vec![]), "--attacks is empty"),
            (|s| s.attacks = list(&["square", "square"]), "names square twice"),
            (|s| s.attacks = list(&["apgd-ce", "rand"]), "rand is a preset"),
            (
                |s| (s.attacks, s.queries) = (list(&["pgd"]), Some(1)),
                "--queries has no effect on pgd: it is for square",
            ),
            (
                |s| (s.attacks, s.steps) = (list(&["square", "noise"]), Some(1)),
                "--steps has no effect on square, noise",
            ),
            (|s| (s.attacks, s.restarts) = (list(&["fgsm"]), Some(1)), "--restarts"),
            (|s| (s.attacks, s.targets) = (list(&["fab"]), Some(1)), "it is for apgd-t, fab-t;"),
            (|s| (s.attacks, s.eot) = (list(&["fab"]), Some(1)), "apgd-ce, apgd-dlr, apgd-t, pgd;"),
            (|s| s.samples = Some(1), "--samples"),
            (|s| s.step_size = Some(1.0), "--step-size"),
            (|s| s.pgd_point = Some(PgdPointName::Best), "--pgd-point"),
            (|s| s.steps = Some(0), "apgd-ce: steps is 0, must be 1 to"),
        ];
        for (change, expected) in cases {
            let error = made(change).unwrap_err();
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }
}
