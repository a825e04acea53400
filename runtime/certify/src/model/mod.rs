//! From a model file to sessions. Each step consumes one type and returns the next.
//!
//! ```text
//! ModelFile ── PreparedModel::new ──▶ PreparedModel ── calibrate ──▶ CalibratedModel ── sessions ──▶ OnnxModels
//!  read          what kind of            │              probed          │                of the graphs
//!                classifier it is        └── calibrate_as_recorded ─────┤                that a plan asks for
//!                                              by a certificate         └── original_on_other: another engine
//! ```
//!
//! A prepared model knows which images it takes, so that they can be checked against it; calibrating it runs it on the
//! first of them. A certification and a replay differ only in how they calibrate it.

mod calibrate;
mod float64_margins;
mod graphs;
mod quantised;
mod same_function;
mod silent_units;
mod votes;
mod weight_landscape;

use std::collections::BTreeSet;

use mimir_bundle::{AttackSpec, ImageShape, Loss, Manifest, Normalisation, OutputKind, PreparedGraph, Scan};
use mimir_export::onnx::{Limits, ModelFile, SharedWeights, read_model_bytes};
use mimir_export::{
    ErrorKind as ExportErrorKind, FeatureCandidate, FeatureGraphs, ImageClassifier, InputSpec, Location,
    for_one_image,
};
use mimir_runtime::attack::Query;
use mimir_runtime::evaluate::{Plan, PlanError};
use mimir_runtime::report::Warning;
use mimir_runtime::session::{Engine, OnnxModels, Precision, SessionPlan};

use crate::error::{Error, ErrorKind, OptionName, OrKind, Result};
use graphs::GraphForm;

pub(crate) use same_function::SearchedWays;

/// A file that was found to be an image classifier, and the engine that will run it.
#[derive(Debug)]
pub struct PreparedModel {
    engine: Engine,
    classifier: ImageClassifier,
}

impl PreparedModel {
    /// Finds out what kind of classifier a file is. Where its shapes cannot be worked out, the engine is asked for a
    /// copy for one image in which they are numbers.
    ///
    /// # Errors
    /// [`ErrorKind::Options`] when the normalisation does not fit the images of `spec`, [`ErrorKind::Model`] when the
    /// file is no classifier of images, or has what is not supported.
    pub fn new(engine: &Engine, file: ModelFile, spec: &InputSpec) -> Result<Self> {
        if let (Some(normalisation), Some(image)) = (&spec.normalisation, spec.image) {
            check_normalisation(normalisation, image)?;
        }
        let classifier = classifier_by(engine, file, spec).or_kind(ErrorKind::Model)?;
        Ok(Self { engine: engine.clone(), classifier })
    }

    /// The facts that the file shows; calibrating the model may change how it is batched and what its output is.
    pub fn manifest(&self) -> &Manifest {
        self.classifier.manifest()
    }

    /// Images that the file takes a call, where it fixes them or its images may influence each other.
    pub(crate) fn rows_of_file(&self) -> Option<usize> {
        self.classifier.fixed_batch_mode().unwrap_or(self.manifest().batch).rows()
    }

    /// That these attacks suit the model.
    ///
    /// # Errors
    /// [`ErrorKind::Model`] when it has random operators and no attack averages over draws.
    pub fn expect_attacks_for(&self, attacks: &[AttackSpec]) -> Result<()> {
        votes::votes(&self.classifier, attacks).map(drop)
    }

    /// The model run by that plan as it is: nothing is measured or asked of the engine.
    pub fn with_plan(self, plan: SessionPlan) -> CalibratedModel {
        let Self { engine, classifier } = self;
        let (warnings, silent_units, feature) = (Vec::new(), None, None);
        CalibratedModel { engine, classifier, plan, votes: 1, warnings, silent_units, feature }
    }

    /// The tensors that can be features.
    pub(crate) fn feature_candidates(&self) -> mimir_export::Result<Vec<FeatureCandidate>> {
        self.classifier.feature_candidates()
    }

    /// The one that is taken where nobody names any.
    pub(crate) fn default_feature(&self) -> mimir_export::Result<FeatureCandidate> {
        self.classifier.default_feature()
    }
}

