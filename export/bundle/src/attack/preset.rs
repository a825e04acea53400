//! AutoAttack's versions: lists of attacks in its order, with its numbers of restarts and targets; and a short list.

use crate::Norm;

use super::{
    ApgdSpec, Argument, AttackSpec, FabSpec, FmnSpec, MaltSpec, PgdSpec, RadiusSchedule, SquareSpec,
    TargetedApgdSpec, TargetedFabSpec,
};

/// A list of attacks: a version of AutoAttack, or what a gate can afford.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// What published robust accuracies mean.
    Standard,
    /// More losses and restarts, for models that may mask gradients.
    Plus,
    /// For models with random operators: gradients averaged over 20 evaluations.
    Rand,
    /// What finds most in few passes: docs/results/fast.md has what it left beside the standard evaluation.
    Fast,
    /// The standard evaluation, and after it attacks that found more on some network, for half of its passes.
    Mimir,
}

/// Steps of the searches of [`Preset::Fast`], where the norm does not ask for more.
const FAST_STEPS: usize = 30;
/// Classes that its targeted attacks aim at, likewise.
const FAST_TARGETS: usize = 3;
/// Queries of its Square, which stands guard: gradients that lead nowhere without being zero are seen by what it breaks after them.
const FAST_QUERIES: usize = 500;
/// The same in L1, where the searches by gradient are longer: the preset has an eighth of the standard evaluation's passes.
const FAST_QUERIES_L1: usize = 80;
/// The parameter that they are.
const QUERIES: &str = "queries";
/// Restarts of FMN in [`Preset::Mimir`]: on some images the standard evaluation leaves, the sixth finds what the first does not.
const FMN_RESTARTS: usize = 10;
/// Restarts of PGD with momentum in it.
const MOMENTUM_RESTARTS: usize = 3;
/// Restarts of [`Preset::Plus`].
const RESTARTS: usize = 5;
/// Gradients that [`Preset::Rand`] averages.
const EOT: usize = 20;

