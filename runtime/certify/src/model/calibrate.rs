//! From a prepared model to a calibrated one: by running it on the first images, or by what a certificate says of it.

use mimir_bundle::certificate::Execution;
use mimir_bundle::{AttackSpec, BatchMode, Manifest, OutputKind, Scan};
use mimir_export::ImageClassifier;
use mimir_runtime::evaluate::EvaluationSet;
use mimir_runtime::majority::MOST_DRAWS;
use mimir_runtime::model::ModelSource;
use mimir_runtime::probe;
use mimir_runtime::report::Warning;
use mimir_runtime::session::{Engine, OnnxModels, SessionPlan};
use mimir_runtime::tune::{Overrides, session_plan};

use super::votes::votes;
use super::{CalibratedModel, PreparedModel};
use crate::error::{Error, ErrorKind, OptionName, OrKind, Result};

impl PreparedModel {
    /// Asks the model, by running it on the first images, what its file does not show, and chooses how to run it.
    ///
    /// # Errors
    /// [`ErrorKind::Options`] when the model does not take the batch that is asked for, [`ErrorKind::Model`] when the
    /// engine refuses it or the attacks do not suit it, [`ErrorKind::Data`] when an image cannot be read.
    pub fn calibrate(
        mut self,
        set: &EvaluationSet,
        attacks: &[AttackSpec],
        overrides: Overrides,
    ) -> Result<CalibratedModel> {
        let (plan, batching) = calibrate_batch(&self.engine, &mut self.classifier, set, overrides)?;
        let (votes, random) = votes(&self.classifier, attacks)?;
        let scanned = Warning::from_scan(self.classifier.scan());
        let warnings = batching.into_iter().chain(random).chain(scanned).collect();
        let model = CalibratedModel { votes, warnings, ..self.with_plan(plan) };
        model.with_output_probed(set)?.with_quantisation_checked(set)
    }

    /// Calibrates the model as it was when a certificate was written, in batches of the same size: an engine may round
    /// differently in others.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when the certificate describes another model than the file does.
    pub fn calibrate_as_recorded(
        mut self,
        recorded: &Manifest,
        execution: &Execution,
    ) -> Result<CalibratedModel> {
        if recorded.batch.rows().is_some() {
            self.classifier.keep_fixed_batch();
        }
        self.classifier.set_output_kind(recorded.output);
        // A model's file may be renamed: its name binds nothing.
        let mut found = self.manifest().clone();
        if let (Some(found), Some(recorded)) = (found.files.first_mut(), recorded.files.first()) {
            found.name.clone_from(&recorded.name);
        }
        if found != *recorded {
            let message = "the certificate and the model file disagree about the model: the certificate was written by \
                 another version";
            return Err(Error::new(ErrorKind::Data, message));
        }
        let votes = if self.classifier.random_operators().is_empty() { 1 } else { MOST_DRAWS };
        let plan = SessionPlan { batch: execution.batch, workers: 1, threads: 1 };
        Ok(CalibratedModel { votes, ..self.with_plan(plan) })
    }
}

impl CalibratedModel {
    fn with_output_probed(mut self, set: &EvaluationSet) -> Result<Self> {
        let mut session = self.original()?.classifier().or_kind(ErrorKind::Model)?;
        let kind = probe::output_kind(session.as_mut(), set)?;
        if kind == OutputKind::Probabilities {
            self.classifier.set_output_kind(kind);
        }
        if self.manifest().output == OutputKind::Probabilities {
            self.warnings.push(Warning::ProbabilityOutput);
        }
        if let Some(images) = probe::sorted_scores(session.as_mut(), set)? {
            self.warnings.push(Warning::SortedScores { images });
        }
        Ok(self)
    }
}

/// Chooses how to run the model. A re-batched one that gives other logits goes back to one image at a time.
fn calibrate_batch(
    engine: &Engine,
    classifier: &mut ImageClassifier,
    set: &EvaluationSet,
    overrides: Overrides,
) -> Result<(SessionPlan, Option<Warning>)> {
    if !classifier.random_operators().is_empty() && classifier.has_fixed_batch() {
        // Logits that differ each time cannot be compared: the file's own graph is the one to trust.
        classifier.keep_fixed_batch();
    }
    let chosen = plan(engine, classifier, overrides);
    match (classifier.manifest().batch, chosen) {
        (BatchMode::Dynamic, chosen) if !classifier.has_fixed_batch() => Ok((chosen?, None)),
        (BatchMode::Dynamic, Ok(plan)) if is_rebatched_the_same(engine, classifier, set, plan)? => {
            Ok((plan, None))
        }
        (BatchMode::Dynamic, _) => {
            classifier.keep_fixed_batch();
            Ok((plan(engine, classifier, overrides)?, Some(Warning::MixesImages { nodes: Vec::new() })))
        }
        (BatchMode::One | BatchMode::Fixed(_), chosen) => {
            let plan = chosen?;
            fixed(engine, classifier, set, plan, None)
        }
        (BatchMode::Rebatched, Ok(plan)) if is_rebatched_the_same(engine, classifier, set, plan)? => {
            Ok((plan, Some(Warning::Rebatched)))
        }
        (BatchMode::Rebatched, _) => {
            classifier.keep_fixed_batch();
            let plan = plan(engine, classifier, overrides)?;
            fixed(engine, classifier, set, plan, Some(Warning::RebatchingChangesLogits))
        }
    }
}

