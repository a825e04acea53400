//! Confirmation by the original model: it alone decides whether an image is broken.

use crate::logits::{all_finite, prediction};
use crate::model::{Batches, Classifier, ModelError};

/// How often the original model is asked about an image before it counts as broken: 1 for deterministic models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Votes(pub(crate) usize);

/// The original model's answer about one image.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Confirmation {
    /// Logits of the first evaluation, `[K]`.
    pub(crate) logits: Vec<f32>,
    /// The class that it predicts most often; the first of several.
    pub(crate) prediction: usize,
    /// Whether every number of every evaluation was finite. Where not, the prediction means nothing.
    pub(crate) is_finite: bool,
}

/// Asks the original model about at most a batch of images, `votes ≥ 1` times.
///
/// One vote is enough for a deterministic model. With random operators a single evaluation would count lucky draws of
/// the adversary as success (fra31/auto-attack issue 105), so the class that most evaluations predict decides.
pub(crate) fn ask_original<'r>(
    classifier: &mut dyn Classifier,
    batches: &mut Batches,
    rows: impl Iterator<Item = &'r [f32]>,
    Votes(votes): Votes,
) -> Result<Vec<Confirmation>, ModelError> {
    let classes = classifier.classes();
    let first = batches.logits(classifier, rows)?;
    let counts = first.rows().into_iter().map(|row| VoteCount::new(row.to_vec(), classes));
    let mut counts: Vec<VoteCount> = counts.collect();
    for _ in 1..votes {
        let logits = classifier.logits(batches.filled(counts.len()))?;
        for (count, row) in counts.iter_mut().zip(logits.rows()) {
            count.add(row.to_slice().expect("in standard layout"));
        }
    }
    Ok(counts.into_iter().map(VoteCount::confirmation).collect())
}

/// Votes on one image.
struct VoteCount {
    logits: Vec<f32>,
    /// How often each class was predicted, `[K]`.
    votes: Vec<usize>,
    is_finite: bool,
}

impl VoteCount {
    fn new(logits: Vec<f32>, classes: usize) -> Self {
        let mut count = Self { logits: vec![], votes: vec![0; classes], is_finite: true };
        count.add(&logits);
        count.logits = logits;
        count
    }

    fn add(&mut self, logits: &[f32]) {
        self.is_finite &= all_finite(logits);
        self.votes[prediction(logits)] += 1;
    }

    fn confirmation(self) -> Confirmation {
        let most =
            |best: usize, class: usize| if self.votes[class] > self.votes[best] { class } else { best };
        let prediction = (0..self.votes.len()).fold(0, most);
        Confirmation { logits: self.logits, prediction, is_finite: self.is_finite }
    }
}
