//! What a model is, whether it can be attacked, and what that would cost: before anybody waits for an attack.

mod cost;
mod noise;
mod options;
mod text;

use std::sync::atomic::AtomicBool;

use mimir_bundle::certificate::AcceptedDifference;
use mimir_bundle::{AttackSpec, Manifest, Scan, ThreatModel};
use mimir_export::InputSpec;
use mimir_runtime::evaluate::{Curve, EvaluateError, EvaluationSet, Plan};
use mimir_runtime::model::{KeptModels, ModelSource};
use mimir_runtime::probe::{Sampled, correct_of_some};
use mimir_runtime::report::Warning;
use mimir_runtime::session::{Engine, SessionPlan};
use serde::Serialize;

use crate::attackable::AttackableModel;
use crate::described_images::open_for;
use crate::engines::Engines;
use crate::error::{ErrorKind, OrKind, Result};
use crate::features::{FeatureRequest, with_features};
use crate::model::{CalibratedModel, PreparedModel, SearchedWays};
use crate::options::threat_model_of;
use crate::prepare::prepare_for;
use crate::scalings::{GivenInput, Tried};
use cost::CostEstimate;
use noise::noise;

pub use crate::scalings::OtherNormalisation;
pub use options::CheckOptions;

/// Images that a check classifies, at most, spread evenly over the set.
const MOST_IMAGES: usize = 1000;

/// What a check found. `Display` is a text for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checked {
    /// The file's name.
    pub file: String,
    /// The facts of the model.
    pub model: Manifest,
    /// What its operators show.
    pub scan: Scan,
    /// The engine and its version.
    pub engine: String,
    /// What is unusual about the model, as a report would warn of it.
    pub warnings: Vec<String>,
    /// The attacks that the gradient graphs were built for.
    pub attacks: Vec<&'static str>,
    /// Where these graphs are not the function of the file by more than rounding explains, which was accepted. Models with
    /// random operators are not compared.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accepted_differences: Vec<AcceptedDifference>,
    /// What only images show.
    pub on_images: Option<CheckedOnImages>,
}

/// What a model does with images.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckedOnImages {
    /// Where they are.
    pub source: String,
    /// Images of the set.
    pub images: usize,
    /// Images that were classified, spread evenly over the set.
    pub classified: usize,
    /// Of them, correctly.
    pub correct: usize,
    /// Of them, with logits that hold NaN or +∞ and mean no class.
    pub non_finite: usize,
    /// What the attacks would cost on all images that are classified correctly.
    pub cost: CostEstimate,
    /// A customary normalisation or order of colours under which the model is right far more often.
    pub suspicious_normalisation: Option<OtherNormalisation>,
    /// Others under which it is right as often, as far as these images tell.
    pub tied_normalisations: Vec<OtherNormalisation>,
}

/// Prepares the model as a run would, builds the graphs that the attacks need, compares them with the file, on noise where
/// there are no images, and runs no attack.
///
/// # Errors
/// As [`certify`](crate::certify()): what a run would refuse, a check refuses.
pub fn check(options: &CheckOptions) -> Result<Checked> {
    let engines = Engines::load(&options.engine)?;
    let opened = options.images.as_ref().map(|images| open_for(&options.model, images)).transpose()?;
    let mut images = opened.map(|(images, _)| images);
    let prepared = match &mut images {
        Some(images) => prepare_for(&engines.deciding, &options.model, &options.input, images)?,
        None => prepare_alone(options, &engines.deciding)?,
    };
    let threat_model = threat_model_of(options.threat_model, prepared.manifest().pixel_type)?;
    let shape = images.as_ref().map(|_| prepared.manifest().image).or(options.input.image);
    let input = InputSpec { image: shape, ..options.input.clone() };
    match &images {
        None => {
            prepared.expect_attacks_for(&options.attacks)?;
            let model = prepared.with_plan(SessionPlan { batch: 1, workers: 1, threads: 1 });
            let (images, labels) = noise(model.manifest().image);
            let set = EvaluationSet::new(&images, &labels).or_kind(ErrorKind::Internal)?;
            let (model, attackable) = attackable(options, threat_model, model, &set)?;
            let sessions = KeptModels::new(&attackable.sessions);
            let differences = differences(options, &model, &sessions, &attackable.plan, &set)?;
            Ok(checked(options, &engines, &model, &attackable, differences, None))
        }
        Some(images) => {
            let set = images.for_model(prepared.manifest(), threat_model.pixels)?;
            let model = prepared.calibrate(&set, &options.attacks, options.engine.overrides)?;
            let (model, attackable) = attackable(options, threat_model, model, &set)?;
            let AttackableModel { plan, sessions, .. } = &attackable;
            let sessions = &KeptModels::new(sessions);
            let differences = differences(options, &model, sessions, plan, &set)?;
            let mut classifier = sessions.classifier().or_kind(ErrorKind::Model)?;
            let sampled = correct_of_some(classifier.as_mut(), &set, MOST_IMAGES)?;
            let Sampled { correct, classified, non_finite, .. } = sampled;
            if non_finite == classified {
                return Err(EvaluateError::NonFinite(classified).into());
            }
            let given = GivenInput {
                model: &options.model,
                engine: &engines.deciding,
                calibrated: &model,
                set: &set,
                input: &input,
                attacks: &options.attacks,
            };
            let Tried { better, tied, .. } = given.try_others(sampled, MOST_IMAGES)?;
            let on_images = CheckedOnImages {
                source: options.images.as_ref().map(|images| images.source.to_string()).unwrap_or_default(),
                images: set.count(),
                classified,
                correct,
                non_finite,
                cost: cost::estimate(&model, sessions, plan, &set, correct as f64 / classified as f64)?,
                suspicious_normalisation: better,
                tied_normalisations: tied,
            };
            Ok(checked(options, &engines, &model, &attackable, differences, Some(on_images)))
        }
    }
}

