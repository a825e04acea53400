//! Whether the model was meant for another normalisation: the customary ones, tried on the same images.

use std::num::NonZero;

use mimir_bundle::Normalisation;
use mimir_export::InputSpec;
use mimir_runtime::evaluate::EvaluationSet;
use mimir_runtime::model::ModelSource;
use mimir_runtime::probe::correct_of_some;
use mimir_runtime::session::{Engine, SessionPlan};
use mimir_runtime::statistics::clopper_pearson;
use mimir_runtime::tune::Overrides;
use serde::Serialize;

use super::options::CheckOptions;
use crate::error::{ErrorKind, OrKind, Result};
use crate::model::{CalibratedModel, PreparedModel};

/// Images that a check classifies, at most, spread evenly over the set.
pub(super) const MOST_IMAGES: usize = 1000;

/// What a model would do under another normalisation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OtherNormalisation {
    /// Whose it is.
    pub name: &'static str,
    /// Its values; none for pixels as they are.
    pub normalisation: Option<Normalisation>,
    /// Images classified correctly, of as many.
    pub correct: usize,
}

/// Whose normalisation, mean and standard deviation of pixels in [0, 1].
type Customary = (&'static str, &'static [f64], &'static [f64]);

/// What exporters and training recipes use most.
const CUSTOMARY: [Customary; 7] = [
    ("pixels in [0, 1]", &[0.0], &[1.0]),
    ("pixels in [-1, 1]", &[0.5], &[0.5]),
    ("levels of 0 to 255", &[0.0], &[1.0 / 255.0]),
    ("MNIST", &[0.1307], &[0.3081]),
    ("CIFAR-10", &[0.4914, 0.4822, 0.4465], &[0.2471, 0.2435, 0.2616]),
    ("CIFAR-100", &[0.5071, 0.4865, 0.4409], &[0.2673, 0.2564, 0.2762]),
    ("ImageNet", &[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225]),
];

/// The customary normalisation under which the model is right most often, where that is more often than under the given
/// one by more than chance: the 95 % intervals do not meet.
pub(super) fn suspicious_normalisation(
    options: &CheckOptions,
    engine: &Engine,
    model: &CalibratedModel,
    set: &EvaluationSet,
    input: &InputSpec,
    correct: usize,
) -> Result<Option<OtherNormalisation>> {
    if model.votes() > 1 {
        return Ok(None);
    }
    let channels = model.manifest().image.channels;
    let mut best: Option<OtherNormalisation> = None;
    for (name, mean, std) in CUSTOMARY {
        if mean.len() != 1 && mean.len() != channels {
            continue;
        }
        let normalisation = Normalisation::new(mean, std);
        let normalisation = (mean != [0.0] || std != [1.0]).then_some(normalisation);
        if normalisation == input.normalisation {
            continue;
        }
        let spec = InputSpec { normalisation: normalisation.clone(), ..input.clone() };
        let prepared = PreparedModel::new(engine, options.model.read()?, &spec)?;
        let other = prepared.calibrate(set, &options.attacks, as_planned(model.session_plan()))?;
        let mut classifier = other.original()?.classifier().or_kind(ErrorKind::Model)?;
        let other = correct_of_some(classifier.as_mut(), set, MOST_IMAGES)?.correct;
        if best.as_ref().is_none_or(|best| other > best.correct) {
            best = Some(OtherNormalisation { name, normalisation, correct: other });
        }
    }
    let classified = set.count().min(MOST_IMAGES);
    let given = clopper_pearson(correct, classified);
    Ok(best.filter(|best| clopper_pearson(best.correct, classified).lower > given.upper))
}

/// Nothing is measured again.
fn as_planned(SessionPlan { batch, workers, threads }: SessionPlan) -> Overrides {
    let number = NonZero::new;
    Overrides { batch: number(batch), workers: number(workers), threads: number(threads) }
}
