//! One worker's part of an attack: rounds of proposals and answers, until no unit is left.

use std::collections::VecDeque;
use std::time::Duration;

use super::board::{Board, Fate, Item};
use super::halt::Halt;
use super::ruling::{Ruling, rule};
use super::team::Worker;
use super::{Batches, Job, Phase};
use crate::attack::{Answer, Distances, Query, Search, Step, Subject};
use crate::evaluate::EvaluateError;
use crate::journal::{Outcome, Quantity, Record};
use crate::logits::{all_finite, looks_broken};
use crate::model::Goal;

/// A search under way.
struct Running<'a> {
    item: Item,
    subject: Subject,
    search: Box<dyn Search + 'a>,
    /// Iterates asked about so far.
    asked: u32,
    forwards: u32,
    backwards: u32,
    zero_gradient: bool,
}

/// A point that the original model is to be asked about.
struct Suspect<'a> {
    running: Running<'a>,
    pixels: Box<[f32]>,
    suspicion: Suspicion,
    /// What the search said after this iterate.
    next: Step,
}

/// Why.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Suspicion {
    /// The iterate looks misclassified, within the ball.
    Broken,
    /// The search's logits are not finite.
    NonFinite,
    /// The search has ended, and keeps this as its closest misclassified point.
    Closest,
}

/// What a worker did.
#[derive(Debug, Default)]
pub(super) struct ShiftReport {
    pub(super) records: Vec<Record>,
    /// Time spent inside the models.
    pub(super) model_time: Duration,
}

/// The state of one worker during one attack.
pub(super) struct Shift<'a, 'w, 's> {
    worker: &'w mut Worker<'s>,
    job: &'a Job<'a>,
    board: &'a Board<'a>,
    halt: &'a Halt<'a>,
    /// Searches that have a proposal to make, by what they ask.
    waiting: Vec<(Query, VecDeque<Running<'a>>)>,
    /// Searches in the current batch, in the order of its rows.
    round: Vec<Running<'a>>,
    suspects: Vec<Suspect<'a>>,
    proposals: Batches,
    confirmations: Batches,
    goals: Vec<Goal>,
    report: ShiftReport,
}

impl<'a, 'w, 's> Shift<'a, 'w, 's> {
    pub(super) fn new(
        worker: &'w mut Worker<'s>,
        job: &'a Job<'a>,
        board: &'a Board<'a>,
        halt: &'a Halt<'a>,
    ) -> Self {
        let (rows, pixels) = (worker.original().batch(), worker.original().image_shape().pixels());
        Self {
            waiting: job.attack.queries().into_iter().map(|query| (query, VecDeque::new())).collect(),
            round: Vec::with_capacity(rows),
            suspects: Vec::new(),
            proposals: Batches::new(rows, pixels),
            confirmations: Batches::new(rows, pixels),
            goals: vec![Goal { label: 0, target: None }; rows],
            report: ShiftReport::default(),
            worker,
            job,
            board,
            halt,
        }
    }

    /// Works until every unit has ended, or something stops all workers.
    pub(super) fn work(mut self) -> Result<ShiftReport, EvaluateError> {
        while !self.halt.is_set() {
            self.refill()?;
            if self.suspects.len() >= self.confirmations.size() {
                self.confirm()?;
            } else if let Some(queue) = self.longest_queue() {
                self.ask(queue)?;
            } else if !self.suspects.is_empty() {
                self.confirm()?;
            } else {
                break;
            }
        }
        Ok(self.report)
    }

    /// Begins searches until some queue must have a full batch, or this worker has its share of what is left.
    fn refill(&mut self) -> Result<(), EvaluateError> {
        let capacity = self.proposals.size() * self.waiting.len();
        let mut waiting: usize = self.waiting.iter().map(|(_, queue)| queue.len()).sum();
        while waiting < capacity && waiting + self.suspects.len() < self.board.fair_share(self.job.workers) {
            let Some(item) = self.board.take() else { break };
            let running = self.job.begin(item)?;
            self.enqueue(running);
            waiting += 1;
        }
        Ok(())
    }