/// What kind of classifier a file is; the engine helps where shapes cannot be worked out without it.
pub(crate) fn classifier_by(
    engine: &Engine,
    file: ModelFile,
    spec: &InputSpec,
) -> mimir_export::Result<ImageClassifier> {
    match ImageClassifier::new(file.clone(), spec) {
        Err(error) if matches!(error.kind(), ExportErrorKind::Shape | ExportErrorKind::Unsupported) => {
            // In our words, where the engine cannot help either.
            specialised(engine, file, spec).ok_or(error)
        }
        known => known,
    }
}

/// The original graph of a classifier in the form that an engine takes it in.
pub(crate) fn original_for(
    engine: &Engine,
    classifier: &ImageClassifier,
) -> mimir_export::Result<PreparedGraph> {
    GraphForm::for_engine(engine).original(classifier)
}

fn specialised(engine: &Engine, file: ModelFile, spec: &InputSpec) -> Option<ImageClassifier> {
    let bytes = engine.specialise(&for_one_image(&file, spec).ok()?).ok()?;
    let copy = read_model_bytes(bytes.into(), None, &Limits::default()).ok()?;
    ImageClassifier::with_specialised(file, &copy, spec).ok()
}

fn check_normalisation(normalisation: &Normalisation, image: ImageShape) -> Result<()> {
    let (values, channels) = (normalisation.mean.len(), image.channels);
    if values == 1 || values == channels {
        return Ok(());
    }
    let message = format!(
        "the normalisation has {values} values, the images {channels} channels: give one for each channel, or one"
    );
    Err(Error::new(ErrorKind::Options, message).about(OptionName::Normalisation))
}

/// A classifier, how it is run, and what is unusual about it.
#[derive(Debug)]
pub struct CalibratedModel {
    engine: Engine,
    classifier: ImageClassifier,
    plan: SessionPlan,
    votes: usize,
    warnings: Vec<Warning>,
    /// That so many units pass no gradient, where they are.
    silent_units: Option<Warning>,
    /// The tensor that attacks on features are run at.
    feature: Option<Feature>,
}

/// A tensor that attacks on features are run at.
#[derive(Debug, Clone)]
pub(crate) struct Feature {
    pub(crate) tensor: String,
    /// What is at fault where it cannot be one: the options that name it, or the model.
    pub(crate) fault: ErrorKind,
}

impl CalibratedModel {
    /// The facts of the model.
    pub fn manifest(&self) -> &Manifest {
        self.classifier.manifest()
    }

    /// What the model's operators show.
    pub fn scan(&self) -> &Scan {
        self.classifier.scan()
    }

    /// How many images a session takes at once, and how the cores are shared.
    pub fn session_plan(&self) -> SessionPlan {
        self.plan
    }

    /// Evaluations of the model that may decide what it predicts at a point; 1 for deterministic models.
    pub fn votes(&self) -> usize {
        self.votes
    }

    /// What a reader of the report must know of the model.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The original model, which can be asked for logits.
    ///
    /// # Errors
    /// [`ErrorKind::Model`] when the engine refuses it.
    pub fn original(&self) -> Result<OnnxModels> {
        self.original_on(&self.engine)
    }

    /// The original model on another engine, run by the same plan.
    ///
    /// # Errors
    /// [`ErrorKind::Model`] when that engine refuses it, or the model has random operators, so that two engines cannot
    /// be compared.
    pub fn original_on_other(&self, other: &Engine) -> Result<OnnxModels> {
        if let [first, ..] = self.classifier.random_operators() {
            let message =
                format!("{first} gives another answer each time, so that two engines cannot be compared");
            return Err(Error::new(ErrorKind::Model, message));
        }
        self.original_on(other)
    }

    fn original_on(&self, engine: &Engine) -> Result<OnnxModels> {
        let graph = GraphForm::for_engine(engine).original(&self.classifier).or_kind(ErrorKind::Model)?;
        OnnxModels::new(engine, self.manifest(), graph, self.plan).or_kind(ErrorKind::Model)
    }

    /// Whether no gradient of the logits reaches the images, so that only attacks without gradients can be run.
    pub fn lacks_gradient(&self) -> bool {
        let gradient = self.classifier.gradient_onnx(Loss::Margin);
        gradient.is_err_and(|error| error.kind() == ExportErrorKind::NoGradient)
    }

