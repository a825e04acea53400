//! From an evaluation to its report and its certificate: both are views of the same findings.

use mimir_bundle::AttackSpec;
use mimir_bundle::certificate::{
    AttackRecord, CERTIFICATE_VERSION, Certificate, Counts, CrossCheck, Extent, GateRecord, RunSettings,
    STATEMENT, SettingsFile, WarningRecord,
};

use super::{
    AttackSummary, Conclusion, CurvePoint, GateReport, MEANING, ModelSummary, Notice, REPORT_VERSION, Report,
    RuleAnswer, RunDescription, Severity, Warning, attack_warnings::attack_warnings, diagnosis,
};
use crate::attack::Preset;
use crate::evaluate::{AttackResult, Ending, Evaluation, ImageOutcome, Verdict};
use crate::experiments::FirstOrder;
use crate::statistics::{accuracies, clopper_pearson, fraction};

/// An evaluation, and the description of the run that it comes from.
#[derive(Debug, Clone, Copy)]
pub struct Findings<'a> {
    description: &'a RunDescription,
    evaluation: &'a Evaluation,
}

impl<'a> Findings<'a> {
    /// Joins the two.
    pub fn new(description: &'a RunDescription, evaluation: &'a Evaluation) -> Self {
        Self { description, evaluation }
    }

    /// `report.json`, the summary and the gate.
    pub fn report(&self) -> Report {
        let RunDescription { manifest, seconds, model_file, .. } = self.description;
        let counts = self.evaluation.counts();
        let (clean_accuracy, attacked_accuracy) = accuracies(&counts);
        let (diagnosis, warnings) = self.diagnosis();
        let warnings: Vec<Notice> = warnings.into_iter().map(Into::into).collect();
        let weakened_by = weakening(&warnings);
        Report {
            schema_version: REPORT_VERSION,
            clean_accuracy,
            attacked_accuracy,
            standard_accuracy: self
                .robust_after_standard()
                .map(|robust| fraction(robust, self.evaluation.outcomes.len())),
            attacked_accuracy_interval: clopper_pearson(counts.not_broken(), counts.images),
            images: counts.images,
            counts,
            ending: self.evaluation.ending,
            gate: self.gate(&counts, weakened_by),
            preset: self.preset(),
            attacks: self.summaries(),
            skipped_attacks: self.description.skipped_attacks.clone(),
            curve: self
                .description
                .curve
                .then(|| curve(self.evaluation, self.description.threat_model.epsilon)),
            meaning: MEANING.to_owned(),
            warnings,
            diagnosis,
            landscapes: self.description.landscapes.clone(),
            threat_model: self.description.threat_model,
            model: ModelSummary {
                file: model_file.clone(),
                manifest: manifest.clone(),
                scan: self.description.scan.clone(),
            },
            data: self.description.data.clone(),
            seed: self.description.seed,
            settings_files: self.description.settings.files.clone(),
            execution: self.description.execution.clone(),
            majority_test: self.description.majority_test.clone(),
            cross_check: self.description.cross_check.clone(),
            accepted_differences: self.description.accepted_differences.clone(),
            seconds: *seconds,
            created_at: self.description.created_at.clone(),
            tool: self.description.tool.clone(),
            outcomes: self.evaluation.outcomes.clone(),
        }
    }

    /// `certificate.json`; an interrupted evaluation has none.
    pub fn certificate(&self) -> Option<Certificate> {
        let description = self.description.clone();
        let Report { gate, warnings, .. } = self.report();
        let extent = match self.evaluation.ending {
            Ending::Complete => Extent::Complete,
            Ending::GateDecided => Extent::GateDecided,
            Ending::Interrupted => return None,
        };
        Some(Certificate {
            extent,
            schema_version: CERTIFICATE_VERSION,
            statement: STATEMENT.to_owned(),
            created_at: description.created_at,
            tool: description.tool,
            model: description.manifest,
            data: description.data,
            threat_model: description.threat_model,
            seed: description.seed,
            standard_still_robust: self.robust_after_standard(),
            preset: self.preset(),
            attacks: self.evaluation.attacks.iter().map(record).collect(),
            settings: description.settings,
            execution: description.execution,
            majority_test: description.majority_test,
            cross_check: description.cross_check,
            accepted_differences: description.accepted_differences,
            counts: self.evaluation.counts(),
            gate: gate_record(&gate),
            warnings: warnings.into_iter().map(warning_record).collect(),
            counterexamples: description.counterexamples,
        })
    }

