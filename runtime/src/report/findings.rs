//! From an evaluation to its report and its certificate: both are views of the same findings.

use mimir_bundle::certificate::{
    AttackRecord, CERTIFICATE_VERSION, Certificate, Counterexamples, Counts, EvaluationData, Execution,
    STATEMENT, Tool,
};
use mimir_bundle::{Manifest, ThreatModel};

use super::{
    AttackSummary, GateReport, MEANING, MinAttackedAccuracy, ModelSummary, REPORT_VERSION, Report, Warning,
};
use crate::evaluate::{AttackResult, Evaluation};
use crate::statistics::{accuracies, clopper_pearson, fraction};

/// What was evaluated and how: all that an evaluation itself does not know.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Name of the model file, without its folder.
    pub model_file: String,
    /// The model.
    pub manifest: Manifest,
    /// The images and labels.
    pub data: EvaluationData,
    /// What the adversary was allowed to do.
    pub threat_model: ThreatModel,
    /// Key of all randomness.
    pub seed: u64,
    /// How the model was executed.
    pub execution: Execution,
    /// What is required of the attacked accuracy, if anything.
    pub gate: Option<MinAttackedAccuracy>,
    /// What was unusual about the model.
    pub warnings: Vec<Warning>,
    /// Wall time of the evaluation, in seconds.
    pub seconds: f64,
    /// When it ended, RFC 3339 in UTC.
    pub created_at: String,
    /// The program.
    pub tool: Tool,
    /// The stored counterexamples, where they are stored.
    pub counterexamples: Option<Counterexamples>,
}

/// An evaluation and its setting.
#[derive(Debug, Clone, Copy)]
pub struct Findings<'a> {
    setting: &'a Setting,
    evaluation: &'a Evaluation,
}

impl<'a> Findings<'a> {
    /// Puts an evaluation into its setting.
    pub fn new(setting: &'a Setting, evaluation: &'a Evaluation) -> Self {
        Self { setting, evaluation }
    }

    /// `report.json`, the summary and the gate.
    pub fn report(&self) -> Report {
        let Setting { manifest, gate, seconds, model_file, .. } = self.setting;
        let counts = self.counts();
        let (clean_accuracy, attacked_accuracy) = accuracies(&counts);
        Report {
            schema_version: REPORT_VERSION,
            clean_accuracy,
            attacked_accuracy,
            attacked_accuracy_interval: clopper_pearson(counts.still_robust, counts.images),
            images: counts.images,
            counts,
            gate: GateReport::decide(*gate, attacked_accuracy),
            attacks: self.summaries(),
            meaning: MEANING.to_owned(),
            warnings: self.warnings().into_iter().map(Into::into).collect(),
            threat_model: self.setting.threat_model,
            model: ModelSummary { file: model_file.clone(), manifest: manifest.clone() },
            data: self.setting.data.clone(),
            seed: self.setting.seed,
            execution: self.setting.execution.clone(),
            seconds: *seconds,
            created_at: self.setting.created_at.clone(),
            tool: self.setting.tool.clone(),
            outcomes: self.evaluation.outcomes.clone(),
        }
    }

    /// `certificate.json`.
    pub fn certificate(&self) -> Certificate {
        let setting = self.setting.clone();
        Certificate {
            schema_version: CERTIFICATE_VERSION,
            statement: STATEMENT.to_owned(),
            created_at: setting.created_at,
            tool: setting.tool,
            model: setting.manifest,
            data: setting.data,
            threat_model: setting.threat_model,
            seed: setting.seed,
            attacks: self.evaluation.attacks.iter().map(record).collect(),
            execution: setting.execution,
            counts: self.counts(),
            counterexamples: setting.counterexamples,
        }
    }

    fn counts(&self) -> Counts {
        let clean_correct = self.evaluation.clean_correct();
        let still_robust = self.evaluation.still_robust();
        Counts {
            images: self.evaluation.outcomes.len(),
            clean_correct,
            broken: clean_correct - still_robust,
            still_robust,
        }
    }

    fn summaries(&self) -> Vec<AttackSummary> {
        let images = self.evaluation.outcomes.len();
        self.evaluation.attacks.iter().map(|attack| AttackSummary::new(attack, images)).collect()
    }

    /// The setting's warnings, and what the clean accuracy gives cause for.
    fn warnings(&self) -> Vec<Warning> {
        let Counts { images, clean_correct, .. } = self.counts();
        let classes = self.setting.manifest.classes;
        let mut warnings = self.setting.warnings.clone();
        if clean_correct == 0 {
            warnings.push(Warning::NothingToAttack);
        } else if clopper_pearson(clean_correct, images).lower <= fraction(1, classes) {
            warnings.push(Warning::NearChance { clean_accuracy: fraction(clean_correct, images), classes });
        }
        warnings
    }
}

fn record(attack: &AttackResult) -> AttackRecord {
    AttackRecord {
        name: attack.name.clone(),
        parameters: attack.spec.clone(),
        attacked: attack.attacked,
        broken: attack.broken,
        still_robust: attack.still_robust,
        forwards: attack.forwards,
        backwards: attack.backwards,
    }
}
