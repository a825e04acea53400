//! A second model, which the attack `transfer` takes its way from.

use mimir_bundle::attack::SurrogateModel;
use mimir_bundle::{AttackSpec, Manifest};
use mimir_export::InputSpec;
use mimir_runtime::evaluate::{EvaluationSet, Plan};
use mimir_runtime::model::ModelSource;
use mimir_runtime::probe::{Sampled, correct_of_some};
use mimir_runtime::report::Warning;
use mimir_runtime::session::{Engine, OnnxModels, Precision, SessionPlan};
use mimir_runtime::statistics::{clopper_pearson, fraction};
use mimir_runtime::tune::Overrides;

use crate::error::{Error, ErrorKind, OptionName, OrKind, Result};
use crate::images::{OpenedImages, shown};
use crate::model::{CalibratedModel, PreparedModel};
use crate::options::{CertifyOptions, SurrogateSource};
use crate::prepare::prepare_for;

/// Name of the attack that asks it.
const TRANSFER: &str = "transfer";

/// That the options name a surrogate where, and only where, an attack asks one.
///
/// # Errors
/// [`ErrorKind::Options`]: says which of the two is missing.
pub(crate) fn expect_together(options: &CertifyOptions) -> Result<()> {
    let is_asked = options.attacks.iter().any(|attack| attack.name() == TRANSFER);
    let problem = match (is_asked, &options.surrogate) {
        (true, None) => "the attack transfer takes its way from another model: name its file",
        (false, Some(_)) => "no attack of the list asks a surrogate: add transfer",
        (true, Some(_)) | (false, None) => return Ok(()),
    };
    Err(Error::new(ErrorKind::Options, problem).about(OptionName::Surrogate))
}

/// The surrogate of the options, for the images of the attacked model.
///
/// # Errors
/// [`ErrorKind::Model`] when its file is no classifier, [`ErrorKind::Options`] when it is one of other images or classes.
pub(crate) fn prepare_surrogate(
    engine: &Engine,
    source: &SurrogateSource,
    attacked: &Manifest,
    images: &mut OpenedImages,
) -> Result<PreparedModel> {
    let input = InputSpec { image: Some(attacked.image), ..source.input.clone() };
    let prepared = prepare_for(engine, &source.model, &input, images).map_err(of_surrogate)?;
    let Manifest { image, classes, .. } = *prepared.manifest();
    if image == attacked.image && classes == attacked.classes {
        return Ok(prepared);
    }
    let problem = format!(
        "the surrogate takes {} images and has {classes} classes, the model {} and {}: both must be the same",
        shown(image),
        shown(attacked.image),
        attacked.classes
    );
    Err(Error::new(ErrorKind::Options, problem).about(OptionName::Surrogate))
}

/// The surrogate, ready to be asked in the batches of the attacked model.
///
/// # Errors
/// As [`PreparedModel::calibrate`].
pub(crate) fn calibrate_surrogate(
    prepared: PreparedModel,
    set: &EvaluationSet,
    options: &CertifyOptions,
    SessionPlan { batch, workers, threads }: SessionPlan,
) -> Result<CalibratedModel> {
    let count = std::num::NonZero::new;
    let same = Overrides { batch: count(batch), workers: count(workers), threads: count(threads) };
    let rows = prepared.rows_of_file();
    prepared.calibrate(set, &options.attacks, same).map_err(|error| match (error.option(), rows) {
        (Some(OptionName::Batch), Some(rows)) => error.about(OptionName::SurrogateBatch(rows)),
        _ => of_surrogate(error),
    })
}

/// Images that the surrogate classifies, at most, spread over the set.
const CLASSIFIED: usize = 256;

/// That the surrogate knows hardly more of the images than guessing does, as a constant one, or one with the wrong normalisation.
///
/// # Errors
/// As [`CalibratedModel::original`], and when an image cannot be read.
pub(crate) fn useless_surrogate(surrogate: &CalibratedModel, set: &EvaluationSet) -> Result<Option<Warning>> {
    if surrogate.votes() > 1 {
        return Ok(None);
    }
    let session = surrogate.original().and_then(|model| model.classifier().or_kind(ErrorKind::Model));
    let mut session = session.map_err(of_surrogate)?;
    let Sampled { correct, classified, by_guessing, .. } =
        correct_of_some(session.as_mut(), set, CLASSIFIED).map_err(|error| of_surrogate(error.into()))?;
    let is_clear = clopper_pearson(correct, classified).lower > by_guessing;
    // A quarter of the way to perfection is near: few images tell nothing clearly.
    let is_near = fraction(correct, classified) <= by_guessing + (1.0 - by_guessing) / 4.0;
    Ok((!is_clear && is_near).then_some(Warning::UselessSurrogate { correct, images: classified }))
}

/// What a report says of it.
pub(crate) fn surrogate_facts(source: &SurrogateSource, model: &CalibratedModel) -> SurrogateModel {
    let Manifest { model_digest, normalisation, channel_order, output_name, .. } = model.manifest().clone();
    SurrogateModel { file: source.model.name(), model_digest, normalisation, channel_order, output_name }
}

/// Names it in the attacks that ask it.
pub(crate) fn with_surrogate(
    mut attacks: Vec<AttackSpec>,
    facts: Option<&SurrogateModel>,
) -> Vec<AttackSpec> {
    for attack in &mut attacks {
        if let AttackSpec::Transfer(transfer) = attack {
            transfer.surrogate = facts.cloned();
        }
    }
    attacks
}

/// Sessions over its gradient graphs.
///
/// # Errors
/// As [`CalibratedModel::sessions`].
pub(crate) fn surrogate_sessions(
    model: &CalibratedModel,
    plan: &Plan,
    precision: Precision,
) -> Result<OnnxModels> {
    let Manifest { image, classes, .. } = *model.manifest();
    let queries = plan.surrogate_queries(image, classes).or_kind(ErrorKind::Options)?;
    model.sessions_for(&queries, precision).map_err(of_surrogate)
}

/// An error of the second model, not of the first.
fn of_surrogate(error: Error) -> Error {
    error.about(OptionName::Surrogate)
}