impl Preset {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Standard, Self::Plus, Self::Rand, Self::Fast, Self::Mimir];

    /// Their names.
    pub const NAMES: &'static [&'static str] = &["standard", "plus", "rand", "fast", "mimir"];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Plus => "plus",
            Self::Rand => "rand",
            Self::Fast => "fast",
            Self::Mimir => "mimir",
        }
    }

    /// The preset of that name; `None` where there is none.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// What those attacks lack of this preset: the first attack of it that is missing among them, or has fewer steps,
    /// restarts, targets or queries, or another parameter. `None` where they are at least as strong. The standard evaluation
    /// is more than the fast one.
    pub fn missing_of(self, attacks: &[AttackSpec], norm: Norm) -> Option<String> {
        if self == Self::Fast && Self::Standard.missing_of(attacks, norm).is_none() {
            return None;
        }
        self.attacks(norm).iter().find_map(|wanted| {
            let found = attacks.iter().find(|attack| attack.name() == wanted.name());
            let weaker = |found| weaker(found, wanted, "the preset has");
            found.map_or_else(|| Some(format!("{} is missing", wanted.name())), weaker)
        })
    }

    /// The preset whose attacks, with all their parameters, these are; `None` where they are of no preset.
    pub fn of(attacks: &[AttackSpec], norm: Norm) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.attacks(norm) == attacks)
    }

    /// How many attacks of a run are those of the standard evaluation, where the program added others after them. They
    /// are told by their names.
    pub fn standard_length(attacks: &[AttackSpec], norm: Norm) -> Option<usize> {
        let standard = standard(norm);
        let (first, added) = attacks.split_at_checked(standard.len())?;
        let is_standard = first.iter().zip(&standard).all(|(one, other)| one.name() == other.name());
        (is_standard && !added.is_empty()).then_some(standard.len())
    }

    /// The preset of a run. What the program adds after it is not the user's choice.
    pub fn of_run(attacks: &[AttackSpec], norm: Norm) -> Option<Self> {
        // It begins as the standard evaluation does.
        if attacks.starts_with(&Self::Mimir.attacks(norm)) {
            return Some(Self::Mimir);
        }
        let chosen = Self::standard_length(attacks, norm).unwrap_or(attacks.len());
        let is_fast = || [fast(norm), fast_where_masked(norm)].iter().any(|fast| attacks.starts_with(fast));
        Self::of(&attacks[..chosen], norm).or_else(|| is_fast().then_some(Self::Fast))
    }

    /// Those attacks for a model whose gradients are known to mislead: where they are those of [`Preset::Fast`], its Square no longer
    /// stands guard only, and has the queries of the standard evaluation. Parameters that somebody changed stay as they are.
    pub fn where_masked(attacks: &[AttackSpec], norm: Norm) -> Vec<AttackSpec> {
        let (fast, masked) = (fast(norm), fast_where_masked(norm));
        let is_fast = attacks.len() >= fast.len()
            && attacks.iter().zip(&fast).all(|(attack, fast)| attack.name() == fast.name());
        let mut attacks = attacks.to_vec();
        if is_fast {
            for (attack, (fast, masked)) in attacks.iter_mut().zip(fast.iter().zip(&masked)) {
                if let (true, Some(queries)) = (attack.get(QUERIES) == fast.get(QUERIES), masked.get(QUERIES))
                {
                    attack.set(QUERIES, queries);
                }
            }
        }
        attacks
    }

    /// The attack of that name as the standard evaluation of this norm would run it; `None` where there is none.
    pub(crate) fn standard_form(name: &str, norm: Norm) -> Option<AttackSpec> {
        let mut attack = AttackSpec::named(name)?;
        let radius = StandardApgd::for_norm(norm).radius_schedule;
        match &mut attack {
            AttackSpec::ApgdCe(apgd) | AttackSpec::ApgdDlr(apgd) => apgd.radius_schedule = radius,
            AttackSpec::ApgdT(targeted) => targeted.apgd.radius_schedule = radius,
            AttackSpec::ApgdMt(targeted) => targeted.apgd.radius_schedule = radius,
            AttackSpec::Malt(malt) => malt.apgd.radius_schedule = radius,
            _ => {}
        }
        Some(attack)
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
            Self::Fast => fast(norm),
            Self::Mimir => mimir(norm),
        }
    }
}

