//! The flags that change parameters of attacks: which attacks each of them reaches, and its help.
//!
//! Attacks and their parameters are those of [`AttackSpec`]: a new attack whose parameters have known names needs nothing
//! here.

use mimir_bundle::AttackSpec;
use mimir_bundle::attack::{Argument, PgdPoint};
use mimir_runtime::attack::Preset;

use super::{PgdPointName, Settings};

/// A flag, and the parameter that it sets in every attack that has one of that name.
pub(crate) struct ParameterFlag {
    pub(crate) flag: &'static str,
    pub(crate) parameter: &'static str,
    /// What it means, for the help and for docs/report.md.
    pub(crate) meaning: &'static str,
    /// What was given, if anything.
    pub(crate) argument: Option<Argument>,
}

impl Settings {
    /// The flags for parameters of attacks, in the order of the help.
    pub(crate) fn attack_parameters(&self) -> [ParameterFlag; 8] {
        let count = |value: Option<usize>| value.map(Argument::Count);
        let flag = |flag, parameter, meaning, argument| ParameterFlag { flag, parameter, meaning, argument };
        let point = self.pgd_point.map(|name| match name {
            PgdPointName::Best => PgdPoint::Best,
            PgdPointName::Last => PgdPoint::Last,
        });
        [
            flag("--steps", "steps", STEPS, count(self.steps)),
            flag("--restarts", "restarts", RESTARTS, count(self.restarts)),
            flag("--targets", "targets", TARGETS, count(self.targets)),
            flag("--queries", "queries", QUERIES, count(self.queries)),
            flag("--eot", "eot", EOT, count(self.eot)),
            flag("--step-size", "step_size", STEP_SIZE, self.step_size.map(Argument::Number)),
            flag("--pgd-point", "point", PGD_POINT, point.map(Argument::Point)),
            flag("--samples", "samples", SAMPLES, count(self.samples)),
        ]
    }
}

const STEPS: &str = "Steps of each run";
const RESTARTS: &str = "Independent runs on each image and target";
const TARGETS: &str = "Target classes; a model of K classes has at most K - 1";
const QUERIES: &str = "Proposals of each run";
const EOT: &str =
    "Gradients averaged at each step, for models with random operators; the preset rand averages 20";
const STEP_SIZE: &str = "Length of a step, in units of epsilon";
const PGD_POINT: &str = "Points of a run that count: any of them, or only its last";
const SAMPLES: &str = "Random points tried on each image";

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

/// Help of a flag: what it means, of which attacks, and the default where they have the same.
pub(super) fn help_of(parameter: &str) -> String {
    let flags = Settings::default().attack_parameters();
    let meaning = flags.iter().find(|flag| flag.parameter == parameter).map_or("", |flag| flag.meaning);
    format!("{meaning} ({}) [default: {}]", attacks_with(parameter).join(", "), default_of(parameter))
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

    #[test]
    fn help_names_the_attacks_and_their_default() {
        assert_eq!(
            attacks_help(),
            "A preset (standard, plus, rand), or attacks in order: apgd-ce, apgd-dlr, apgd-t, fab, fab-t, square, pgd, \
             fgsm, noise [default: standard]"
        );
        assert_eq!(help_of("targets"), format!("{TARGETS} (apgd-t, fab-t) [default: 9]"));
        assert!(help_of("steps").ends_with("fab-t, pgd) [default: each attack's own]"));
        assert!(help_of("step_size").ends_with("(pgd) [default: 0.25]"));
        assert!(help_of("point").ends_with("(pgd) [default: best]"));
    }

    /// Every flag sets a parameter of some attack, by a name that exists.
    #[test]
    fn every_flag_reaches_an_attack() {
        for flag in Settings::default().attack_parameters() {
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
            "Presets: {}.\nAttacks: {}.\n\n| flag | attacks | meaning |\n| --- | --- | --- |\n",
            quoted(Preset::NAMES),
            quoted(AttackSpec::NAMES)
        );
        for ParameterFlag { flag, parameter, meaning, .. } in Settings::default().attack_parameters() {
            text += &format!("| `{flag}` | {} | {meaning} |\n", quoted(&attacks_with(parameter)));
        }
        text
    }
}
