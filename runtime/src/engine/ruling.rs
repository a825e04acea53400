//! What the original model says: the only voice that decides whether an image is broken.

use super::Batches;
use crate::logits::{all_finite, prediction};
use crate::model::{Classifier, ModelError};

/// The original model's answer about one image.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ruling {
    /// Logits of the first evaluation, `[K]`.
    pub(crate) logits: Vec<f32>,
    /// The class that it predicts most often; the first of several.
    pub(crate) prediction: usize,
    /// Whether every number of every evaluation was finite. Where not, the prediction means nothing.
    pub(crate) is_finite: bool,
}

/// Asks the original model about at most a batch of images, `votes ≥ 1` times.
///
/// A model without random operators gives the same answer each time: one vote says it. With random operators a single
/// evaluation would count lucky draws of the adversary as success (fra31/auto-attack issue 105), so the class that most
/// evaluations name decides.
pub(crate) fn rule<'r>(
    classifier: &mut dyn Classifier,
    batches: &mut Batches,
    rows: impl Iterator<Item = &'r [f32]>,
    votes: usize,
) -> Result<Vec<Ruling>, ModelError> {
    let classes = classifier.classes();
    let first = batches.logits(classifier, rows)?;
    let ballots = first.rows().into_iter().map(|row| Ballot::new(row.to_vec(), classes));
    let mut ballots: Vec<Ballot> = ballots.collect();
    for _ in 1..votes {
        let logits = classifier.logits(batches.filled(ballots.len()))?;
        for (ballot, row) in ballots.iter_mut().zip(logits.rows()) {
            ballot.add(row.to_slice().expect("in standard layout"));
        }
    }
    Ok(ballots.into_iter().map(Ballot::ruling).collect())
}

/// Votes on one image.
struct Ballot {
    logits: Vec<f32>,
    /// How often each class was predicted, `[K]`.
    votes: Vec<usize>,
    is_finite: bool,
}

impl Ballot {
    fn new(logits: Vec<f32>, classes: usize) -> Self {
        let mut ballot = Self { logits: vec![], votes: vec![0; classes], is_finite: true };
        ballot.add(&logits);
        ballot.logits = logits;
        ballot
    }

    fn add(&mut self, logits: &[f32]) {
        self.is_finite &= all_finite(logits);
        self.votes[prediction(logits)] += 1;
    }

    fn ruling(self) -> Ruling {
        let most =
            |best: usize, class: usize| if self.votes[class] > self.votes[best] { class } else { best };
        let prediction = (0..self.votes.len()).fold(0, most);
        Ruling { logits: self.logits, prediction, is_finite: self.is_finite }
    }
}
