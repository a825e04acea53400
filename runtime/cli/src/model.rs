//! The model: read from its file, asked what it is, and given its sessions.

use mimir_bundle::{AttackSpec, BatchMode, ImageShape, Manifest, OutputKind, PreparedGraph, Scan};
use mimir_export::autodiff::Kernels;
use mimir_export::onnx::{Limits, ModelFile, SharedWeights, read_model, read_model_bytes};
use mimir_export::{Error, ErrorKind, ImageClassifier, InputSpec, for_one_image};
use mimir_runtime::attack::Query;
use mimir_runtime::evaluate::{EvaluateError, EvaluationSet, Plan};
use mimir_runtime::model::{Classifier, ModelSource};
use mimir_runtime::probe;
use mimir_runtime::report::Warning;
use mimir_runtime::session::{Device, Engine, EngineKind, OnnxModels, Precision, SessionPlan};
use mimir_runtime::tune::{Overrides, session_plan};

use crate::engines::Engines;
use crate::failure::{Blame, Failure, OrBlame, failure};
use crate::options::Options;

/// A classifier, how it is to be executed, and what is unusual about it.
#[derive(Debug)]
pub(crate) struct Model {
    classifier: ImageClassifier,
    pub(crate) plan: SessionPlan,
    /// Evaluations of the model that decide by majority what it predicts.
    pub(crate) votes: usize,
    pub(crate) warnings: Vec<Warning>,
}

/// Reads the model's file. `image` is the shape of the images: a flat input does not show it.
pub(crate) fn read(
    engine: &Engine,
    options: &Options,
    image: ImageShape,
) -> Result<ImageClassifier, Failure> {
    check_normalisation(options, image)?;
    let file = read_model(&options.model, &Limits::default()).or_blame(Blame::Model)?;
    let spec = InputSpec {
        normalisation: options.normalisation.clone(),
        layout: options.layout,
        image: Some(image),
    };
    classifier(engine, file, &spec).or_blame(Blame::Model)
}

/// What kind of classifier a file is. Where its shapes cannot be worked out, the engine is asked for a copy for one image
/// in which they are numbers.
///
/// # Errors
/// In our words, where the engine cannot help either.
pub(crate) fn classifier(
    engine: &Engine,
    file: ModelFile,
    spec: &InputSpec,
) -> Result<ImageClassifier, Error> {
    match ImageClassifier::new(file.clone(), spec) {
        Err(error) if matches!(error.kind(), ErrorKind::Shape | ErrorKind::Unsupported) => {
            specialised(engine, file, spec).ok_or(error)
        }
        known => known,
    }
}

fn specialised(engine: &Engine, file: ModelFile, spec: &InputSpec) -> Option<ImageClassifier> {
    let bytes = engine.specialise(&for_one_image(&file, spec).ok()?).ok()?;
    let copy = read_model_bytes(bytes.into(), None, &Limits::default()).ok()?;
    ImageClassifier::with_specialised(file, &copy, spec).ok()
}

fn check_normalisation(options: &Options, image: ImageShape) -> Result<(), Failure> {
    let values = options.normalisation.as_ref().map_or(1, |normalisation| normalisation.mean.len());
    if values == 1 || values == image.channels {
        return Ok(());
    }
    let channels = image.channels;
    let message = format!(
        "--mean and --std have {values} values, the images {channels} channels: give one each, or one"
    );
    Err(failure(Blame::Usage, message))
}

impl Model {
    /// Asks the model, by running it on the first images, what its file does not show, and chooses how to run it.
    pub(crate) fn probe(
        engine: &Engine,
        mut classifier: ImageClassifier,
        set: &EvaluationSet,
        options: &Options,
    ) -> Result<Self, Failure> {
        let overrides = options.engine.overrides;
        let (plan, warning) = settle_batch(engine, &mut classifier, set, overrides)?;
        let (votes, random) = votes(&classifier, &options.attacks)?;
        let scanned = Warning::from_scan(classifier.scan());
        let warnings = warning.into_iter().chain(random).chain(scanned).collect();
        let mut model = Self { classifier, plan, votes, warnings };
        model.probe_output(engine, set)?;
        Ok(model)
    }

