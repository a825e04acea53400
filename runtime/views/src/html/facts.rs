//! What the page says in words and tables.

use mimir_bundle::certificate::{Counts, CrossCheck, Execution};
use mimir_bundle::statistics::{Interval, clopper_pearson, fraction};
use mimir_runtime::evaluate::{Ending, PassCounts};
use mimir_runtime::report::{AttackSummary, Conclusion, Notice, Report, Severity, percent, settings_line};
use serde::Serialize;

use super::figures::{self, Found};
use super::text::clipped;
use crate::criteria::{Criterion, Met, criteria};

/// Warnings and attacks that the page shows at most, and letters of one.
const WARNINGS: usize = 40;
const ATTACKS: usize = 40;
const LETTERS: usize = 1500;

/// What the page says.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Facts {
    gate: Option<String>,
    /// The verdict: a word, a sign, a class of the style sheet, and the sentence.
    word: String,
    sign: &'static str,
    tone: &'static str,
    sentence: String,
    model: String,
    model_sha256: String,
    /// Whether what is unfinished could make the attacked accuracy smaller.
    at_most: bool,
    attacked: String,
    interval: String,
    clean: String,
    standard: Option<String>,
    images: usize,
    source: String,
    preprocessing: Option<String>,
    images_digest: String,
    labels_digest: String,
    threat_model: String,
    meaning: String,
    ending: Option<String>,
    fragile: usize,
    counts: Vec<(String, usize)>,
    requirements: Vec<Requirement>,
    clean_row: AccuracyRow,
    attacks: Vec<AttackRow>,
    skipped: String,
    found: Vec<FoundRow>,
    curve: Vec<(String, String)>,
    warnings: Vec<WarningRow>,
    more_warnings: usize,
    weakening: usize,
    cross_check: Option<String>,
    forwards: String,
    backwards: String,
    seconds: String,
    environment: Vec<(String, String)>,
    settings_files: Vec<String>,
    seed: u64,
    created_at: String,
    tool: String,
}

#[derive(Debug, Clone, Serialize)]
struct Requirement {
    sign: &'static str,
    tone: &'static str,
    verdict: &'static str,
    wanted: String,
    found: String,
}

#[derive(Debug, Clone, Serialize)]
struct AccuracyRow {
    accuracy: String,
    interval: String,
}

#[derive(Debug, Clone, Serialize)]
struct AttackRow {
    name: String,
    after: AccuracyRow,
    attacked: usize,
    broken: usize,
    non_finite: usize,
    unfinished: usize,
    forwards: String,
    backwards: String,
    each: String,
    seconds: String,
    model_seconds: String,
    parameters: String,
}

#[derive(Debug, Clone, Serialize)]
struct FoundRow {
    attack: String,
    count: usize,
    /// The iterate by which half of them were found, and the last.
    half: usize,
    last: usize,
}

#[derive(Debug, Clone, Serialize)]
struct WarningRow {
    weakens: bool,
    kind: String,
    message: String,
}