fn prepare_alone(options: &CheckOptions, engine: &Engine) -> Result<PreparedModel> {
    let prepared = PreparedModel::new(engine, options.model.read()?, &options.input)?;
    options.model.expect(prepared.manifest())?;
    Ok(prepared)
}

fn attackable(
    options: &CheckOptions,
    threat_model: ThreatModel,
    model: CalibratedModel,
    set: &EvaluationSet,
) -> Result<(CalibratedModel, AttackableModel)> {
    let mut attacks = options.attacks.clone();
    let (named, images) = (options.feature.as_deref(), set.count());
    let request = FeatureRequest { named, model: &options.model, images, seed: SEED };
    let model = with_features(model, &mut attacks, request)?;
    let plan = plan(attacks, threat_model, &model);
    let attackable = AttackableModel::new(plan, &model, options.engine.precision)?;
    Ok((model, attackable))
}

/// Where the graphs are not the function of the file, as far as that is accepted. A model with random operators is not
/// compared.
fn differences(
    options: &CheckOptions,
    model: &CalibratedModel,
    sessions: &KeptModels,
    plan: &Plan,
    set: &EvaluationSet,
) -> Result<Vec<AcceptedDifference>> {
    let ways = SearchedWays { precision: options.engine.precision, approximate: options.approximate_search };
    model.accepted_differences(sessions, plan, set, ways, &AtomicBool::new(false))
}

/// No attack runs.
const SEED: u64 = 0;

fn plan(attacks: Vec<AttackSpec>, threat_model: ThreatModel, model: &CalibratedModel) -> Plan {
    Plan {
        threat_model,
        attacks,
        seed: SEED,
        workers: model.session_plan().workers,
        stop_when_decided: None,
        curve: Curve::No,
        votes: model.votes(),
    }
}

fn checked(
    options: &CheckOptions,
    engines: &Engines,
    model: &CalibratedModel,
    attackable: &AttackableModel,
    accepted_differences: Vec<AcceptedDifference>,
    on_images: Option<CheckedOnImages>,
) -> Checked {
    let no_gradient = attackable.warning();
    let approximate = (!accepted_differences.is_empty())
        .then(|| Warning::ApproximateSearch { differences: accepted_differences.clone() });
    let warnings = engines.warning.iter().chain(model.warnings()).chain(&no_gradient).chain(&approximate);
    Checked {
        file: options.model.name(),
        model: model.manifest().clone(),
        scan: model.scan().clone(),
        engine: engine_name(&engines.deciding),
        warnings: warnings.map(ToString::to_string).collect(),
        attacks: attackable.plan.attacks.iter().map(AttackSpec::name).collect(),
        accepted_differences,
        on_images,
    }
}

fn engine_name(engine: &Engine) -> String {
    format!("{} {} on {}", engine.kind().name(), engine.version(), engine.device())
}