    fn probe_output(&mut self, engine: &Engine, set: &EvaluationSet) -> Result<(), Failure> {
        let original = original(engine, &self.classifier, self.plan)?;
        let mut session = original.classifier().or_blame(Blame::Model)?;
        let kind = probe::output_kind(session.as_mut(), set).map_err(of_evaluation)?;
        if kind == OutputKind::Probabilities {
            self.classifier.set_output_kind(kind);
        }
        if self.manifest().output == OutputKind::Probabilities {
            self.warnings.push(Warning::ProbabilityOutput);
        }
        Ok(())
    }

    /// The original model on the engine that is asked too, where there is one: before the attacks, so that they are not
    /// run for nothing.
    pub(crate) fn other_session(&self, engines: &Engines) -> Result<Option<Box<dyn Classifier>>, Failure> {
        let Some(other) = &engines.other else { return Ok(None) };
        if let [first, ..] = self.classifier.random_operators() {
            let message = format!(
                "--cross-check: {first} gives another answer each time, so that two engines cannot be compared; leave \
                 it away"
            );
            return Err(failure(Blame::Model, message));
        }
        let session = original(other, &self.classifier, self.plan)?.classifier();
        session.map(Some).map_err(|error| failure(Blame::Model, format!("--cross-check: {error}")))
    }

    /// What the model's operators show.
    pub(crate) fn scan(&self) -> &Scan {
        self.classifier.scan()
    }

    /// The facts of the model.
    pub(crate) fn manifest(&self) -> &Manifest {
        self.classifier.manifest()
    }

    /// Sessions over the original model, and over the graphs that the attacks of the plan ask for.
    ///
    /// # Errors
    /// When the plan cannot be carried out, or an operator has no gradient rule.
    pub(crate) fn sessions(
        &self,
        engine: &Engine,
        plan: &Plan,
        precision: Precision,
    ) -> Result<OnnxModels, Failure> {
        let Manifest { image, classes, .. } = *self.manifest();
        let graphs = Graphs::of(engine);
        let mut shared = SharedWeights::default();
        let mut models = original(engine, &self.classifier, self.plan)?.with_precision(precision);
        for query in plan.queries(image, classes).or_blame(Blame::Usage)? {
            let graph = graphs.of_query(&self.classifier, query, &mut shared).or_blame(Blame::Model)?;
            let extended = match query {
                Query::Forward => models.with_search(graph),
                Query::Gradient(loss) => models.with_gradient(loss, graph),
            };
            models = extended.or_blame(Blame::Internal)?;
        }
        Ok(models)
    }
}

/// How graphs are written for an engine.
#[derive(Debug, Clone, Copy)]
enum Graphs {
    /// With weights that all graphs share, beside the file.
    Shared(Kernels),
    /// Each by itself, in operators of ONNX.
    SelfContained,
}

impl Graphs {
    fn of(engine: &Engine) -> Self {
        match (engine.kind(), engine.device()) {
            (EngineKind::OnnxRuntime, Device::Cpu) => Self::Shared(Kernels::Mimir),
            // Our kernels are the processor's.
            (EngineKind::OnnxRuntime, _) => Self::Shared(Kernels::Standard),
            (EngineKind::Rten, _) => Self::SelfContained,
        }
    }

    fn original(self, classifier: &ImageClassifier) -> mimir_export::Result<PreparedGraph> {
        match self {
            Self::Shared(_) => classifier.prepared_original(&mut SharedWeights::default()),
            Self::SelfContained => classifier.original_onnx().map(PreparedGraph::from),
        }
    }

    fn of_query(
        self,
        classifier: &ImageClassifier,
        query: Query,
        shared: &mut SharedWeights,
    ) -> mimir_export::Result<PreparedGraph> {
        match (self, query) {
            (Self::Shared(kernels), Query::Forward) => classifier.prepared_forward(kernels, shared),
            (Self::Shared(kernels), Query::Gradient(loss)) => {
                classifier.prepared_gradient(loss, kernels, shared)
            }
            (Self::SelfContained, Query::Forward) => classifier.forward_onnx().map(PreparedGraph::from),
            (Self::SelfContained, Query::Gradient(loss)) => {
                classifier.gradient_onnx(loss).map(PreparedGraph::from)
            }
        }
    }
}