    /// Images that the standard evaluation left, where other attacks came after it. Those that it broke by rounding only
    /// are none of them.
    fn robust_after_standard(&self) -> Option<usize> {
        let attacks = &self.evaluation.attacks;
        let length = Preset::standard_length(&self.specs(), self.description.threat_model.norm)?;
        let first = &attacks[..length];
        let last = first.last()?;
        let is_fragile = |verdict: &Verdict| match verdict {
            Verdict::Broken { fragile, attack, .. } => {
                *fragile && first.iter().any(|standard| standard.name == *attack)
            }
            _ => false,
        };
        Some(last.still_robust.saturating_sub(self.evaluation.count(is_fragile)))
    }

    fn gate(&self, counts: &Counts, weakened_by: Vec<String>) -> GateReport {
        let RunDescription { gate, min_preset, baseline, .. } = self.description;
        let baseline = baseline.as_ref().map(|baseline| baseline.compare(self.evaluation));
        let gate = GateReport::decide(gate, counts, weakened_by, baseline, self.evaluation.ending);
        GateReport { min_preset: min_preset.clone(), ..gate }
    }

    fn specs(&self) -> Vec<AttackSpec> {
        self.evaluation.attacks.iter().map(|attack| attack.spec.clone()).collect()
    }

    fn preset(&self) -> Option<String> {
        let preset = Preset::of_run(&self.specs(), self.description.threat_model.norm);
        preset.map(|preset| preset.name().to_owned())
    }

    fn summaries(&self) -> Vec<AttackSummary> {
        let images = self.evaluation.outcomes.len();
        self.evaluation.attacks.iter().map(|attack| AttackSummary::new(attack, images)).collect()
    }

    /// The answers of the rules, and all warnings: a rule that fails is one where no other says it.
    fn diagnosis(&self) -> (Vec<RuleAnswer>, Vec<Warning>) {
        let mut warnings = self.warnings();
        let answers = diagnosis::diagnose(self.description, self.evaluation, &warnings);
        warnings.extend(diagnosis::failing(&answers, &warnings));
        (answers, warnings)
    }

    /// The warnings of the description, and those that the clean accuracy, the attacks and the cross-check call for.
    fn warnings(&self) -> Vec<Warning> {
        let Counts { images, clean_correct, .. } = self.evaluation.counts();
        let classes = self.description.manifest.classes;
        let mut warnings = ignored_settings(&self.description.settings);
        warnings.extend(self.description.warnings.iter().cloned());
        let differences = self.description.accepted_differences.clone();
        warnings.extend((!differences.is_empty()).then_some(Warning::ApproximateSearch { differences }));
        warnings
            .extend((self.preset() == Some(Preset::Fast.name().to_owned())).then_some(Warning::FastPreset));
        if clean_correct == 0 {
            warnings.push(Warning::NothingToAttack);
        } else {
            warnings.extend(near_chance(clean_correct, images, classes));
        }
        if self.evaluation.undecided > 0 {
            warnings.push(Warning::UndecidedImages { images: self.evaluation.undecided });
        }
        warnings.extend(attack_warnings(self.evaluation, classes));
        warnings.extend(self.description.first_order.as_ref().ok().and_then(misleading));
        warnings.extend(fragile(self.evaluation));
        warnings.extend(in_float32_only(self.evaluation));
        warnings.extend(self.description.cross_check.as_ref().and_then(disagreement));
        warnings
    }
}

/// The kinds of the warnings that weaken the verdict, each once.
fn weakening(warnings: &[Notice]) -> Vec<String> {
    let weaken = warnings.iter().filter(|notice| notice.severity == Severity::WeakensVerdict);
    let mut kinds: Vec<String> = weaken.map(|notice| notice.warning.kind()).collect();
    kinds.dedup();
    kinds
}

/// Gradients that do not say what happens.
fn misleading(first_order: &FirstOrder) -> Option<Warning> {
    first_order
        .misleads()
        .then(|| Warning::MisleadingGradients { images: first_order.broken(), judged: first_order.judged() })
}

/// Images that only rounding breaks.
fn fragile(evaluation: &Evaluation) -> Option<Warning> {
    let is_fragile =
        |outcome: &&ImageOutcome| matches!(outcome.verdict, Verdict::Broken { fragile: true, .. });
    let images: Vec<usize> =
        evaluation.outcomes.iter().filter(is_fragile).map(|outcome| outcome.image).collect();
    (!images.is_empty()).then_some(Warning::Fragile { images })
}

