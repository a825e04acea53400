//! The report of an earlier evaluation as a baseline: what became worse on the same images.
//!
//! The file is foreign: everything in it is checked before it is compared, and only what is compared is read.

use mimir_bundle::certificate::{Counts, EvaluationData};
use mimir_bundle::{AttackSpec, ThreatModel, strict_json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::attack_difference::differing_attacks;
use super::consistency::{Contradiction, ROUNDING, check_outcomes, check_totals, is_correct, is_robust};
use super::version::REPORT_VERSION;
use crate::evaluate::{Ending, Evaluation, ImageOutcome, Verdict};
use crate::statistics::{fraction, mcnemar};

/// An earlier report, read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    file: String,
    tolerance: f64,
    old: OldReport,
}

/// What is compared of a report.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct OldReport {
    images: usize,
    ending: Ending,
    created_at: String,
    threat_model: ThreatModel,
    data: EvaluationData,
    model: OldModel,
    attacks: Vec<OldAttack>,
    clean_accuracy: f64,
    attacked_accuracy: f64,
    counts: Counts,
    outcomes: Vec<ImageOutcome>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct OldModel {
    manifest: OldManifest,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct OldManifest {
    model_digest: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct OldAttack {
    parameters: AttackSpec,
}

/// Why a report cannot be a baseline.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BaselineError {
    /// Not JSON, or not a report.
    // Without a source: its sentence is in this one.
    #[error("not a report: {0}")]
    Format(serde_json::Error),
    /// A report of another version of the format.
    #[error(
        "report with schema version {0}, this program compares version {REPORT_VERSION}: evaluate the old model again"
    )]
    Version(u64),
    /// Fields that cannot all be true.
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
    /// Not every image was attacked to the end.
    #[error(
        "the report is not complete ({0} images are unfinished): evaluate the old model again with every attack to its end"
    )]
    Unfinished(usize),
    /// It is about something else.
    #[error("the report has another {field}: {old}, this run has {new}")]
    Different {
        /// What differs.
        field: &'static str,
        /// In the report.
        old: String,
        /// In this run.
        new: String,
    },
    /// The tolerance is no fraction.
    #[error("a tolerance of {0}: wanted a fraction in [0, 1] (1 % is 0.01)")]
    Tolerance(f64),
}

impl From<serde_json::Error> for BaselineError {
    fn from(error: serde_json::Error) -> Self {
        Self::Format(error)
    }
}

/// What became of the images since the baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BaselineComparison {
    /// Name of the old report, as it was given.
    pub file: String,
    /// When the old evaluation ended.
    pub created_at: String,
    /// The old model.
    pub model_digest: String,
    /// Clean accuracy of the old model.
    pub clean_accuracy: f64,
    /// Attacked accuracy of the old model.
    pub attacked_accuracy: f64,
    /// By how much either may be lower now.
    pub tolerance: f64,
    /// Images that were robust and no longer are.
    pub newly_broken: Vec<usize>,
    /// Images that were not robust and now are.
    pub newly_robust: Vec<usize>,
    /// Images that were classified correctly and no longer are.
    pub newly_misclassified: usize,
    /// Images that were not classified correctly and now are.
    pub newly_correct: usize,
    /// Two-sided p-value of McNemar's exact test on the changes of the attacked accuracy.
    pub p_value: f64,
    /// Whether it is worse by more than the tolerance.
    pub regressed: bool,
}

impl Baseline {
    /// Reads a report. `file` is its name in the comparison.
    ///
    /// # Errors
    /// When the text is no report of this version, contradicts itself, or is not complete; when the tolerance is not in
    /// `[0, 1]`.
    pub fn from_json(file: &str, text: &str, tolerance: f64) -> Result<Self, BaselineError> {
        #[derive(Deserialize)]
        struct Version {
            schema_version: u64,
        }
        let Version { schema_version } = strict_json::from_slice(text.as_bytes())?;
        if schema_version != u64::from(REPORT_VERSION) {
            return Err(BaselineError::Version(schema_version));
        }
        if !(0.0..=1.0).contains(&tolerance) {
            return Err(BaselineError::Tolerance(tolerance));
        }
        let old: OldReport = serde_json::from_str(text)?;
        old.check()?;
        Ok(Self { file: file.to_owned(), tolerance, old })
    }

