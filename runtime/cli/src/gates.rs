//! Several gates in one run: each `[[gate]]` of the settings file is evaluated with the other settings of the file.
//!
//! Each has its own report in a folder below the report folder, in the same format as a run with one gate, so that
//! everything that reads reports works on it. `gates.json` beside those folders has all answers.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use mimir_bundle::certificate::RunSettings;
use mimir_certify::report_folder::GATES;
use mimir_certify::{
    BundleMode, Certified, ErrorKind, ModelInput, certify, clear_report_folder, expect_room, record_failure,
};
use mimir_runtime::evaluate::Ending;
use mimir_runtime::report::{Conclusion, Report};
use serde::Serialize;

use crate::failure::{Failure, OrKind, failure};
use crate::options::{Options, Verbosity};
use crate::page::page_missing;
use crate::progress::ProgressDisplay;
use crate::settings::{GateTable, LoadedSettings, Settings, effective};

/// The exit code of a run that was interrupted.
const INTERRUPTED: u8 = 75;

/// The version of its format.
const GATES_VERSION: u32 = 2;

/// One gate of a run that has several.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NamedGate {
    pub(crate) name: String,
    /// The settings of a run with this gate alone.
    pub(crate) settings: Settings,
    /// Where they came from.
    pub(crate) record: RunSettings,
}

/// What all gates said.
#[derive(Debug, Serialize)]
pub(crate) struct Gates {
    schema_version: u32,
    /// The exit code of the program: the worst of them.
    pub(crate) exit_code: u8,
    gates: Vec<GateAnswer>,
    /// Names of the gates that had not begun when the run was interrupted.
    not_begun: Vec<String>,
}

/// What a run of several gates ended with.
#[derive(Debug)]
pub(crate) struct GatesRun {
    pub(crate) answers: Gates,
    /// The report of each gate that was begun, by its name.
    pub(crate) reports: Vec<(String, Report)>,
    /// The summaries.
    pub(crate) text: String,
}

#[derive(Debug, Serialize)]
struct GateAnswer {
    /// Its name, which is that of its folder.
    name: String,
    conclusion: Conclusion,
    attacked_accuracy: f64,
    clean_accuracy: f64,
    exit_code: u8,
}

/// The gates of the settings, in the order of the file; none where the file has no `[[gate]]`.
///
/// # Errors
/// When a gate says nothing new, or a setting of the run has no effect on any of them.
pub(crate) fn gates_of(loaded: &LoadedSettings) -> Result<Vec<NamedGate>, Failure> {
    let LoadedSettings { settings, record } = loaded;
    let Some(tables) = &settings.gate else { return Ok(Vec::new()) };
    let decided = [
        ("epsilon", settings.epsilon.is_some()),
        ("min-attacked-accuracy", settings.min_attacked_accuracy.is_some()),
        ("baseline", settings.baseline.is_some()),
    ];
    if let Some((name, _)) = decided.iter().find(|(_, is_given)| *is_given) {
        return Err(usage(format!("{name} has no effect beside [[gate]]: give it in each gate")));
    }
    let mut gates: Vec<NamedGate> = Vec::new();
    for table in tables {
        let gate = named(table, settings, record)?;
        if gates.iter().any(|other| other.name == gate.name) {
            return Err(usage(format!(
                "two gates are named `{}`: give each another norm, epsilon or name",
                gate.name
            )));
        }
        gates.push(gate);
    }
    Ok(gates)
}

fn named(table: &GateTable, settings: &Settings, record: &RunSettings) -> Result<NamedGate, Failure> {
    let name = table.name.clone().unwrap_or_else(|| table.default_name());
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
        return Err(usage(format!("a gate is named `{name}`: wanted letters, digits, `-`, `_` and `.`")));
    }
    let settings = Settings {
        gate: None,
        norm: Some(table.norm),
        epsilon: Some(table.epsilon.clone()),
        min_attacked_accuracy: table.min_attacked_accuracy,
        gate_on: table.gate_on.or(settings.gate_on),
        min_clean_accuracy: table.min_clean_accuracy.or(settings.min_clean_accuracy),
        baseline: table.baseline.clone(),
        report: settings.report.as_ref().map(|folder| folder.join(&name)),
        ..settings.clone()
    };
    let effective = effective(&settings).or_kind(ErrorKind::Internal)?;
    Ok(NamedGate { name, settings, record: RunSettings { effective, files: record.files.clone() } })
}