/// Images whose counterexample is one of float32 alone.
fn in_float32_only(evaluation: &Evaluation) -> Option<Warning> {
    let known: Vec<(usize, f32)> = evaluation
        .outcomes
        .iter()
        .filter_map(|outcome| match outcome.verdict {
            Verdict::Broken { margin_float64: Some(margin), .. } => Some((outcome.image, margin)),
            _ => None,
        })
        .collect();
    let images: Vec<usize> =
        known.iter().filter(|(_, margin)| *margin > 0.0).map(|(image, _)| *image).collect();
    (!images.is_empty()).then_some(Warning::BrokenInFloat32Only { images, known: known.len() })
}

/// Where guessing cannot be excluded: either the accuracy is near it, or the images are too few to tell.
fn near_chance(clean_correct: usize, images: usize, classes: usize) -> Option<Warning> {
    let (clean_accuracy, chance) = (fraction(clean_correct, images), fraction(1, classes));
    if clopper_pearson(clean_correct, images).lower > chance {
        return None;
    }
    // A quarter of the way to perfection is near.
    Some(if clean_accuracy <= chance + (1.0 - chance) / 4.0 {
        Warning::NearChance { clean_accuracy, classes }
    } else {
        Warning::FewImages { images, classes }
    })
}

/// A warning for each settings file with keys that had no effect.
pub fn ignored_settings(settings: &RunSettings) -> Vec<Warning> {
    let ignoring = settings.files.iter().filter(|file| !file.ignored.is_empty());
    let warning = |file: &SettingsFile| Warning::IgnoredSettings {
        file: file.path.clone(),
        keys: file.ignored.clone(),
    };
    ignoring.map(warning).collect()
}

fn disagreement(cross_check: &CrossCheck) -> Option<Warning> {
    let CrossCheck { engine, engine_version, counterexamples, disagreements, .. } = cross_check;
    (!disagreements.is_empty()).then(|| Warning::EnginesDisagree {
        engine: format!("{engine} {engine_version}"),
        counterexamples: *counterexamples,
        images: disagreements.iter().map(|disagreement| disagreement.image).collect(),
    })
}

fn gate_record(gate: &GateReport) -> GateRecord {
    GateRecord {
        conclusion: conclusion_name(gate.conclusion).to_owned(),
        sentence: gate.to_string(),
        min_attacked_accuracy: gate.min_attacked_accuracy,
        exit_code: gate.exit_code,
    }
}

/// As in the report.
fn conclusion_name(conclusion: Conclusion) -> &'static str {
    match conclusion {
        Conclusion::NoRequirement => "no_requirement",
        Conclusion::Holds => "holds",
        Conclusion::DoesNotHold => "does_not_hold",
        Conclusion::Inconclusive => "inconclusive",
        Conclusion::Open => "open",
    }
}

fn warning_record(notice: Notice) -> WarningRecord {
    WarningRecord { kind: notice.warning.kind(), message: notice.message }
}

fn record(attack: &AttackResult) -> AttackRecord {
    AttackRecord {
        name: attack.name.clone(),
        parameters: attack.spec.clone(),
        attacked: attack.attacked,
        broken: attack.broken,
        non_finite: attack.non_finite,
        still_robust: attack.still_robust,
        unfinished: attack.unfinished,
        forwards: attack.passes.forwards,
        backwards: attack.passes.backwards,
    }
}

/// Points of the curve between the clean images and the radius.
const POINTS: usize = 16;

/// The attacked accuracy at each sixteenth of the radius, and beyond it where a minimum-norm attack looked there: up to
/// twice the radius, where the distance of every image that is still robust is known.
///
/// It is an upper bound of the robust accuracy at every radius, never too low: it counts points that were found.
fn curve(evaluation: &Evaluation, epsilon: f64) -> Vec<CurvePoint> {
    let robust = |outcome: &&ImageOutcome| outcome.verdict == Verdict::StillRobust;
    let reaches_beyond = evaluation.outcomes.iter().filter(robust).all(|outcome| outcome.closest.is_some());
    let points = if reaches_beyond { 2 * POINTS } else { POINTS };
    let holds = |outcome: &&ImageOutcome, radius: f64| {
        let attacked = !matches!(outcome.verdict, Verdict::Misclassified | Verdict::NonFinite { .. });
        attacked && outcome.closest.is_none_or(|distance| distance > radius)
    };
    let point = |step: usize| {
        // At the radius itself this counts the verdicts: no counterexample lies further away.
        let radius = epsilon * step as f64 / POINTS as f64;
        let robust = evaluation.outcomes.iter().filter(|outcome| holds(outcome, radius)).count();
        CurvePoint { epsilon: radius, attacked_accuracy: fraction(robust, evaluation.outcomes.len()) }
    };
    (0..=points).map(point).collect()
}