    /// Checks that it is about the same images, threat model and attacks.
    ///
    /// # Errors
    /// Names the first that differs.
    pub fn expect_same(
        &self,
        data: &EvaluationData,
        threat_model: &ThreatModel,
        attacks: &[AttackSpec],
    ) -> Result<(), BaselineError> {
        let old = &self.old;
        expect("set of images (SHA-256)", &old.data.images_digest, &data.images_digest)?;
        expect("set of labels (SHA-256)", &old.data.labels_digest, &data.labels_digest)?;
        if old.threat_model != *threat_model {
            return Err(different("threat model", &old.threat_model, threat_model));
        }
        let names = |specs: &[AttackSpec]| specs.iter().map(AttackSpec::name).collect::<Vec<_>>().join(", ");
        let specs: Vec<AttackSpec> = old.attacks.iter().map(|attack| attack.parameters.clone()).collect();
        expect("list of attacks", &names(&specs), &names(attacks))?;
        let (was, is): (Vec<&AttackSpec>, Vec<&AttackSpec>) =
            (specs.iter().collect(), attacks.iter().collect());
        match differing_attacks(&was, &is) {
            Some((old, new)) => Err(different("set of parameters", &old, &new)),
            None => Ok(()),
        }
    }

    /// Compares an evaluation of the same images with it.
    pub(super) fn compare(&self, evaluation: &Evaluation) -> BaselineComparison {
        let images = self.old.images;
        let pairs = || self.old.outcomes.iter().zip(&evaluation.outcomes);
        let changed = |holds: fn(&ImageOutcome) -> bool, now: bool| {
            pairs().filter(move |(old, new)| holds(new) == now && holds(old) != now).map(|(old, _)| old.image)
        };
        let count =
            |holds: fn(&ImageOutcome) -> bool| self.old.outcomes.iter().filter(|old| holds(old)).count();
        let newly_broken: Vec<usize> = changed(is_robust, false).collect();
        let newly_robust: Vec<usize> = changed(is_robust, true).collect();
        let (newly_misclassified, newly_correct) =
            (changed(is_correct, false).count(), changed(is_correct, true).count());
        let is_worse =
            |lost: usize, won: usize| fraction(lost.saturating_sub(won), images) > self.tolerance + ROUNDING;
        BaselineComparison {
            file: self.file.clone(),
            created_at: self.old.created_at.clone(),
            model_digest: self.old.model.manifest.model_digest.clone(),
            clean_accuracy: fraction(count(is_correct), images),
            attacked_accuracy: fraction(count(is_robust), images),
            tolerance: self.tolerance,
            p_value: mcnemar(newly_broken.len(), newly_robust.len()),
            regressed: is_worse(newly_broken.len(), newly_robust.len())
                || is_worse(newly_misclassified, newly_correct),
            newly_broken,
            newly_robust,
            newly_misclassified,
            newly_correct,
        }
    }
}

impl OldReport {
    fn check(&self) -> Result<(), BaselineError> {
        check_outcomes(self.images, &self.outcomes)?;
        let is_unfinished = |outcome: &&ImageOutcome| outcome.verdict == Verdict::Unfinished;
        let unfinished = self.outcomes.iter().filter(is_unfinished).count();
        if unfinished > 0 || self.ending == Ending::Interrupted {
            return Err(BaselineError::Unfinished(unfinished));
        }
        check_totals(&self.outcomes, &self.counts, self.clean_accuracy, self.attacked_accuracy)?;
        Ok(())
    }
}

fn expect(field: &'static str, old: &str, new: &str) -> Result<(), BaselineError> {
    if old == new { Ok(()) } else { Err(different(field, &old, &new)) }
}

