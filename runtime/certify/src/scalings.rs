//! Whether the model was meant for another scaling of the pixels or another order of colours: the customary ones, tried on
//! the same images.

use std::num::NonZero;

use mimir_bundle::{AttackSpec, ChannelOrder, Normalisation};
use mimir_export::InputSpec;
use mimir_runtime::evaluate::EvaluationSet;
use mimir_runtime::model::ModelSource;
use mimir_runtime::probe::correct_of_some;
use mimir_runtime::session::{Engine, SessionPlan};
use mimir_runtime::statistics::clopper_pearson;
use mimir_runtime::tune::Overrides;
use serde::Serialize;

use crate::error::{ErrorKind, OrKind, Result};
use crate::model::{CalibratedModel, PreparedModel};
use crate::model_input::ModelInput;

/// What a model would do under another scaling of the pixels, or with another order of colours.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OtherNormalisation {
    /// Whose it is.
    pub name: String,
    /// Its values; none for pixels as they are.
    pub normalisation: Option<Normalisation>,
    /// The order of colours.
    pub channel_order: ChannelOrder,
    /// The flags that ask for it.
    pub flags: String,
    /// Images classified correctly, of as many.
    pub correct: usize,
}

/// Whose normalisation, mean and standard deviation of pixels in [0, 1], as people write them.
type Customary = (&'static str, &'static [f64], &'static [f64], &'static str);

/// What exporters and training recipes use most.
const CUSTOMARY: [Customary; 8] = [
    ("pixels in [0, 1]", &[0.0], &[1.0], "no --mean and --std"),
    ("pixels in [-1, 1]", &[0.5], &[0.5], "--mean 0.5 --std 0.5"),
    ("levels of 0 to 255", &[0.0], &[1.0 / 255.0], "--mean 0 --std 1/255"),
    (
        "levels of 0 to 255 less ImageNet's mean",
        &[0.485, 0.456, 0.406],
        &[1.0 / 255.0, 1.0 / 255.0, 1.0 / 255.0],
        "--mean 0.485,0.456,0.406 --std 1/255,1/255,1/255",
    ),
    ("MNIST", &[0.1307], &[0.3081], "--mean 0.1307 --std 0.3081"),
    (
        "CIFAR-10",
        &[0.4914, 0.4822, 0.4465],
        &[0.2471, 0.2435, 0.2616],
        "--mean 0.4914,0.4822,0.4465 --std 0.2471,0.2435,0.2616",
    ),
    (
        "CIFAR-100",
        &[0.5071, 0.4865, 0.4409],
        &[0.2673, 0.2564, 0.2762],
        "--mean 0.5071,0.4865,0.4409 --std 0.2673,0.2564,0.2762",
    ),
    (
        "ImageNet",
        &[0.485, 0.456, 0.406],
        &[0.229, 0.224, 0.225],
        "--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225",
    ),
];

/// A model as it was given.
pub(crate) struct GivenInput<'a> {
    pub(crate) model: &'a ModelInput,
    pub(crate) engine: &'a Engine,
    pub(crate) calibrated: &'a CalibratedModel,
    pub(crate) set: &'a EvaluationSet<'a>,
    pub(crate) input: &'a InputSpec,
    pub(crate) attacks: &'a [AttackSpec],
}

/// What was tried, and what was best.
pub(crate) struct Tried {
    /// Other scalings and orders that the model could be run with.
    pub(crate) tried: usize,
    /// The one under which the model is right most often, where that is more often than as it was given by more than chance:
    /// the 95 % intervals do not meet.
    pub(crate) better: Option<OtherNormalisation>,
}

impl GivenInput<'_> {
    /// Tries the others on images spread over the set, at most so many, of which `correct` are classified correctly as it was
    /// given. What the model cannot be run with is left out.
    pub(crate) fn try_others(&self, correct: usize, most: usize) -> Result<Tried> {
        let mut tried = Tried { tried: 0, better: None };
        if self.calibrated.votes() > 1 {
            return Ok(tried);
        }
        let mut best: Option<OtherNormalisation> = None;
        let mut consider = |spec: InputSpec, name: String, flags: String| {
            let Ok(correct) = self.correct_with(&spec, most) else { return };
            tried.tried += 1;
            if best.as_ref().is_none_or(|best| correct > best.correct) {
                let InputSpec { normalisation, channel_order, .. } = spec;
                best = Some(OtherNormalisation { name, normalisation, channel_order, flags, correct });
            }
        };
        for (name, mean, std, flags) in CUSTOMARY {
            let normalisation = (mean != [0.0] || std != [1.0]).then(|| Normalisation::new(mean, std));
            let fits = mean.len() == 1 || mean.len() == self.calibrated.manifest().image.channels;
            if fits && normalisation != self.input.normalisation {
                let spec = InputSpec { normalisation, ..self.input.clone() };
                consider(spec, name.to_owned(), self.with_channels(flags));
            }
        }
        if self.calibrated.manifest().image.channels == 3 {
            let order = other_order(self.input.channel_order);
            let (words, flag) = order_words(order);
            let spec = InputSpec { channel_order: order, ..self.input.clone() };
            consider(spec, words.to_owned(), flag.to_owned());
            for (name, mean, std, flags) in
                CUSTOMARY.into_iter().filter(|(_, mean, ..)| mean[0] > 0.0 && mean.len() == 3)
            {
                let normalisation = Some(Normalisation::new(mean, std));
                if normalisation != self.input.normalisation {
                    let spec = InputSpec { normalisation, channel_order: order, ..self.input.clone() };
                    consider(spec, format!("{name}, {words}"), format!("{flags} {flag}"));
                }
            }
        }
        let classified = self.set.count().min(most);
        let given = clopper_pearson(correct, classified);
        tried.better = best.filter(|best| clopper_pearson(best.correct, classified).lower > given.upper);
        Ok(tried)
    }

    fn with_channels(&self, flags: &str) -> String {
        match self.input.channel_order {
            ChannelOrder::Rgb => flags.to_owned(),
            ChannelOrder::Bgr => format!("{flags} --channels bgr"),
        }
    }

    /// Images classified correctly with that input.
    fn correct_with(&self, spec: &InputSpec, most: usize) -> Result<usize> {
        let prepared = PreparedModel::new(self.engine, self.model.read()?, spec)?;
        let other = prepared.calibrate(self.set, self.attacks, as_planned(self.calibrated.session_plan()))?;
        let mut classifier = other.original()?.classifier().or_kind(ErrorKind::Model)?;
        Ok(correct_of_some(classifier.as_mut(), self.set, most)?.correct)
    }
}

fn other_order(order: ChannelOrder) -> ChannelOrder {
    match order {
        ChannelOrder::Rgb => ChannelOrder::Bgr,
        ChannelOrder::Bgr => ChannelOrder::Rgb,
    }
}

fn order_words(order: ChannelOrder) -> (&'static str, &'static str) {
    match order {
        ChannelOrder::Rgb => ("colours from red to blue", "--channels rgb"),
        ChannelOrder::Bgr => ("colours from blue to red", "--channels bgr"),
    }
}

/// Nothing is measured again.
fn as_planned(SessionPlan { batch, workers, threads }: SessionPlan) -> Overrides {
    let number = NonZero::new;
    Overrides { batch: number(batch), workers: number(workers), threads: number(threads) }
}