    /// The queue that fills a batch best.
    fn longest_queue(&self) -> Option<usize> {
        let lengths = self.waiting.iter().map(|(_, queue)| queue.len()).enumerate();
        lengths.filter(|(_, length)| *length > 0).max_by_key(|(_, length)| *length).map(|(index, _)| index)
    }

    fn enqueue(&mut self, running: Running<'a>) {
        let query = running.search.query();
        let queue = self.waiting.iter_mut().find(|(announced, _)| *announced == query);
        let (_, queue) = queue.expect("attacks announce every query that their searches make");
        queue.push_back(running);
    }

    /// One round: a proposal from each of a batch of searches, one call of the model, an answer to each.
    fn ask(&mut self, queue: usize) -> Result<(), EvaluateError> {
        let query = self.propose(queue);
        if self.round.is_empty() {
            return Ok(());
        }
        let images = self.proposals.filled(self.round.len());
        let goals = &self.goals[..images.nrows()];
        let answers = self.worker.ask(query, &images, goals, &mut self.report.model_time)?;
        let active = self.round.len();
        let mut ended = Vec::new();
        for (row, mut running) in self.round.drain(..).enumerate() {
            let answer = answers.row(row);
            running.count(query);
            let pixels = self.proposals.row(row);
            match running.judge(&answer, pixels, self.job) {
                Verdict::Goes => {
                    let query = running.search.query();
                    let queue = self.waiting.iter_mut().find(|(announced, _)| *announced == query);
                    queue
                        .expect("attacks announce every query that their searches make")
                        .1
                        .push_back(running);
                }
                Verdict::Suspected(suspicion, next) => {
                    self.suspects.push(Suspect { running, pixels: pixels.into(), suspicion, next });
                }
                Verdict::Spent => ended.push((running, Outcome::Spent)),
                Verdict::NonFinite(quantity) => {
                    let step = running.asked - 1;
                    ended.push((running, Outcome::NonFinite { step, quantity }));
                }
            }
        }
        self.job.monitor.stepped(active);
        for (running, outcome) in ended {
            self.finish(running, outcome)?;
        }
        Ok(())
    }

    /// Fills a batch with proposals of a queue; leaves out what no longer matters.
    fn propose(&mut self, queue: usize) -> Query {
        let (query, queue) = &mut self.waiting[queue];
        while self.round.len() < self.proposals.size() {
            let Some(mut running) = queue.pop_front() else { break };
            if self.board.is_dropped(running.item) {
                self.board.put_down();
                continue;
            }
            let row = self.round.len();
            self.goals[row] = running.search.goal();
            running.search.propose(self.proposals.row_mut(row));
            self.round.push(running);
        }
        *query
    }

    /// A search has ended with nothing found; an attack that minimises the distance may have a point to show.
    fn finish(&mut self, running: Running<'a>, outcome: Outcome) -> Result<(), EvaluateError> {
        match running.search.closest() {
            Some(point) if outcome == Outcome::Spent => {
                let pixels = point.into();
                let suspicion = Suspicion::Closest;
                self.suspects.push(Suspect { running, pixels, suspicion, next: Step::Done });
                Ok(())
            }
            _ => self.end(&running, outcome, None),
        }
    }

    /// Asks the original model about a batch of suspects.
    fn confirm(&mut self) -> Result<(), EvaluateError> {
        self.suspects.retain(|suspect| {
            let dropped = self.board.is_dropped(suspect.running.item);
            if dropped {
                self.board.put_down();
            }
            !dropped
        });
        let count = self.suspects.len().min(self.confirmations.size());
        let suspects: Vec<Suspect> = self.suspects.drain(..count).collect();
        let rows = suspects.iter().map(|suspect| suspect.pixels.as_ref());
        let votes = self.job.votes.0;
        let rulings = rule(self.worker.original(), &mut self.confirmations, rows, votes)?;
        for (mut suspect, ruling) in suspects.into_iter().zip(rulings) {
            suspect.running.forwards += votes as u32;
            self.settle(suspect, &ruling)?;
        }
        Ok(())
    }