/// Evaluations that decide what the model predicts: as many as the attacks average over, where it has random operators.
fn votes(classifier: &ImageClassifier, attacks: &[AttackSpec]) -> Result<(usize, Option<Warning>), Failure> {
    let nodes = classifier.random_operators();
    let most = attacks.iter().max_by_key(|attack| attack.eot());
    let votes = most.map_or(1, AttackSpec::eot);
    match (nodes.is_empty(), votes) {
        (true, 1) => Ok((1, None)),
        (true, eot) => {
            let attack = most.map_or("", AttackSpec::name).to_owned();
            Ok((1, Some(Warning::NeedlessExpectation { attack, eot })))
        }
        (false, 1) => Err(failure(
            Blame::Model,
            format!(
                "the model has random operators ({}), and these attacks take it for a deterministic one: they would \
                 report too high an accuracy; use --attacks rand, or give --eot",
                nodes.join(", ")
            ),
        )),
        (false, votes) => Ok((votes, Some(Warning::Random { votes, nodes: nodes.to_vec() }))),
    }
}

/// Chooses how to run the model. A re-batched one that gives other logits goes back to one image at a time.
fn settle_batch(
    engine: &Engine,
    classifier: &mut ImageClassifier,
    set: &EvaluationSet,
    overrides: Overrides,
) -> Result<(SessionPlan, Option<Warning>), Failure> {
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
        (BatchMode::One, chosen) => Ok((chosen?, Some(one_at_a_time(classifier.scan())))),
        (BatchMode::Rebatched, Ok(plan)) if is_rebatched_the_same(engine, classifier, set, plan)? => {
            Ok((plan, Some(Warning::Rebatched)))
        }
        (BatchMode::Rebatched, _) => {
            classifier.keep_fixed_batch();
            Ok((plan(engine, classifier, overrides)?, Some(Warning::RebatchingChangesLogits)))
        }
    }
}

/// Why a model is evaluated one image at a time.
fn one_at_a_time(scan: &Scan) -> Warning {
    match scan.mixes_images[..] {
        [] => Warning::BatchOfOne,
        ref nodes => Warning::MixesImages { nodes: nodes.iter().map(ToString::to_string).collect() },
    }
}

fn plan(engine: &Engine, classifier: &ImageClassifier, overrides: Overrides) -> Result<SessionPlan, Failure> {
    let manifest = classifier.manifest();
    if let (BatchMode::One, Some(batch)) = (manifest.batch, overrides.batch.filter(|batch| batch.get() > 1)) {
        let message = format!("--batch {batch}: the model takes one image at a time; leave the flag away");
        return Err(failure(Blame::Usage, message));
    }
    let original = classifier.original_onnx().or_blame(Blame::Model)?;
    session_plan(engine, manifest, &original, overrides).or_blame(Blame::Model)
}

fn original(engine: &Engine, classifier: &ImageClassifier, plan: SessionPlan) -> Result<OnnxModels, Failure> {
    let graph = Graphs::of(engine).original(classifier).or_blame(Blame::Model)?;
    OnnxModels::new(engine, classifier.manifest(), graph, plan).or_blame(Blame::Model)
}

fn is_rebatched_the_same(
    engine: &Engine,
    classifier: &ImageClassifier,
    set: &EvaluationSet,
    plan: SessionPlan,
) -> Result<bool, Failure> {
    let Some(single) = classifier.fixed_batch_onnx() else { return Ok(true) };
    let single = single.or_blame(Blame::Model)?;
    let one = Manifest { batch: BatchMode::One, ..classifier.manifest().clone() };
    let one_by_one =
        OnnxModels::new(engine, &one, single, SessionPlan { batch: 1, ..plan }).or_blame(Blame::Model)?;
    let mut one_by_one = one_by_one.classifier().or_blame(Blame::Model)?;
    // An engine may refuse what shape inference accepted: then the file's own graph is the one to use.
    let Ok(mut rebatched) = original(engine, classifier, plan)?.classifier() else { return Ok(false) };
    Ok(probe::same_logits(one_by_one.as_mut(), rebatched.as_mut(), set).unwrap_or(false))
}

/// Whose fault it is that an evaluation stopped.
pub(crate) fn of_evaluation(error: EvaluateError) -> Failure {
    let blame = match &error {
        EvaluateError::NonFinite(_) => Blame::Model,
        EvaluateError::Set(_) => Blame::Data,
        EvaluateError::Plan(_) => Blame::Usage,
        EvaluateError::Archive(_) => Blame::Storage,
        EvaluateError::Interrupted => Blame::Interrupted,
        // The original model ran in the probe: what fails now is ours.
        _ => Blame::Internal,
    };
    failure(blame, error)
}
