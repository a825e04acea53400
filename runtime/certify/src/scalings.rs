//! Whether the model was meant for another scaling of the pixels or another order of colours: the customary ones, tried on
//! the same images.

use std::cmp::Reverse;
use std::num::NonZero;

use mimir_bundle::{AttackSpec, ChannelOrder, Normalisation};
use mimir_export::InputSpec;
use mimir_runtime::evaluate::EvaluationSet;
use mimir_runtime::model::ModelSource;
use mimir_runtime::probe::{Sampled, correct_of_some};
use mimir_runtime::session::{Engine, SessionPlan};
use mimir_runtime::statistics::{clopper_pearson, fraction, lower_limit};
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
#[derive(Debug, Default)]
pub(crate) struct Tried {
    /// Other scalings and orders that the model could be run with.
    pub(crate) tried: usize,
    /// The one that changes least of those under which the model is right most often, where that is more often than as it was
    /// given and than by guessing.
    pub(crate) better: Option<OtherNormalisation>,
    /// The others under which it is right as often, as far as these images tell.
    pub(crate) tied: Vec<OtherNormalisation>,
}

/// Another scaling or order that was tried.
struct Candidate {
    other: OtherNormalisation,
    /// Of the normalisation and the order of colours, how many are other than they were given.
    changes: usize,
}

/// How likely what is said to be better than guessing is not, over all that was tried.
const ERROR: f64 = 0.025;

/// Of all that was tried, what is clearly better than the model as it was given and than guessing. Among those that the images do
/// not tell from the best, the one that changes least, and of these the one that is right most often.
fn choose(mut candidates: Vec<Candidate>, given: Sampled) -> Tried {
    let tried = candidates.len();
    let Sampled { correct, classified, by_guessing, .. } = given;
    // What is best of many is good by chance more often than one is.
    let error = ERROR / tried.max(1) as f64;
    let given = clopper_pearson(correct, classified);
    candidates.retain(|Candidate { other, .. }| {
        lower_limit(other.correct, classified, error) > by_guessing
            && clopper_pearson(other.correct, classified).lower > given.upper
    });
    let most = candidates.iter().map(|candidate| candidate.other.correct).max().unwrap_or_default();
    let best = fraction(most, classified);
    candidates.retain(|candidate| clopper_pearson(candidate.other.correct, classified).upper >= best);
    candidates.sort_by_key(|candidate| (candidate.changes, Reverse(candidate.other.correct)));
    let mut others = candidates.into_iter().map(|candidate| candidate.other);
    Tried { tried, better: others.next(), tied: others.collect() }
}

impl GivenInput<'_> {
    /// Tries the others on images spread over the set, at most so many; `given` is what was found of them as the input was given.
    /// What the model cannot be run with is left out.
    pub(crate) fn try_others(&self, given: Sampled, most: usize) -> Result<Tried> {
        if self.calibrated.votes() > 1 {
            return Ok(Tried::default());
        }
        let mut candidates: Vec<Candidate> = Vec::new();
        let mut consider = |spec: InputSpec, name: String, flags: String| {
            let Ok(correct) = self.correct_with(&spec, most) else { return };
            let InputSpec { normalisation, channel_order, .. } = spec;
            let changes = usize::from(normalisation != self.input.normalisation)
                + usize::from(channel_order != self.input.channel_order);
            let other = OtherNormalisation { name, normalisation, channel_order, flags, correct };
            candidates.push(Candidate { other, changes });
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
                    consider(spec, format!("{name} with {words}"), format!("{flags} {flag}"));
                }
            }
        }
        Ok(choose(candidates, given))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What is chosen of some names with changes and images classified correctly, of 240, and what is tied with it.
    fn chosen(
        given: usize,
        by_guessing: f64,
        candidates: &[(&str, usize, usize)],
    ) -> (Option<String>, Vec<String>) {
        let candidate = |(name, changes, correct): &(&str, usize, usize)| Candidate {
            other: OtherNormalisation {
                name: (*name).to_owned(),
                normalisation: None,
                channel_order: ChannelOrder::Rgb,
                flags: String::new(),
                correct: *correct,
            },
            changes: *changes,
        };
        let given = Sampled { correct: given, classified: 240, non_finite: 0, by_guessing };
        let Tried { tried, better, tied } = choose(candidates.iter().map(candidate).collect(), given);
        assert_eq!(tried, candidates.len());
        (better.map(|other| other.name), tied.into_iter().map(|other| other.name).collect())
    }

    #[test]
    fn what_is_no_better_than_guessing_is_not_proposed() {
        let sixth = 1.0 / 6.0;
        // Permuted labels: everything is bad, and something is less so.
        assert_eq!(chosen(6, sixth, &[("mean", 1, 40), ("order", 1, 52)]), (None, vec![]));
        // Better than guessing, and not than what is there.
        assert_eq!(chosen(100, sixth, &[("mean", 1, 118)]), (None, vec![]));
        // Always the most frequent class.
        assert_eq!(chosen(10, 0.5, &[("mean", 1, 120)]), (None, vec![]));
        assert_eq!(chosen(10, 0.5, &[("mean", 1, 170)]).0.as_deref(), Some("mean"));
        assert_eq!(chosen(0, 1.0, &[("mean", 1, 240)]), (None, vec![]));
    }

    /// The best of many is above by chance more often than one is.
    #[test]
    fn of_many_the_best_must_be_clearer() {
        let one = [("a", 1, 56)];
        let sixth = 1.0 / 6.0;
        assert!(chosen(6, sixth, &one).0.is_some());
        let many: Vec<_> = std::iter::once(one[0]).chain([("b", 1, 40); 19]).collect();
        assert_eq!(chosen(6, sixth, &many), (None, vec![]));
    }

    #[test]
    fn of_those_that_are_tied_the_one_that_changes_least_is_proposed_and_the_others_named() {
        let sixth = 1.0 / 6.0;
        let tried =
            [("both", 2, 206), ("order", 1, 201), ("mean", 1, 90), ("also order", 1, 202), ("far", 2, 150)];
        let (better, tied) = chosen(60, sixth, &tried);
        assert_eq!(
            (better.as_deref(), tied),
            (Some("also order"), vec!["order".to_owned(), "both".to_owned()])
        );
        let (better, tied) = chosen(60, sixth, &[("both", 2, 206), ("order", 1, 150)]);
        assert_eq!((better.as_deref(), tied.len()), (Some("both"), 0));
    }
}