impl Facts {
    pub(super) fn new(report: &Report, gate: Option<&str>) -> Self {
        let line = report.gate.to_string();
        let (word, sentence) = line.split_once("  ").unwrap_or(("", &line));
        let (sign, tone) = sign_of(report);
        let interval = &report.attacked_accuracy_interval;
        let counts = &report.counts;
        let warnings = &report.warnings;
        Self {
            gate: gate.map(|gate| clipped(gate, 100)),
            word: word.to_owned(),
            sign,
            tone,
            sentence: glued(&clipped(sentence, LETTERS)),
            model: clipped(&report.model.file, 200),
            model_sha256: clipped(report.model.sha256(), 64),
            at_most: counts.unfinished > 0,
            attacked: percent(report.attacked_accuracy),
            interval: range(interval),
            clean: percent(report.clean_accuracy),
            standard: report.standard_accuracy.map(percent),
            images: report.images,
            source: clipped(&report.data.source, 300),
            preprocessing: report.data.preprocessing.as_ref().map(ToString::to_string),
            images_digest: clipped(&report.data.images_digest, 64),
            labels_digest: clipped(&report.data.labels_digest, 64),
            threat_model: report.threat_model.to_string(),
            meaning: clipped(&report.meaning, LETTERS),
            ending: ending(report),
            fragile: counts.fragile,
            counts: counts_in_words(counts),
            requirements: criteria(report).into_iter().map(requirement).collect(),
            clean_row: accuracy_row(counts.clean_correct, counts.images),
            attacks: report
                .attacks
                .iter()
                .take(ATTACKS)
                .map(|attack| attack_row(attack, report.images))
                .collect(),
            found: figures::found(report).iter().map(found_row).collect(),
            curve: curve_rows(report),
            skipped: clipped(&report.skipped_attacks.join(", "), LETTERS),
            warnings: warnings.iter().take(WARNINGS).map(warning_row).collect(),
            more_warnings: warnings.len().saturating_sub(WARNINGS),
            weakening: warnings.iter().filter(|notice| notice.severity == Severity::WeakensVerdict).count(),
            cross_check: report.cross_check.as_ref().map(cross_check),
            forwards: thousands(total(report, |passes| passes.forwards)),
            backwards: thousands(total(report, |passes| passes.backwards)),
            seconds: duration(report.seconds),
            environment: environment(&report.execution),
            settings_files: report
                .settings_files
                .iter()
                .take(20)
                .map(|file| clipped(&settings_line(file), 500))
                .collect(),
            seed: report.seed,
            created_at: clipped(&report.created_at, 60),
            tool: clipped(&format!("{} {}", report.tool.name, report.tool.version), 100),
        }
    }
}

/// What became of how many images, without what there is none of.
fn counts_in_words(counts: &Counts) -> Vec<(String, usize)> {
    let all = [
        ("misclassified as they are", counts.images.saturating_sub(counts.clean_correct)),
        ("broken by an attack", counts.broken),
        ("with scores that mean no class", counts.non_finite),
        ("unfinished", counts.unfinished),
        ("still robust", counts.still_robust),
    ];
    let some = all.into_iter().filter(|(_, count)| *count > 0);
    some.map(|(words, count)| (words.to_owned(), count)).collect()
}

/// A number and its per cent sign stay on one line.
fn glued(text: &str) -> String {
    text.replace(" %", "\u{a0}%")
}

fn sign_of(report: &Report) -> (&'static str, &'static str) {
    match report.gate.conclusion {
        _ if report.gate.interrupted => ("…", "unclear"),
        Conclusion::NoRequirement => ("●", "neutral"),
        Conclusion::Holds => ("✓", "good"),
        Conclusion::DoesNotHold => ("✗", "bad"),
        Conclusion::Inconclusive | Conclusion::Open => ("?", "unclear"),
    }
}

fn ending(report: &Report) -> Option<String> {
    let unfinished = report.counts.unfinished;
    match report.ending {
        Ending::Complete => None,
        Ending::GateDecided => Some(format!(
            "The run stopped early: the answer was certain, and {unfinished} images are unfinished. The attacked accuracy is \
             an upper bound of that of a complete run (--full)."
        )),
        Ending::Interrupted => Some(format!(
            "This report is partial: the run was interrupted, and {unfinished} images are unfinished. The same command with \
             --resume continues it."
        )),
    }
}

fn requirement(criterion: Criterion) -> Requirement {
    let (sign, tone) = match criterion.verdict {
        Met::Yes => ("✓", "good"),
        Met::No => ("✗", "bad"),
        Met::Unclear => ("?", "unclear"),
        Met::Open => ("…", "unclear"),
    };
    let Criterion { wanted, found, verdict, .. } = criterion;
    Requirement {
        sign,
        tone,
        verdict: verdict.word(),
        wanted: glued(&clipped(&wanted, LETTERS)),
        found: glued(&clipped(&found, LETTERS)),
    }
}

fn accuracy_row(count: usize, images: usize) -> AccuracyRow {
    AccuracyRow {
        accuracy: percent(fraction(count, images)),
        interval: range(&clopper_pearson(count, images)),
    }
}

fn range(interval: &Interval) -> String {
    format!("{} to {}", percent(interval.lower), percent(interval.upper))
}