    /// Sessions over the original model, and over the graphs that the attacks of the plan ask for.
    ///
    /// # Errors
    /// [`ErrorKind::Options`] when the plan cannot be carried out, [`ErrorKind::Model`] when an operator has no
    /// gradient rule or the engine refuses a graph.
    pub fn sessions(&self, plan: &Plan, precision: Precision) -> Result<OnnxModels> {
        self.sessions_for(&self.queries(plan).or_kind(ErrorKind::Options)?, precision)
    }

    /// What the attacks of a plan, and what chooses their targets, ask of this model.
    fn queries(&self, plan: &Plan) -> std::result::Result<BTreeSet<Query>, PlanError> {
        let Manifest { image, classes, .. } = *self.manifest();
        let mut queries = plan.queries(image, classes)?;
        if self.manifest().output != OutputKind::Logits {
            // Where the file's scores are equal, the scores of searches decide which classes are targets.
            queries.insert(Query::Forward);
        }
        Ok(queries)
    }

    /// Sessions over the original model, and over the graphs that answer those queries.
    ///
    /// # Errors
    /// As [`CalibratedModel::sessions`].
    pub fn sessions_for(&self, queries: &BTreeSet<Query>, precision: Precision) -> Result<OnnxModels> {
        let form = GraphForm::for_searches(&self.engine, precision);
        let mut shared = SharedWeights::default();
        let mut models = self.original()?.with_precision(precision);
        for query in queries {
            models = match query {
                Query::Forward => {
                    let graph = form.forward(&self.classifier, &mut shared).or_kind(ErrorKind::Model)?;
                    models.with_search(graph)
                }
                Query::Gradient(loss) => {
                    let graph = form.gradient(&self.classifier, *loss, &mut shared).or_kind(ErrorKind::Model);
                    let graph = graph.map_err(|error| error.about(OptionName::GradientFreeAttacks))?;
                    models.with_gradient(*loss, graph)
                }
                // Both kinds of question about features are answered by one pair of graphs.
                Query::Features | Query::FeatureGradient => Ok(models),
            }
            .or_kind(ErrorKind::Internal)?;
        }
        if queries.iter().any(|query| query.is_about_features()) {
            let FeatureGraphs { forward, gradient, values } = self.feature_graphs(form, &mut shared)?;
            models = models.with_features(forward, gradient, values).or_kind(ErrorKind::Internal)?;
        }
        Ok(models)
    }

    fn feature_graphs(&self, form: GraphForm, shared: &mut SharedWeights) -> Result<FeatureGraphs> {
        let (tensor, fault) = match &self.feature {
            Some(Feature { tensor, fault }) => (tensor.as_str(), *fault),
            None => ("", ErrorKind::Internal),
        };
        form.features(&self.classifier, tensor, shared).map_err(|error| {
            let is_of_tensor = error.location() == Some(&Location::Tensor(tensor.to_owned()));
            match (is_of_tensor, error.kind()) {
                // Another one may do.
                (true, _) => Error::new(fault, error).about(OptionName::Feature),
                (false, ExportErrorKind::NoGradient) => {
                    Error::new(ErrorKind::Model, error).about(OptionName::GradientFreeAttacks)
                }
                (false, _) => Error::new(ErrorKind::Model, error),
            }
        })
    }

    /// The model cut open at the tensor that is taken where nobody names one.
    ///
    /// # Errors
    /// [`ErrorKind::Model`] when there is none.
    pub fn with_default_feature(self) -> Result<Self> {
        let feature = self.default_feature().or_kind(ErrorKind::Model)?;
        Ok(self.cut_open_at(Feature { tensor: feature.name, fault: ErrorKind::Model }, None))
    }

    /// The model with a tensor that attacks on features are run at, and what a reader must know of the choice.
    pub(crate) fn cut_open_at(mut self, feature: Feature, warning: Option<Warning>) -> Self {
        self.feature = Some(feature);
        self.warnings.extend(warning);
        self
    }

    /// Whether an operator of the file makes a tensor of that name.
    pub(crate) fn has_tensor(&self, name: &str) -> bool {
        self.classifier.has_tensor(name)
    }

    /// The tensors that can be features.
    pub(crate) fn feature_candidates(&self) -> mimir_export::Result<Vec<FeatureCandidate>> {
        self.classifier.feature_candidates()
    }

    /// The one that is taken where nobody names any.
    pub(crate) fn default_feature(&self) -> mimir_export::Result<FeatureCandidate> {
        self.classifier.default_feature()
    }
}