impl Gates {
    /// What those gates said, of those that were asked for. With fewer the run was interrupted.
    fn new(reports: &[(String, Report)], wanted: &[String]) -> Self {
        let answer = |(name, report): &(String, Report)| GateAnswer {
            name: name.clone(),
            conclusion: report.gate.conclusion,
            attacked_accuracy: report.attacked_accuracy,
            clean_accuracy: report.clean_accuracy,
            exit_code: report.gate.exit_code,
        };
        let gates: Vec<GateAnswer> = reports.iter().map(answer).collect();
        let not_begun: Vec<String> = wanted.iter().skip(gates.len()).cloned().collect();
        let missing = (!not_begun.is_empty()).then_some(INTERRUPTED);
        let codes: Vec<u8> = gates.iter().map(|gate| gate.exit_code).chain(missing).collect();
        Self { schema_version: GATES_VERSION, exit_code: worst(&codes), gates, not_begun }
    }
}

/// The exit code of several gates: interrupted, then a requirement that does not hold, then one that is not shown to hold.
fn worst(codes: &[u8]) -> u8 {
    [INTERRUPTED, 10, 11].into_iter().find(|code| codes.contains(code)).unwrap_or(0)
}

/// Runs the gates one after the other; an interruption ends the rest.
///
/// # Errors
/// When the settings of a gate mean nothing, before the first one runs; when one cannot be evaluated, or the answers
/// cannot be written.
pub(crate) fn run_gates(
    model: &ModelInput,
    gates: Vec<NamedGate>,
    folder: Option<&Path>,
    verbosity: Verbosity,
    interrupted: &AtomicBool,
) -> Result<GatesRun, Failure> {
    let file = folder.map(|folder| folder.join(GATES));
    let folders = clear_folders(folder, &gates)?;
    let options = |gate: NamedGate| {
        let NamedGate { name, settings, record } = gate;
        Ok((name, Options::new(model, LoadedSettings { settings, record })?))
    };
    let runs: Vec<(String, Options)> = gates.into_iter().map(options).collect::<Result<_, Failure>>()?;
    expect_room_for_all(&runs).inspect_err(|failure| {
        folders.iter().for_each(|folder| record_failure(folder, failure.kind, &failure.to_string()));
    })?;
    let wanted: Vec<String> = runs.iter().map(|(name, _)| name.clone()).collect();
    let (mut text, mut reports) = (String::new(), Vec::new());
    let mut is_unwritten = false;
    for (name, options) in runs {
        let display = ProgressDisplay::new(verbosity);
        let certified = certify(&options.certify, &display, interrupted);
        display.finish();
        let Certified { report, bundle, unwritten, .. } = match certified {
            // Between two gates: what the earlier ones said is worth keeping.
            Err(error) if error.kind() == ErrorKind::Interrupted && !reports.is_empty() => break,
            Err(error) => {
                let failure = Failure::from(error);
                for folder in folders.iter().skip(reports.len() + 1) {
                    record_failure(folder, failure.kind, &failure.to_string());
                }
                return Err(failure);
            }
            Ok(certified) => certified,
        };
        text += &format!("gate {name}\n\n{report}\n");
        text += &bundle.map(|change| format!("{change}\n")).unwrap_or_default();
        let bare = options.certify.report.as_ref().and_then(|report| page_missing(&report.folder));
        for reason in unwritten.map(|unwritten| unwritten.to_string()).into_iter().chain(bare) {
            text += &format!("{reason}\n\n");
            is_unwritten = true;
        }
        let is_interrupted = report.ending == Ending::Interrupted;
        reports.push((name, report));
        if is_interrupted {
            break;
        }
    }
    let mut answers = Gates::new(&reports, &wanted);
    if is_unwritten {
        answers.exit_code = ErrorKind::Storage.exit_code();
    }
    if let Some(file) = &file {
        let json = serde_json::to_vec_pretty(&answers).or_kind(ErrorKind::Internal)?;
        mimir_files::replace(file, &json).or_kind(ErrorKind::Storage)?;
        text += &format!("written to {}: {GATES}, and a report folder for each gate\n", file.display());
    }
    Ok(GatesRun { answers, reports, text })
}