fn attack_row(attack: &AttackSummary, images: usize) -> AttackRow {
    let parameters = serde_json::to_value(&attack.parameters).unwrap_or_default();
    AttackRow {
        name: clipped(&attack.name, 60),
        after: accuracy_row(attack.still_robust.min(images), images),
        attacked: attack.attacked,
        broken: attack.broken,
        non_finite: attack.non_finite,
        unfinished: attack.unfinished,
        forwards: thousands(attack.forwards),
        backwards: thousands(attack.backwards),
        each: format!("{:.0}", attack.forwards_per_image + attack.backwards_per_image),
        seconds: duration(attack.seconds),
        model_seconds: duration(attack.model_seconds),
        parameters: clipped(&words(&parameters), 500),
    }
}

/// `steps 100, restarts 5` of `{"attack": …, "steps": 100, …}`, whatever is inside another object too.
fn words(parameters: &serde_json::Value) -> String {
    let mut found = Vec::new();
    collect_words(parameters, &mut found);
    found.join(", ")
}

fn collect_words(parameters: &serde_json::Value, found: &mut Vec<String>) {
    for (name, value) in parameters.as_object().into_iter().flatten() {
        match value {
            _ if name == "attack" => {}
            serde_json::Value::Object(_) => collect_words(value, found),
            serde_json::Value::String(text) => found.push(format!("{} {text}", name.replace('_', " "))),
            other => found.push(format!("{} {other}", name.replace('_', " "))),
        }
    }
}

fn found_row(found: &Found) -> FoundRow {
    let Found { attack, iterates } = found;
    FoundRow {
        attack: clipped(attack, 60),
        count: iterates.len(),
        half: iterates[(iterates.len() - 1) / 2],
        last: iterates[iterates.len() - 1],
    }
}

/// Every fourth point of the curve.
fn curve_rows(report: &Report) -> Vec<(String, String)> {
    let points = report.curve.iter().flatten().step_by(4).take(20);
    points
        .map(|point| (figures::shown_radius(report, point.epsilon), percent(point.attacked_accuracy)))
        .collect()
}

fn warning_row(notice: &Notice) -> WarningRow {
    WarningRow {
        weakens: notice.severity == Severity::WeakensVerdict,
        kind: clipped(&notice.warning.kind().replace('_', " "), 60),
        message: clipped(&notice.message, LETTERS),
    }
}

fn cross_check(check: &CrossCheck) -> String {
    let CrossCheck { engine, engine_version, counterexamples, confirmed, .. } = check;
    clipped(
        &format!("{engine} {engine_version} confirms {confirmed} of {counterexamples} counterexamples."),
        300,
    )
}

fn total(report: &Report, of: fn(&PassCounts) -> u64) -> u64 {
    report.outcomes.iter().map(|outcome| of(&outcome.passes)).fold(0, u64::saturating_add)
}

fn environment(execution: &Execution) -> Vec<(String, String)> {
    let Execution { engine, engine_version, device, precision, batch, workers, threads, processor, .. } =
        execution;
    [
        ("engine", format!("{engine} {engine_version} on {device}, searches in {precision}")),
        ("sessions", format!("batches of {batch}, {workers} workers with {threads} threads each")),
        ("processor", format!("{} ({})", processor.name, processor.features.join(", "))),
        ("system", format!("{} on {}", execution.operating_system, execution.architecture)),
    ]
    .map(|(word, value)| (word.to_owned(), clipped(&value, 500)))
    .into()
}

/// `12,345,678`, with narrow spaces.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// `0.35 s`, `12 s`, `3 min 20 s`, `2 h 5 min`.
fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 10.0 => format!("{seconds:.2} s"),
        ..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(
            [0, 999, 1000, 12_345_678].map(thousands),
            ["0", "999", "1\u{202f}000", "12\u{202f}345\u{202f}678"]
        );
        assert_eq!([0.354, 12.4, 200.0, 7530.0].map(duration), ["0.35 s", "12 s", "3 min 20 s", "2 h 5 min"]);
    }

    #[test]
    fn parameters_are_words() {
        let parameters = serde_json::json!({ "attack": "pgd", "steps": 10, "step_size": 0.25, "inner": { "point": "best" } });
        assert_eq!(words(&parameters), "point best, step size 0.25, steps 10");
    }
}