/// A model that is evaluated with the batch of its file, and why it is; refused where its images influence each other.
fn fixed(
    engine: &Engine,
    classifier: &ImageClassifier,
    set: &EvaluationSet,
    plan: SessionPlan,
    reason: Option<Warning>,
) -> Result<(SessionPlan, Option<Warning>)> {
    let BatchMode::Fixed(rows) = classifier.manifest().batch else {
        return Ok((plan, Some(reason.unwrap_or_else(|| one_at_a_time(classifier.scan())))));
    };
    if classifier.random_operators().is_empty() {
        let graph = super::GraphForm::for_engine(engine).original(classifier).or_kind(ErrorKind::Model)?;
        let models = OnnxModels::new(engine, classifier.manifest(), graph, plan).or_kind(ErrorKind::Model)?;
        let mut session = models.classifier().or_kind(ErrorKind::Model)?;
        if !probe::rows_are_independent(session.as_mut(), set)? {
            let message = format!(
                "the file takes {rows} images a call, and the logits of an image depend on the others: export the \
                 model in inference mode, with a dynamic batch or with a batch of one"
            );
            return Err(Error::new(ErrorKind::Model, message));
        }
    }
    Ok((plan, Some(reason.unwrap_or(Warning::FixedBatch { rows }))))
}

/// Why a model is evaluated one image at a time.
fn one_at_a_time(scan: &Scan) -> Warning {
    match scan.mixes_images[..] {
        [] => Warning::BatchOfOne,
        ref nodes => Warning::MixesImages { nodes: nodes.iter().map(ToString::to_string).collect() },
    }
}

fn plan(engine: &Engine, classifier: &ImageClassifier, overrides: Overrides) -> Result<SessionPlan> {
    let manifest = classifier.manifest();
    if let (Some(rows), Some(batch)) = (manifest.batch.rows(), overrides.batch)
        && rows != batch.get()
    {
        let takes = if rows == 1 { "one image".to_owned() } else { format!("{rows} images") };
        let message = format!("the model takes {takes} at a time, not {batch}");
        return Err(Error::new(ErrorKind::Options, message).about(OptionName::Batch));
    }
    let original = classifier.original_onnx().or_kind(ErrorKind::Model)?;
    session_plan(engine, manifest, classifier.weight_use(), &original, overrides).or_kind(ErrorKind::Model)
}

/// Whether the graph for any number of images says about each of the first images what the graph with a fixed batch
/// says about it alone.
fn is_rebatched_the_same(
    engine: &Engine,
    classifier: &ImageClassifier,
    set: &EvaluationSet,
    plan: SessionPlan,
) -> Result<bool> {
    let (Some(fixed), Some(mode)) = (classifier.fixed_batch_onnx(), classifier.fixed_batch_mode()) else {
        return Ok(true);
    };
    let fixed = fixed.or_kind(ErrorKind::Model)?;
    let own = Manifest { batch: mode, ..classifier.manifest().clone() };
    let own_plan = SessionPlan { batch: mode.rows().unwrap_or(1), ..plan };
    let one_by_one = OnnxModels::new(engine, &own, fixed, own_plan).or_kind(ErrorKind::Model)?;
    let mut one_by_one = one_by_one.classifier().or_kind(ErrorKind::Model)?;
    let graph = super::GraphForm::for_engine(engine).original(classifier).or_kind(ErrorKind::Model)?;
    let rebatched = OnnxModels::new(engine, classifier.manifest(), graph, plan).or_kind(ErrorKind::Model)?;
    // An engine may refuse what shape inference accepted: then the file's own graph is the one to use.
    let Ok(mut rebatched) = rebatched.classifier() else { return Ok(false) };
    Ok(probe::same_logits(one_by_one.as_mut(), rebatched.as_mut(), set).unwrap_or(false))
}
