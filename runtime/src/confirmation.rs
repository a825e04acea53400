//! Confirmation by the original model: it alone decides whether an image is broken.

use crate::logits::predicted_class;
use crate::majority::{Majority, MajorityCount};
use crate::model::{Batches, Classifier, ModelError};

/// Evaluations of the original model at one point, at most: 1 for deterministic models, where one says all. With random
/// operators a [test](crate::majority) decides by as many as it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Votes(pub(crate) usize);

impl Votes {
    /// Whether the model has random operators.
    pub(crate) fn is_random(self) -> bool {
        self.0 > 1
    }
}

/// A point that the original model is asked about.
#[derive(Debug, Clone)]
pub(crate) struct Question<'p> {
    pub(crate) pixels: &'p [f32],
    /// The test of a model with random operators; none for a deterministic one.
    pub(crate) test: Option<MajorityCount>,
}

/// The original model's answer about one point.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Confirmation {
    /// Logits of the first evaluation, `[K]`.
    pub(crate) logits: Vec<f32>,
    /// The class that it predicts. With random operators the label, unless the test decided for another class. None
    /// where the logits of an evaluation mean none.
    pub(crate) prediction: Option<usize>,
    /// Whether the prediction is certain, at the error rate of the test where the model has random operators.
    pub(crate) is_certain: bool,
    /// Evaluations that it took.
    pub(crate) draws: usize,
}

/// Asks the original model about at most a batch of points; `None` when `stopped` says so before all are answered.
///
/// A deterministic model is asked once. With random operators a single evaluation would count lucky draws of the
/// adversary as success (fra31/auto-attack issue 105): fresh draws are made until each test has its answer, and a point
/// that has one leaves the batch.
pub(crate) fn ask_original(
    classifier: &mut dyn Classifier,
    batches: &mut Batches,
    questions: Vec<Question>,
    stopped: &dyn Fn() -> bool,
) -> Result<Option<Vec<Confirmation>>, ModelError> {
    let mut confirmations: Vec<Option<Confirmation>> = vec![None; questions.len()];
    let mut open: Vec<(usize, Draws)> = questions.into_iter().map(Draws::new).enumerate().collect();
    while !open.is_empty() {
        let logits = batches.logits(classifier, open.iter().map(|(_, draws)| draws.question.pixels))?;
        let mut left = Vec::with_capacity(open.len());
        for ((index, mut draws), row) in open.into_iter().zip(logits.rows()) {
            match draws.draw(row.as_slice().unwrap_or_default()) {
                Some(confirmation) => confirmations[index] = Some(confirmation),
                None => left.push((index, draws)),
            }
        }
        open = left;
        if !open.is_empty() && stopped() {
            return Ok(None);
        }
    }
    Ok(confirmations.into_iter().collect())
}

/// The evaluations at one point.
struct Draws<'p> {
    question: Question<'p>,
    logits: Option<Vec<f32>>,
}

impl<'p> Draws<'p> {
    fn new(question: Question<'p>) -> Self {
        Self { question, logits: None }
    }

    /// Takes in one evaluation; the answer, once there is one.
    fn draw(&mut self, logits: &[f32]) -> Option<Confirmation> {
        let drawn = predicted_class(logits);
        let first = self.logits.get_or_insert_with(|| logits.to_vec());
        let mut answer = Confirmation { logits: Vec::new(), prediction: drawn, is_certain: true, draws: 1 };
        if let (Some(test), Some(drawn)) = (&mut self.question.test, drawn) {
            let (class, is_certain) = match test.draw(drawn)? {
                Majority::Label => (test.label(), true),
                Majority::Other(class) => (class, true),
                Majority::Undecided => (test.label(), false),
            };
            (answer.prediction, answer.is_certain) = (Some(class), is_certain);
        }
        if let Some(test) = &self.question.test {
            answer.draws = test.draws() + usize::from(drawn.is_none());
        }
        answer.logits = std::mem::take(first);
        Some(answer)
    }
}
