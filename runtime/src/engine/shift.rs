//! One worker's part of an attack: rounds of proposals and answers, until no image is left.

use ndarray::Array2;

use super::models::Models;
use super::queue::Queue;
use super::{Batches, Found, Job, Report};
use crate::attack::{Search, Step, Subject};
use crate::evaluate::{EvaluateError, NonFinite, Quantity};
use crate::logits::{all_finite, looks_broken, prediction};
use crate::model::Goal;
use crate::monitor::Monitor;

/// A search under way on one image.
struct Running<'a> {
    subject: Subject,
    search: Box<dyn Search + 'a>,
    /// Iterates asked about so far.
    asked: usize,
}

/// An iterate that looks broken, waiting for the original model.
struct Suspect<'a> {
    running: Running<'a>,
    step: usize,
    pixels: Box<[f32]>,
    /// What the search said after this iterate.
    next: Step,
}

/// The state of one worker during one attack.
pub(crate) struct Shift<'a, 'w> {
    models: Models<'w>,
    job: &'a Job<'a>,
    queue: &'a Queue<'a>,
    monitor: &'a Monitor<'a>,
    /// One row of the batch each.
    rows: Vec<Option<Running<'a>>>,
    /// `[B, C·H·W]` proposals; a row without a search keeps what it held.
    images: Array2<f32>,
    goals: Vec<Goal>,
    suspects: Vec<Suspect<'a>>,
    /// Searches whose suspicion was not confirmed, ready to go on.
    refuted: Vec<Running<'a>>,
    confirmations: Batches,
    report: Report,
}

impl<'a, 'w> Shift<'a, 'w> {
    pub(crate) fn new(
        models: Models<'w>,
        job: &'a Job<'a>,
        queue: &'a Queue<'a>,
        monitor: &'a Monitor<'a>,
    ) -> Self {
        let batch = models.batch();
        Self {
            confirmations: Batches::new(models.classifier),
            rows: (0..batch).map(|_| None).collect(),
            images: Array2::zeros((batch, models.classifier.image_shape().pixels())),
            goals: vec![Goal { label: 0, target: None }; batch],
            suspects: Vec::new(),
            refuted: Vec::new(),
            report: Report::default(),
            models,
            job,
            queue,
            monitor,
        }
    }

    /// Works until the queue is empty and every search has ended, or another worker has failed.
    pub(crate) fn work(mut self) -> Result<Report, EvaluateError> {
        while !self.queue.is_stopped() {
            let active = self.fill();
            if active > 0 {
                self.ask(active)?;
            }
            if self.suspects.len() >= self.confirmations.size() || (active == 0 && !self.suspects.is_empty())
            {
                self.confirm()?;
            } else if active == 0 {
                break;
            }
        }
        Ok(self.report)
    }

    /// Gives every free row a search: one that may go on, or the next image's. Returns the rows in use.
    fn fill(&mut self) -> usize {
        for row in self.rows.iter_mut().filter(|row| row.is_none()) {
            *row = self.refuted.pop().or_else(|| self.queue.take().map(|image| self.job.begin(image)));
        }
        self.rows.iter().flatten().count()
    }

    /// One round: a proposal from each search, one call of the model, an answer to each.
    fn ask(&mut self, active: usize) -> Result<(), EvaluateError> {
        for (index, running) in self.rows.iter_mut().enumerate() {
            if let Some(running) = running {
                let mut row = self.images.row_mut(index);
                running.search.propose(row.as_slice_mut().expect("a row is contiguous"));
                self.goals[index] = running.search.goal();
            }
        }
        let answers = self.models.ask(&self.images, &self.goals)?;
        for (index, slot) in self.rows.iter_mut().enumerate() {
            let Some(mut running) = slot.take() else { continue };
            let answer = answers.row(index);
            check_finite(running.subject.image, &answer)?;
            let next = running.search.observe(&answer);
            let step = running.asked;
            running.asked += 1;
            let row = self.images.row(index);
            let pixels = row.as_slice().expect("a row is contiguous");
            let subject = running.subject.clone();
            if looks_broken(answer.logits, subject.label) && self.job.ball.contains(&subject.pixels, pixels) {
                self.suspects.push(Suspect { running, step, pixels: pixels.into(), next });
            } else if next == Step::Continue {
                *slot = Some(running);
            } else {
                self.monitor.spent();
            }
        }
        self.count(active);
        Ok(())
    }

    fn count(&mut self, active: usize) {
        self.report.steps += active as u64;
        self.report.passes.forwards += active as u64;
        if self.models.gradient.is_some() {
            self.report.passes.backwards += active as u64;
        }
        self.monitor.stepped(active);
    }

    /// Asks the original model about a batch of suspects.
    fn confirm(&mut self) -> Result<(), EvaluateError> {
        let count = self.suspects.len().min(self.confirmations.size());
        let suspects: Vec<Suspect> = self.suspects.drain(..count).collect();
        self.report.passes.forwards += count as u64;
        let rows = suspects.iter().map(|suspect| suspect.pixels.as_ref());
        let logits = self.confirmations.logits(self.models.classifier, rows)?;
        for (suspect, logits) in suspects.into_iter().zip(logits.rows()) {
            let logits = logits.as_slice().expect("a row is contiguous");
            let Suspect { running, step, pixels, next } = suspect;
            let Subject { image, label, .. } = running.subject;
            if !all_finite(logits) {
                return Err(NonFinite { image, quantity: Quantity::Logits }.into());
            }
            let prediction = prediction(logits);
            if prediction != label {
                self.monitor.broke();
                self.report.found.push(Found { image, step, prediction, pixels });
            } else if next == Step::Continue {
                self.refuted.push(running);
            } else {
                self.monitor.spent();
            }
        }
        Ok(())
    }
}

impl<'a> Job<'a> {
    fn begin(&'a self, image: usize) -> Running<'a> {
        let subject = Subject {
            image,
            pixels: self.set.pixels(image).into(),
            label: self.set.labels()[image],
            targets: std::sync::Arc::new([]),
        };
        Running { search: self.attack.search(&subject, 0), subject, asked: 0 }
    }
}

fn check_finite(image: usize, answer: &crate::attack::Answer) -> Result<(), NonFinite> {
    let quantity = match () {
        () if !all_finite(answer.logits) => Quantity::Logits,
        () if !answer.loss.is_finite() => Quantity::Loss,
        () if !all_finite(answer.gradient) => Quantity::Gradient,
        () => return Ok(()),
    };
    Err(NonFinite { image, quantity })
}