/// Whether the certificates of all runs can be written into the bundle, before the first one runs.
fn expect_room_for_all(runs: &[(String, Options)]) -> Result<(), Failure> {
    for (index, (name, Options { certify })) in runs.iter().enumerate() {
        expect_room(certify)?;
        let same = |(_, other): &&(String, Options)| other.certify.threat_model == certify.threat_model;
        let twin = runs[..index].iter().find(same).filter(|_| certify.bundle != BundleMode::LeaveAlone);
        if let Some((other, _)) = twin {
            return Err(usage(format!(
                "the gates `{other}` and `{name}` are of the same threat model, {}, and a bundle has one certificate for \
                 each: add --keep-bundle",
                certify.threat_model
            )));
        }
    }
    Ok(())
}

/// Puts what earlier runs left in the folders of the gates, and in the one above them, out of the way; returns those of the
/// gates. A folder that holds the baseline of its gate is left to the run of that gate, which reads the baseline first.
fn clear_folders(folder: Option<&Path>, gates: &[NamedGate]) -> Result<Vec<PathBuf>, Failure> {
    if let Some(folder) = folder {
        clear_report_folder(folder)?;
    }
    let mut folders = Vec::new();
    for Settings { report, baseline, .. } in gates.iter().map(|gate| &gate.settings) {
        let Some(folder) = report else { continue };
        let holds_baseline = baseline.as_ref().is_some_and(|baseline| baseline.parent() == Some(folder));
        if !holds_baseline {
            clear_report_folder(folder)?;
        }
        folders.push(folder.clone());
    }
    Ok(folders)
}

fn usage(message: String) -> Failure {
    failure(ErrorKind::Options, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        toml::from_str(text).unwrap()
    }

    fn gates(text: &str) -> Result<Vec<NamedGate>, Failure> {
        gates_of(&LoadedSettings { settings: settings(text), record: RunSettings::default() })
    }

    const TWO: &str = "report = \"out\"\nmin-clean-accuracy = 0.9\n\
        [[gate]]\nnorm = \"linf\"\nepsilon = \"2/255\"\nmin-attacked-accuracy = 0.4\n\
        [[gate]]\nnorm = \"l2\"\nepsilon = \"0.5\"\nmin-attacked-accuracy = 0.3\ngate-on = \"lower\"\nname = \"euclid\"\n";

    #[test]
    fn each_gate_is_a_run_of_its_own() {
        let several = gates(TWO).unwrap();
        let names: Vec<&str> = several.iter().map(|gate| gate.name.as_str()).collect();
        assert_eq!(names, ["linf-2-255", "euclid"]);
        assert_eq!(several[0].settings.report, Some("out/linf-2-255".into()));
        assert_eq!(several[1].settings.min_attacked_accuracy, Some(0.3));
        assert!(several.iter().all(|gate| gate.settings.min_clean_accuracy == Some(0.9)));
        assert!(several.iter().all(|gate| gate.settings.gate.is_none()));
        let recorded = |gate: usize, key: &str| several[gate].record.effective[key].to_string();
        assert_eq!([recorded(0, "norm"), recorded(1, "norm")], ["\"linf\"", "\"l2\""]);
        assert_eq!([recorded(0, "epsilon"), recorded(1, "epsilon")], ["\"2/255\"", "\"0.5\""]);
        assert_eq!(gates("").unwrap(), []);
    }

    #[test]
    fn gates_that_an_interruption_left_out_are_named() {
        let wanted = ["linf-2-255".to_owned(), "euclid".to_owned()];
        let answers = Gates::new(&[], &wanted);
        assert_eq!((answers.exit_code, answers.not_begun.as_slice()), (75, &wanted[..]));
        let none = Gates::new(&[], &[]);
        assert_eq!((none.exit_code, none.not_begun.len()), (0, 0));
    }

    #[test]
    fn gates_that_contradict_are_refused() {
        let refused = |text: &str| gates(text).unwrap_err().to_string();
        assert!(
            refused(&format!("epsilon = \"1/255\"\n{TWO}")).contains("epsilon has no effect beside [[gate]]")
        );
        assert!(refused(&TWO.replace("euclid", "linf-2-255")).contains("two gates are named"));
        assert!(refused(&TWO.replace("euclid", "../up")).contains("wanted letters"));
        assert!(toml::from_str::<Settings>(&TWO.replace("gate-on", "gate-off")).is_err());
    }

    #[test]
    fn the_worst_answer_counts() {
        assert_eq!([&[][..], &[0], &[0, 11], &[11, 10, 0], &[10, 75]].map(worst), [0, 0, 11, 10, 75]);
    }
}