    fn settle(&mut self, suspect: Suspect<'a>, ruling: &Ruling) -> Result<(), EvaluateError> {
        let Suspect { running, pixels, suspicion, next } = suspect;
        let distance = self.job.ball.distance(&running.subject.pixels, &pixels);
        let (is_wrong, step) = (ruling.prediction != running.subject.label, running.asked - 1);
        match suspicion {
            Suspicion::Closest => {
                let confirmed = (is_wrong && ruling.is_finite).then_some(distance);
                self.end(&running, Outcome::Spent, confirmed)
            }
            _ if !ruling.is_finite => {
                self.end(&running, Outcome::NonFinite { step, quantity: Quantity::Logits }, None)
            }
            Suspicion::NonFinite => {
                self.end(&running, Outcome::NonFinite { step, quantity: Quantity::Gradient }, None)
            }
            Suspicion::Broken if is_wrong => {
                let slot = self.job.archive.store(&pixels)?;
                let prediction = ruling.prediction as u32;
                self.end(&running, Outcome::Broken { step, prediction, distance, slot }, Some(distance))
            }
            Suspicion::Broken if next == Step::Done => self.finish(running, Outcome::Spent),
            Suspicion::Broken => {
                self.enqueue(running);
                Ok(())
            }
        }
    }

    /// Keeps the record of a unit and books what it means.
    fn end(
        &mut self,
        running: &Running<'a>,
        outcome: Outcome,
        closest: Option<f64>,
    ) -> Result<(), EvaluateError> {
        let record = Record {
            image: running.item.image as u32,
            attack: self.job.index,
            unit: running.item.unit,
            outcome,
            forwards: running.forwards,
            backwards: running.backwards,
            zero_gradient: running.zero_gradient,
            closest,
        };
        self.job.archive.append(&record)?;
        self.report.records.push(record);
        self.board.put_down();
        match self.board.end(running.item, &outcome) {
            Fate::Unchanged => {}
            Fate::Out => self.job.lost(self.halt),
            Fate::Survived => self.job.survived(self.halt),
            Fate::Undecided => self.job.monitor.spent(),
        }
        Ok(())
    }
}

/// What an answer means for a search.
enum Verdict {
    Goes,
    Suspected(Suspicion, Step),
    Spent,
    NonFinite(Quantity),
}

impl Running<'_> {
    fn count(&mut self, query: Query) {
        self.asked += 1;
        self.forwards += 1;
        self.backwards += u32::from(query != Query::Forward);
    }

    /// Shows the answer to the search, where all of it is finite.
    fn judge(&mut self, answer: &Answer, pixels: &[f32], job: &Job) -> Verdict {
        if !all_finite(answer.logits) {
            return Verdict::Suspected(Suspicion::NonFinite, Step::Done);
        }
        if !answer.loss.is_finite() {
            return Verdict::NonFinite(Quantity::Loss);
        }
        if !all_finite(answer.gradient) {
            return Verdict::NonFinite(Quantity::Gradient);
        }
        if self.backwards == 1 && !answer.gradient.is_empty() {
            self.zero_gradient = answer.gradient.iter().all(|value| *value == 0.0);
        }
        let counts = self.search.counts() && job.distances == Distances::WithinBall;
        let next = self.search.observe(answer);
        let Subject { pixels: clean, label, .. } = &self.subject;
        match next {
            _ if counts && looks_broken(answer.logits, *label) && job.ball.contains(clean, pixels) => {
                Verdict::Suspected(Suspicion::Broken, next)
            }
            Step::Continue => Verdict::Goes,
            Step::Done => Verdict::Spent,
        }
    }
}

impl<'a> Job<'a> {
    fn begin(&'a self, item: Item) -> Result<Running<'a>, EvaluateError> {
        let subject = Subject {
            image: item.image,
            pixels: self.set.image(item.image)?,
            label: self.set.labels()[item.image],
            targets: self.clean[item.image].targets.clone(),
        };
        let search = self.attack.search(&subject, item.unit as usize);
        Ok(Running { item, subject, search, asked: 0, forwards: 0, backwards: 0, zero_gradient: false })
    }

    pub(super) fn lost(&self, halt: &Halt) {
        self.monitor.broke();
        if let Some(gate) = self.gate {
            gate.lost(halt);
        }
    }

    pub(super) fn survived(&self, halt: &Halt) {
        self.monitor.spent();
        if let (Some(gate), Phase::Last) = (self.gate, self.phase) {
            gate.survived(halt);
        }
    }
}