fn different(field: &'static str, old: &dyn std::fmt::Display, new: &dyn std::fmt::Display) -> BaselineError {
    BaselineError::Different { field, old: old.to_string(), new: new.to_string() }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{description, evaluation};
    use super::super::{Findings, RunDescription};
    use super::*;

    fn old() -> serde_json::Value {
        serde_json::to_value(Findings::new(&description(), &evaluation()).report()).unwrap()
    }

    fn read(report: &serde_json::Value, tolerance: f64) -> Result<Baseline, BaselineError> {
        Baseline::from_json("old.json", &report.to_string(), tolerance)
    }

    /// Images 0 to 3: misclassified, broken, robust, robust.
    fn changed(verdicts: &[(usize, Verdict)]) -> Evaluation {
        let mut evaluation = evaluation();
        for (image, verdict) in verdicts {
            let outcome = &mut evaluation.outcomes[*image];
            outcome.verdict = verdict.clone();
            let wrong = *verdict == Verdict::Misclassified;
            outcome.clean_prediction = Some(if wrong { 9 } else { outcome.label });
        }
        evaluation
    }

    #[test]
    fn changes_are_counted_image_by_image() {
        let robust = |image| (image, Verdict::StillRobust);
        let broken = |image| (image, evaluation().outcomes[1].verdict.clone());
        let cases = [
            (vec![], 0.0, (vec![], vec![]), (0, 0), false),
            (vec![broken(2)], 0.0, (vec![2], vec![]), (0, 0), true),
            (vec![broken(2)], 0.25, (vec![2], vec![]), (0, 0), false),
            (vec![broken(2), robust(1)], 0.0, (vec![2], vec![1]), (0, 0), false),
            (vec![(1, Verdict::Misclassified)], 0.0, (vec![], vec![]), (1, 0), true),
            (vec![robust(0), (1, Verdict::Misclassified)], 0.0, (vec![], vec![0]), (1, 1), false),
        ];
        for (changes, tolerance, robust, clean, regressed) in cases {
            let found = read(&old(), tolerance).unwrap().compare(&changed(&changes));
            assert_eq!((found.newly_broken, found.newly_robust), robust, "{changes:?}");
            assert_eq!((found.newly_misclassified, found.newly_correct), clean, "{changes:?}");
            assert_eq!(found.regressed, regressed, "{changes:?}");
            assert_eq!((found.clean_accuracy, found.attacked_accuracy), (0.75, 0.5));
        }
    }

    #[test]
    fn a_regression_fails_the_gate() {
        let broken = evaluation().outcomes[1].verdict.clone();
        for (changes, exit_code, text) in
            [(vec![], 0, "PASS"), (vec![(2, broken)], 10, "FAIL  1 images broke")]
        {
            let baseline = Some(read(&old(), 0.0).unwrap());
            let description =
                RunDescription { baseline, gate: super::super::Requirements::default(), ..description() };
            let report = Findings::new(&description, &changed(&changes)).report();
            assert_eq!(report.gate.exit_code, exit_code);
            assert!(report.to_string().starts_with(text), "{report}");
        }
    }

    #[test]
    fn another_evaluation_is_no_baseline() {
        let RunDescription { data, threat_model, .. } = description();
        let attacks: Vec<AttackSpec> = evaluation().attacks.into_iter().map(|attack| attack.spec).collect();
        let baseline = read(&old(), 0.0).unwrap();
        baseline.expect_same(&data, &threat_model, &attacks).unwrap();
        let other = EvaluationData { labels_digest: "e".repeat(64), ..data.clone() };
        let error = |result: Result<(), BaselineError>| result.unwrap_err().to_string();
        assert!(error(baseline.expect_same(&other, &threat_model, &attacks)).contains("labels"));
        let larger = ThreatModel { epsilon: 0.1, ..threat_model };
        assert!(error(baseline.expect_same(&data, &larger, &attacks)).contains("threat model"));
        assert!(error(baseline.expect_same(&data, &threat_model, &[])).contains("list of attacks"));
        let mut fewer = attacks;
        fewer[0].set("steps", mimir_bundle::attack::Argument::Count(1));
        assert!(error(baseline.expect_same(&data, &threat_model, &fewer)).contains("parameters"));
    }

    #[test]
    fn foreign_files_are_checked() {
        type Change = fn(&mut serde_json::Value);
        let cases: [(Change, &str); 11] = [
            (|report| report["schema_version"] = 3.into(), "schema version 3"),
            (|report| report["outcomes"] = serde_json::json!([]), "0 outcomes of 4 images"),
            (|report| report["outcomes"][1]["image"] = 7.into(), "outcome 1 is of image 7"),
            (
                |report| report["outcomes"][3]["clean_prediction"] = 5.into(),
                "image 3 is robust but misclassified",
            ),
            (
                |report| report["outcomes"][3]["verdict"] = serde_json::json!({"outcome": "unfinished"}),
                "not complete",
            ),
            (
                |report| report["attacked_accuracy"] = 0.99.into(),
                "attacked_accuracy is 0.99, its outcomes give 2 of 4",
            ),
            (
                |report| report["clean_accuracy"] = 0.99.into(),
                "clean_accuracy is 0.99, its outcomes give 3 of 4",
            ),
            (|report| report["counts"]["broken"] = 2.into(), "its counts are {"),
            (
                |report| report["outcomes"][3]["verdict"] = serde_json::json!({"outcome": "misclassified"}),
                "its outcomes give {",
            ),
            (|report| report["threat_model"]["epsilon"] = "x".into(), "not a report"),
            (|report| *report = "x".into(), "not a report"),
        ];
        for (change, expected) in cases {
            let mut report = old();
            change(&mut report);
            let error = read(&report, 0.0).unwrap_err().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
        }
        assert!(read(&old(), f64::NAN).is_err() && read(&old(), 1.5).is_err());
    }
}
