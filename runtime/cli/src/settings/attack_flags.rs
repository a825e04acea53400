//! The flags that change parameters of attacks: which attacks each of them reaches, and its help.
//!
//! Attacks and their parameters are those of [`AttackSpec`]: a new attack whose parameters have known names needs
//! nothing here.

use mimir_bundle::AttackSpec;
use mimir_bundle::attack::{Argument, PgdPoint};
use mimir_runtime::attack::Preset;

/// A flag, and the parameter that it sets in every attack that has one of that name.
#[derive(Debug)]
pub(crate) struct ParameterFlag {
    pub(crate) flag: &'static str,
    pub(crate) parameter: &'static str,
    /// What it means, for the help and for docs/report.md.
    meaning: &'static str,
}

pub(super) const STEPS: ParameterFlag =
    ParameterFlag { flag: "--steps", parameter: "steps", meaning: "Iterations of one run" };
pub(super) const RESTARTS: ParameterFlag = ParameterFlag {
    flag: "--restarts",
    parameter: "restarts",
    meaning: "Independent runs per image and target",
};
pub(super) const TARGETS: ParameterFlag = ParameterFlag {
    flag: "--targets",
    parameter: "targets",
    meaning: "Target classes; at most K - 1 for K classes",
};
pub(super) const QUERIES: ParameterFlag =
    ParameterFlag { flag: "--queries", parameter: "queries", meaning: "Proposals of one run" };
pub(super) const EOT: ParameterFlag = ParameterFlag {
    flag: "--eot",
    parameter: "eot",
    meaning: "Gradients averaged per step, for stochastic models; the preset rand averages 20",
};
pub(super) const STEP_SIZE: ParameterFlag = ParameterFlag {
    flag: "--step-size",
    parameter: "step_size",
    meaning: "Length of a step, in units of epsilon",
};
pub(super) const PGD_MOMENTUM: ParameterFlag = ParameterFlag {
    flag: "--pgd-momentum",
    parameter: "momentum_decay",
    meaning: "Decay factor of the momentum of gradients, 0 to 1; MI-FGSM has 1",
};
pub(super) const SUBSET: ParameterFlag = ParameterFlag {
    flag: "--subset",
    parameter: "subset",
    meaning: "Share of the images that it is run on, drawn by --seed",
};
pub(super) const PGD_POINT: ParameterFlag = ParameterFlag {
    flag: "--pgd-point",
    parameter: "point",
    meaning: "best: every iterate counts; last: only the last one of a run",
};
pub(super) const SAMPLES: ParameterFlag =
    ParameterFlag { flag: "--samples", parameter: "samples", meaning: "Random points per image" };

/// The names of the attacks that have a parameter of that name.
pub(crate) fn attacks_with(parameter: &str) -> Vec<&'static str> {
    let has_it = |name: &&str| AttackSpec::named(name).is_some_and(|spec| spec.get(parameter).is_some());
    AttackSpec::NAMES.iter().copied().filter(has_it).collect()
}

/// Help of `--attacks`.
pub(super) fn attacks_help() -> String {
    format!(
        "A preset ({}), or attacks in order: {} [default: {}]",
        Preset::NAMES.join(", "),
        AttackSpec::NAMES.join(", "),
        Preset::Standard.name()
    )
}

impl ParameterFlag {
    /// Its help: what it means, of which attacks, and the default where they have the same.
    pub(super) fn help(&self) -> String {
        let Self { parameter, meaning, .. } = self;
        format!("{meaning} ({}) [default: {}]", attacks_with(parameter).join(", "), default_of(parameter))
    }
}

/// The default of a parameter, where all attacks with it have the same.
fn default_of(parameter: &str) -> String {
    let defaults = AttackSpec::NAMES.iter().filter_map(|name| AttackSpec::named(name)?.get(parameter));
    let mut defaults: Vec<String> = defaults.map(shown).collect();
    defaults.dedup();
    match &defaults[..] {
        [default] => default.clone(),
        _ => "each attack's own".to_owned(),
    }
}

fn shown(argument: Argument) -> String {
    match argument {
        Argument::Count(count) => count.to_string(),
        Argument::Number(number) => number.to_string(),
        Argument::Point(PgdPoint::Best) => "best".to_owned(),
        Argument::Point(PgdPoint::Last) => "last".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: [ParameterFlag; 10] =
        [STEPS, RESTARTS, TARGETS, QUERIES, SUBSET, EOT, STEP_SIZE, PGD_MOMENTUM, PGD_POINT, SAMPLES];

    #[test]
    fn help_names_the_attacks_and_their_default() {
        let names = AttackSpec::NAMES.join(", ");
        let help = format!(
            "A preset (standard, plus, rand, fast, mimir), or attacks in order: {names} [default: standard]"
        );
        assert_eq!(attacks_help(), help);
        let targets = TARGETS.help();
        assert!(targets.starts_with("Target classes") && targets.contains("malt, fab-t"), "{targets}");
        assert!(QUERIES.help().ends_with(" [default: 5000]"), "{}", QUERIES.help());
        assert!(STEPS.help().ends_with(" [default: each attack's own]"), "{}", STEPS.help());
        assert_eq!([Argument::Number(0.25), Argument::Point(PgdPoint::Best)].map(shown), ["0.25", "best"]);
    }

    /// Every flag sets a parameter of some attack, by a name that exists.
    #[test]
    fn every_flag_reaches_an_attack() {
        for flag in FLAGS {
            assert!(!attacks_with(flag.parameter).is_empty(), "{}", flag.flag);
        }
    }

    /// The list and the table of docs/report.md. `MIMIR_BLESS=1 cargo test` rewrites them.
    #[test]
    fn the_documentation_lists_attacks_and_flags() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/report.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (begin, end) =
            ("<!-- attacks: made by a test, see docs/adding-an-attack.md -->\n", "<!-- end -->\n");
        let (before, rest) = text.split_once(begin).unwrap();
        let (_, after) = rest.split_once(end).unwrap();
        let wanted = [before, begin, &documentation(), end, after].concat();
        if std::env::var_os("MIMIR_BLESS").is_some() {
            std::fs::write(path, &wanted).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), wanted, "docs/report.md: run with MIMIR_BLESS=1");
    }

    fn documentation() -> String {
        let quoted =
            |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let mut text = format!(
            "Attacks: {}.\n\n| flag | attacks | meaning |\n| --- | --- | --- |\n",
            quoted(AttackSpec::NAMES)
        );
        for ParameterFlag { flag, parameter, meaning } in FLAGS {
            text += &format!("| `{flag}` | {} | {meaning} |\n", quoted(&attacks_with(parameter)));
        }
        text
    }
}