/// Why an attack is weaker than one of the same name: fewer steps, restarts, targets or queries, or another parameter.
/// `None` where it is not. `whose` says whose the other's value is: `the preset has`.
pub(crate) fn weaker(found: &AttackSpec, wanted: &AttackSpec, whose: &str) -> Option<String> {
    let mut same = found.clone();
    for parameter in wanted.clone().parameters() {
        let (name, wanted_value) = (parameter.name, parameter.argument());
        let found_value = found.get(name)?;
        let is_enough = match (found_value, wanted_value) {
            (Argument::Count(found), Argument::Count(wanted)) => found >= wanted,
            (found, wanted) => found == wanted,
        };
        if !is_enough {
            return Some(format!("{}: {name} is {found_value}, {whose} {wanted_value}", wanted.name()));
        }
        same.set(name, wanted_value);
    }
    // Where nothing in particular was wanted, what the program filled in will do.
    let same = if wanted.clone().unresolved() == *wanted { same.unresolved() } else { same };
    (same != *wanted).then(|| format!("{} has other parameters", wanted.name()))
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

/// The one that breaks most per pass comes first. In L1 short searches find too little.
fn fast(norm: Norm) -> Vec<AttackSpec> {
    let StandardApgd { radius_schedule, targets, .. } = StandardApgd::for_norm(norm);
    let apgd = |steps| ApgdSpec { steps, radius_schedule, ..ApgdSpec::default() };
    let guard = |queries| AttackSpec::Square(SquareSpec { queries, ..SquareSpec::default() });
    match norm {
        Norm::Linf | Norm::L2 => vec![
            AttackSpec::Fmn(FmnSpec { steps: FAST_STEPS, ..FmnSpec::default() }),
            AttackSpec::ApgdT(TargetedApgdSpec { targets: FAST_TARGETS, apgd: apgd(FAST_STEPS) }),
            guard(FAST_QUERIES),
        ],
        Norm::L1 => vec![
            AttackSpec::ApgdCe(apgd(80)),
            AttackSpec::ApgdT(TargetedApgdSpec { targets, apgd: apgd(50) }),
            guard(FAST_QUERIES_L1),
        ],
    }
}

/// [`Preset::Fast`] for a model whose gradients are known to mislead: Square is that of the standard evaluation.
fn fast_where_masked(norm: Norm) -> Vec<AttackSpec> {
    let whole = |attack| match attack {
        AttackSpec::Square(_) => AttackSpec::Square(SquareSpec::default()),
        other => other,
    };
    fast(norm).into_iter().map(whole).collect()
}

/// The four standard attacks come first, so that what they leave is seen; then those that find most per pass.
fn mimir(norm: Norm) -> Vec<AttackSpec> {
    let StandardApgd { radius_schedule, targets, .. } = StandardApgd::for_norm(norm);
    let apgd = ApgdSpec { radius_schedule, ..ApgdSpec::default() };
    let momentum =
        PgdSpec { steps: 100, restarts: MOMENTUM_RESTARTS, momentum_decay: 1.0, ..PgdSpec::default() };
    let added = [
        AttackSpec::Fmn(FmnSpec { restarts: FMN_RESTARTS, ..FmnSpec::default() }),
        AttackSpec::Malt(MaltSpec { targets, apgd, ..MaltSpec::default() }),
        AttackSpec::Pgd(momentum),
    ];
    standard(norm).into_iter().chain(added).collect()
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

/// Parameters of APGD that depend on the norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct StandardApgd {
    /// Radii of the balls that a run moves through.
    radius_schedule: RadiusSchedule,
    /// Runs on the cross entropy, from independent random starts.
    restarts: usize,
    /// Target classes of the targeted attack.
    targets: usize,
}

impl StandardApgd {
    /// Those of a norm: Croce and Hein, ICML 2020, for L∞ and L2; Croce and Hein, "Mind the box", ICML 2021, for L1.
    fn for_norm(norm: Norm) -> Self {
        match norm {
            Norm::Linf | Norm::L2 => Self { radius_schedule: RadiusSchedule::Fixed, restarts: 1, targets: 9 },
            Norm::L1 => Self { radius_schedule: RadiusSchedule::Shrinking, restarts: 5, targets: 5 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::RelaxedPgdSpec;

    const NORMS: [Norm; 3] = [Norm::Linf, Norm::L2, Norm::L1];

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

    /// It cannot end above the standard evaluation, which is a part of it.
    #[test]
    fn mimir_is_the_standard_evaluation_and_more() {
        for norm in NORMS {
            let (mimir, standard) = (Preset::Mimir.attacks(norm), Preset::Standard.attacks(norm));
            assert_eq!(mimir[..4], standard);
            let names: Vec<&str> = mimir[4..].iter().map(AttackSpec::name).collect();
            assert_eq!(names, ["fmn", "malt", "pgd"]);
            assert_eq!((mimir[4].restarts(), mimir[6].restarts()), (10, 3));
            assert_eq!(mimir[6].get("momentum_decay"), Some(Argument::Number(1.0)));
            assert_eq!(Preset::Standard.missing_of(&mimir, norm), None);
            assert_eq!(Preset::Mimir.missing_of(&standard, norm).as_deref(), Some("fmn is missing"));
            let added = [&mimir[..], &[AttackSpec::RelaxedPgd(RelaxedPgdSpec::default())]].concat();
            assert_eq!(Preset::of_run(&added, norm), Some(Preset::Mimir));
            assert_eq!(Preset::of_run(&mimir, norm), Some(Preset::Mimir));
            assert_eq!(Preset::standard_length(&mimir, norm), Some(4));
            // Some other list that begins with the standard attacks is one to which the program added them.
            assert_eq!(Preset::of_run(&mimir[..6], norm), Some(Preset::Standard));
        }
    }

    #[test]
    fn fast_is_short_and_a_standard_evaluation_is_more() {
        for norm in NORMS {
            let fast = Preset::Fast.attacks(norm);
            let numbers = |attack: &AttackSpec| {
                let shrinks = match attack {
                    AttackSpec::ApgdCe(apgd) | AttackSpec::ApgdT(TargetedApgdSpec { apgd, .. }) => {
                        apgd.radius_schedule == RadiusSchedule::Shrinking
                    }
                    _ => false,
                };
                (attack.name(), attack.get("steps"), attack.targets(), attack.restarts(), shrinks)
            };
            let steps = |count| Some(Argument::Count(count));
            let found: Vec<_> = fast.iter().map(numbers).collect();
            match norm {
                Norm::L1 => assert_eq!(
                    found[..2],
                    [("apgd-ce", steps(80), None, 1, true), ("apgd-t", steps(50), Some(5), 1, true)]
                ),
                Norm::Linf | Norm::L2 => assert_eq!(
                    found[..2],
                    [("fmn", steps(30), None, 1, false), ("apgd-t", steps(30), Some(3), 1, false)]
                ),
            }
            let queries =
                |attacks: &[AttackSpec]| (attacks.len(), attacks[2].name(), attacks[2].get("queries"));
            let masked = Preset::where_masked(&fast, norm);
            let few = if norm == Norm::L1 { 80 } else { 500 };
            assert_eq!(queries(&fast), (3, "square", Some(Argument::Count(few))));
            assert_eq!(queries(&masked), (3, "square", Some(Argument::Count(5000))));
            assert_eq!(masked[..2], fast[..2]);
            // Other parameters and what follows change nothing; queries that somebody chose stay.
            let mut longer = [fast.clone(), vec![AttackSpec::RelaxedPgd(RelaxedPgdSpec::default())]].concat();
            for attack in &mut longer {
                attack.set("steps", Argument::Count(77));
                attack.set("restarts", Argument::Count(3));
            }
            let found = Preset::where_masked(&longer, norm);
            assert_eq!((found[2].get("queries"), found[2].restarts()), (Some(Argument::Count(5000)), 3));
            assert_eq!((&found[..2], &found[3..]), (&longer[..2], &longer[3..]));
            let mut chosen = fast.clone();
            chosen[2].set("queries", Argument::Count(300));
            assert_eq!(Preset::where_masked(&chosen, norm), chosen);
            for other in [Preset::Standard, Preset::Plus, Preset::Rand, Preset::Mimir] {
                let mut attacks = other.attacks(norm);
                attacks.iter_mut().for_each(|attack| {
                    attack.set("queries", Argument::Count(few));
                });
                assert_eq!(Preset::where_masked(&attacks, norm), attacks, "{}", other.name());
            }

            let standard = Preset::Standard.attacks(norm);
            assert_eq!(Preset::Fast.missing_of(&standard, norm), None);
            assert!(Preset::Standard.missing_of(&fast, norm).is_some());
            assert_eq!(Preset::Fast.missing_of(&fast[..1], norm).as_deref(), Some("apgd-t is missing"));
            // What the program adds is not the user's choice, and no list of the user's is called fast that is none.
            let added = [&masked[..], &[AttackSpec::RelaxedPgd(RelaxedPgdSpec::default())]].concat();
            assert_eq!(Preset::of_run(&added, norm), Some(Preset::Fast));
            assert_eq!(Preset::missing_of(Preset::Fast, &added, norm), None);
            assert_eq!(Preset::of_run(&fast[..2], norm), None);
            assert_eq!(Preset::of_run(&standard, norm), Some(Preset::Standard));
        }
    }
}
