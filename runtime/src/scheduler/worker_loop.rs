//! One worker's part of an attack: rounds of proposals and answers, until no unit is left.

use std::collections::VecDeque;

use super::answers::{BatchedQuestion, Beside};
use super::job::{AttackJob, UnitRecords};
use super::mend::{self, Mender};
use super::stop_signal::StopSignal;
use super::work_queue::{ImageStatus, WorkItem, WorkQueue};
use super::workers::Worker;
use crate::attack::{Answer, AskedModel, Attack, CleanImage, DistanceGoal, Query, Search, Step};
use crate::confirmation::{Confirmation, Question, ask_original};
use crate::error::EvaluateError;
use crate::journal::{Outcome, Record};
use crate::logits::{is_clearly_broken, is_fragile, is_tied, looks_broken, margin, predicted_class};
use crate::majority::{MajorityCount, share_of_candidate};
use crate::model::{Batches, Cotangents, LabelAndTarget};
use crate::random::Stream;
use crate::trace::{Ascent, MarginTrace};

/// A search under way.
struct ActiveSearch<'a> {
    item: WorkItem,
    clean: CleanImage,
    search: Box<dyn Search + 'a>,
    /// Iterates asked about so far.
    asked: u32,
    /// Passes that this took.
    spent: u64,
    forwards: u32,
    backwards: u32,
    zero_gradient: bool,
    /// Draws at the present point that look broken, of a model with random operators.
    broken_draws: usize,
    /// Candidates that were tested, and the draws that it took.
    tested: (usize, usize),
    non_finite_gradient: bool,
    /// Directions for gradients that say nothing; made when the first of them comes.
    noise: Option<Stream>,
    /// The misclassified point of the lowest margin that rounding alone may explain.
    fragile: Option<ConfirmedPoint>,
    /// What is kept of the way of the search; none of models with random operators, and of searches for distances.
    signs: Option<SearchSigns>,
}

/// What the way of a search says of the search.
struct SearchSigns {
    margins: MarginTrace,
    ascent: Ascent,
    /// Whether it asked about points outside the ball, as searches for the nearest counterexample do: their loss need not
    /// rise.
    left_ball: bool,
    /// Whether the searched graph clearly misclassifies the last point.
    claims: bool,
    /// Whether the original model rejected a point that the searched graph clearly misclassifies.
    rejected: bool,
}

impl SearchSigns {
    fn new(clean_margin: f32) -> Self {
        Self {
            margins: MarginTrace::new(clean_margin),
            ascent: Ascent::default(),
            left_ball: false,
            claims: false,
            rejected: false,
        }
    }

    /// Takes in the answer about an iterate that counts. `is_inside` says whether the point is in the ball; it is asked where
    /// that matters only, because that costs a look at every pixel.
    fn record(&mut self, answer: &Answer, label: usize, doubt: f32, is_inside: impl FnOnce() -> bool) {
        self.ascent.record(answer.loss);
        let margin = margin(answer.logits, label);
        self.claims = margin < 0.0 && is_clearly_broken(answer.logits, label, doubt);
        if margin < self.margins.lowest() {
            if is_inside() {
                self.margins.lower(margin);
            } else {
                self.left_ball = true;
            }
        }
    }
}

/// A point that the original model misclassifies by no more than rounding.
struct ConfirmedPoint {
    pixels: Box<[f32]>,
    step: u32,
    prediction: u32,
    distance: f64,
    margin: f32,
}

/// Draws that the candidates of one unit may take in all, so that an image at the edge does not take all the time.
const MOST_DRAWS_OF_A_UNIT: usize = 20_000;

/// A point that the original model is to be asked about.
struct Candidate<'a> {
    active: Box<ActiveSearch<'a>>,
    pixels: Box<[f32]>,
    kind: CandidateKind,
    /// What the search said after this iterate.
    next: Step,
}

/// Why the original model is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CandidateKind {
    /// The iterate looks misclassified, within the ball.
    Broken,
    /// The search's logits mean no class, within the ball.
    Ambiguous,
    /// The search has ended, and keeps this as its closest misclassified point.
    Closest,
}

impl Candidate<'_> {
    /// What the original model is asked, with the share of the image's error rate that this candidate may use.
    fn question(&self, job: &AttackJob, classes: usize) -> Question<'_> {
        let ActiveSearch { item, clean, tested, .. } = &*self.active;
        let test = || {
            let share = share_of_candidate(usize::from(job.index), item.unit as usize, tested.0);
            MajorityCount::of_candidate(clean.label, classes, share)
        };
        Question { pixels: &self.pixels, test: job.votes.is_random().then(test) }
    }
}

/// Searches that have a proposal to make, one queue for each query that the attack announces, by model. They go from queue to batch
/// and back with every pass: what moves is a pointer.
type Waiting<'a> = Vec<((AskedModel, Query), VecDeque<Box<ActiveSearch<'a>>>)>;

/// The state of one worker during one attack.
pub(super) struct WorkerLoop<'a, 'w, 's> {
    worker: &'w mut Worker<'s>,
    job: &'a AttackJob<'a>,
    queue: &'a WorkQueue<'a>,
    stop: &'a StopSignal<'a>,
    waiting: Waiting<'a>,
    /// Searches in the current batch, in the order of its rows.
    #[expect(clippy::vec_box, reason = "searches are large, and move from list to list")]
    round: Vec<Box<ActiveSearch<'a>>>,
    candidates: Vec<Candidate<'a>>,
    proposals: Batches,
    confirmations: Batches,
    pairs: Vec<LabelAndTarget>,
    /// Of the searches in the current batch.
    radii: Vec<f32>,
    /// Likewise: of logits and features.
    cotangents: [Vec<f32>; 2],
    mender: Mender,
    /// Passes that its searches have taken.
    spent: u64,
    done: UnitRecords,
}

impl<'a, 'w, 's> WorkerLoop<'a, 'w, 's> {
    pub(super) fn new(
        worker: &'w mut Worker<'s>,
        job: &'a AttackJob<'a>,
        queue: &'a WorkQueue<'a>,
        stop: &'a StopSignal<'a>,
    ) -> Self {
        let (rows, pixels) = (worker.original().batch(), worker.original().image_shape().pixels());
        Self {
            waiting: announced(job.attack).map(|query| (query, VecDeque::new())).collect(),
            round: Vec::with_capacity(rows),
            candidates: Vec::new(),
            proposals: Batches::new(rows, pixels),
            confirmations: Batches::new(rows, pixels),
            pairs: vec![LabelAndTarget { label: 0, target: None }; rows],
            radii: Vec::with_capacity(rows),
            cotangents: [Vec::new(), Vec::new()],
            mender: Mender::default(),
            spent: 0,
            done: UnitRecords::default(),
            worker,
            job,
            queue,
            stop,
        }
    }

    /// Works until every unit has ended, or something stops all workers.
    pub(super) fn run(mut self) -> Result<UnitRecords, EvaluateError> {
        while !self.stop.is_set() {
            self.refill()?;
            if self.candidates.len() >= self.confirmations.size() {
                self.confirm()?;
            } else if let Some(queue) = self.longest_queue() {
                self.ask(queue)?;
            } else if !self.candidates.is_empty() {
                self.confirm()?;
            } else {
                break;
            }
        }
        Ok(self.done)
    }

    /// Begins searches until some queue must have a full batch, or this worker has its share of what is left.
    fn refill(&mut self) -> Result<(), EvaluateError> {
        let mut waiting: usize = self.waiting.iter().map(|(_, queue)| queue.len()).sum();
        while self.has_room(waiting) {
            let Some(item) = self.queue.take() else { break };
            let active = ActiveSearch::start(self.job, item)?;
            enqueue(&mut self.waiting, Box::new(active));
            waiting += 1;
        }
        Ok(())
    }

    /// Whether this worker begins another search, of which so many wait for an answer.
    ///
    /// It has no more than its share of the work that is left. When little more is left than it works on, it takes all of that
    /// at once: these searches take turns and end together, in batches that are full to the end. One after the other, the last
    /// of them would have batches for themselves.
    fn has_room(&self, waiting: usize) -> bool {
        let (batch, share) = (self.proposals.size(), self.queue.fair_share(self.job.workers));
        let capacity = batch * self.waiting.len();
        let own = self.queue.work(waiting + self.candidates.len(), self.spent);
        own < share && (waiting < capacity || share <= (capacity + batch) as f64)
    }

    /// The queue that fills a batch best.
    fn longest_queue(&self) -> Option<usize> {
        let lengths = self.waiting.iter().map(|(_, queue)| queue.len()).enumerate();
        lengths.filter(|(_, length)| *length > 0).max_by_key(|(_, length)| *length).map(|(index, _)| index)
    }

    /// One round: a proposal from each of a batch of searches, one call of the model, an answer to each.
    fn ask(&mut self, queue: usize) -> Result<(), EvaluateError> {
        let (asked, query) = self.propose(queue);
        if self.round.is_empty() {
            return Ok(());
        }
        let (asked_rows, images) = (self.round.len(), self.proposals.filled(self.round.len()));
        // Rows that only fill up the batch are asked about as the last one is: a targeted loss needs a target.
        let last = self.pairs[asked_rows - 1];
        self.pairs[asked_rows..images.nrows()].fill(last);
        let pairs = &self.pairs[..images.nrows()];
        let [logits, features] = &self.cotangents;
        let cotangents = Cotangents { logits, features };
        let batch = BatchedQuestion { images: &images, pairs, radii: &self.radii, cotangents };
        let answers = self.worker.ask((asked, query), &batch, &mut self.done.model_time)?;
        let images: Vec<usize> = self.round.iter().map(|active| active.item.image).collect();
        let spent = images.len() as u64 * query.passes();
        self.queue.spend(spent);
        self.spent += spent;
        let mut ended = Vec::new();
        for (row, mut active) in self.round.drain(..).enumerate() {
            let answer = answers.row(row);
            active.count(query);
            let pixels = self.proposals.row(row);
            match active.take_answer(&answer, answers.beside(row), pixels, self.job, &mut self.mender) {
                AnswerOutcome::Continues => enqueue(&mut self.waiting, active),
                AnswerOutcome::Candidate(kind, next) => {
                    let mut pixels: Box<[f32]> = pixels.into();
                    self.job.ball.pull_in(&active.clean.pixels, &mut pixels);
                    self.candidates.push(Candidate { active, pixels, kind, next });
                }
                AnswerOutcome::Spent => ended.push(active),
            }
        }
        self.job.monitor.asked(images.into_iter(), query.passes());
        ended.into_iter().try_for_each(|active| self.finish(active))
    }

    /// Fills a batch with proposals of a queue; leaves out what no longer matters.
    fn propose(&mut self, queue: usize) -> (AskedModel, Query) {
        let (query, queue) = &mut self.waiting[queue];
        if queue.len() > self.proposals.size() {
            // Those that have most left to do come first, so that all end together.
            queue.make_contiguous().sort_by_key(|active| active.spent);
        }
        self.radii.clear();
        self.cotangents.iter_mut().for_each(Vec::clear);
        while self.round.len() < self.proposals.size() {
            let Some(mut active) = queue.pop_front() else { break };
            if self.queue.is_dropped(active.item) {
                self.queue.release(active.spent);
                self.spent -= active.spent;
                continue;
            }
            let row = self.round.len();
            self.pairs[row] = active.search.label_and_target();
            self.radii.push(active.search.radius());
            if query.1 == Query::FeatureGradient {
                let Cotangents { logits, features } = active.search.cotangents();
                self.cotangents[0].extend_from_slice(logits);
                self.cotangents[1].extend_from_slice(features);
            }
            let pixels = self.proposals.row_mut(row);
            active.search.propose(pixels);
            self.job.ball.snap(&active.clean.pixels, pixels);
            self.round.push(active);
        }
        *query
    }

    /// A search has ended with nothing found; an attack that minimises the distance may have a point to show.
    fn finish(&mut self, active: Box<ActiveSearch<'a>>) -> Result<(), EvaluateError> {
        let Some(point) = active.search.closest() else { return self.end(active, Outcome::Spent, None) };
        let mut pixels: Box<[f32]> = point.into();
        self.job.ball.snap(&active.clean.pixels, &mut pixels);
        let kind = CandidateKind::Closest;
        self.candidates.push(Candidate { active, pixels, kind, next: Step::Done });
        Ok(())
    }

    /// Asks the original model about a batch of candidates.
    fn confirm(&mut self) -> Result<(), EvaluateError> {
        self.candidates.retain(|candidate| {
            let dropped = self.queue.is_dropped(candidate.active.item);
            if dropped {
                self.queue.release(candidate.active.spent);
                self.spent -= candidate.active.spent;
            }
            !dropped
        });
        let count = self.candidates.len().min(self.confirmations.size());
        let candidates: Vec<Candidate> = self.candidates.drain(..count).collect();
        let classes = self.worker.original().classes();
        let question = |candidate| Candidate::question(candidate, self.job, classes);
        let questions = candidates.iter().map(question).collect();
        let stopped = || self.stop.is_set();
        let confirmations =
            ask_original(self.worker.original(), &mut self.confirmations, questions, &stopped)?;
        // What was not answered is not recorded.
        let Some(confirmations) = confirmations else { return Ok(()) };
        for (mut candidate, confirmation) in candidates.into_iter().zip(confirmations) {
            candidate.active.forwards += confirmation.draws as u32;
            candidate.active.tested.0 += 1;
            candidate.active.tested.1 += confirmation.draws;
            self.decide(candidate, &confirmation)?;
        }
        Ok(())
    }

    /// What the answer of the original model means for a candidate.
    fn decide(&mut self, candidate: Candidate<'a>, confirmation: &Confirmation) -> Result<(), EvaluateError> {
        let Candidate { mut active, pixels, kind, next } = candidate;
        if let (CandidateKind::Broken, Some(signs)) = (kind, &mut active.signs) {
            signs.rejected |= signs.claims && confirmation.prediction == Some(active.clean.label);
        }
        let distance = self.job.ball.distance(&active.clean.pixels, &pixels);
        let step = active.asked - 1;
        let wrong = confirmation.prediction.filter(|class| *class != active.clean.label);
        match (kind, wrong) {
            (CandidateKind::Closest, wrong) => {
                self.end(active, Outcome::Spent, wrong.is_some().then_some(distance))
            }
            _ if confirmation.prediction.is_none() => self.end(active, Outcome::NonFinite { step }, None),
            (CandidateKind::Broken | CandidateKind::Ambiguous, Some(class)) => {
                let (label, logits, prediction) = (active.clean.label, &confirmation.logits, class as u32);
                let margin = margin(logits, label);
                // Of a model with random operators the majority decides, not one margin.
                if !self.job.votes.is_random() && is_fragile(logits, label) {
                    let point = ConfirmedPoint { pixels, step, prediction, distance, margin };
                    return self.search_on(active, point, next);
                }
                let point = ConfirmedPoint { pixels, step, prediction, distance, margin };
                let outcome = self.broken(&point, label, false)?;
                self.end(active, outcome, Some(distance))
            }
            _ if next == Step::Done => self.finish(active),
            _ => {
                enqueue(&mut self.waiting, active);
                Ok(())
            }
        }
    }

    /// Goes on from a point that rounding alone may have broken: a stronger one is misclassified by every engine.
    fn search_on(
        &mut self,
        mut active: Box<ActiveSearch<'a>>,
        point: ConfirmedPoint,
        next: Step,
    ) -> Result<(), EvaluateError> {
        if active.fragile.as_ref().is_none_or(|known| point.margin < known.margin) {
            active.fragile = Some(point);
        }
        if next == Step::Done {
            return self.finish(active);
        }
        enqueue(&mut self.waiting, active);
        Ok(())
    }

    /// What a unit found, where it was a point at rounding level at most.
    fn at_rounding_level(&self, active: &ActiveSearch<'a>, spent: Outcome) -> Result<Outcome, EvaluateError> {
        let (Some(point), Outcome::Spent) = (&active.fragile, spent) else { return Ok(spent) };
        self.broken(point, active.clean.label, true)
    }

    /// Keeps a point that breaks an image, and measures it in float64 too.
    fn broken(&self, point: &ConfirmedPoint, label: usize, fragile: bool) -> Result<Outcome, EvaluateError> {
        let slot = self.job.archive.store(&point.pixels)?;
        let measured = self.job.float64.and_then(|float64| float64.margins(&[&point.pixels], &[label]));
        let margin_float64 = measured.and_then(|margins| margins.first().copied().flatten());
        let ConfirmedPoint { step, prediction, distance, margin, .. } = *point;
        Ok(Outcome::Broken { step, prediction, distance, margin, margin_float64, fragile, slot })
    }

    /// Keeps the record of a unit and counts what it means for its image.
    fn end(
        &mut self,
        mut active: Box<ActiveSearch<'a>>,
        outcome: Outcome,
        closest: Option<f64>,
    ) -> Result<(), EvaluateError> {
        let outcome = self.at_rounding_level(&active, outcome)?;
        let signs = active.signs.take();
        let is_ascent = |signs: &SearchSigns| active.backwards > 0 && !signs.left_ball;
        let ended = outcome == Outcome::Spent;
        let incomplete =
            signs.as_ref().is_some_and(|signs| ended && is_ascent(signs) && signs.ascent.is_incomplete());
        let rejected = signs.as_ref().is_some_and(|signs| signs.rejected);
        let record = Record {
            image: active.item.image as u32,
            attack: self.job.index,
            unit: active.item.unit,
            outcome,
            forwards: active.forwards,
            backwards: active.backwards,
            zero_gradient: active.zero_gradient,
            non_finite_gradient: active.non_finite_gradient,
            closest,
            incomplete,
            rejected,
            trace: signs.map(|signs| signs.margins.into_points()).unwrap_or_default(),
        };
        self.job.archive.append(&record)?;
        self.done.records.push(record);
        self.queue.release(active.spent);
        self.spent -= active.spent;
        self.job.unit_ended(active.item.image, &outcome);
        match self.queue.complete(active.item, &outcome) {
            ImageStatus::Unchanged => {}
            ImageStatus::Out => self.job.image_out(active.item.image, self.stop),
            ImageStatus::Spent => self.job.image_spent(active.item.image, self.stop),
        }
        Ok(())
    }
}

/// The queries of an attack, by model.
fn announced(attack: &dyn Attack) -> impl Iterator<Item = (AskedModel, Query)> {
    let of = |model: AskedModel, queries: Vec<Query>| queries.into_iter().map(move |query| (model, query));
    of(AskedModel::Attacked, attack.queries()).chain(of(AskedModel::Surrogate, attack.surrogate_queries()))
}

/// Puts a search into the queue of its next query.
fn enqueue<'a>(waiting: &mut Waiting<'a>, active: Box<ActiveSearch<'a>>) {
    let query = (active.search.asked_model(), active.search.query());
    let queue = waiting.iter_mut().find(|(announced, _)| *announced == query);
    let (_, queue) = queue.expect("attacks announce every query that their searches make");
    queue.push_back(active);
}

/// What an answer means for a search.
enum AnswerOutcome {
    Continues,
    Candidate(CandidateKind, Step),
    Spent,
}

impl ActiveSearch<'_> {
    fn count(&mut self, query: Query) {
        self.asked += 1;
        self.spent += query.passes();
        self.forwards += 1;
        self.backwards += u32::from(query.is_for_gradient());
    }

    /// Shows the answer to the search, and says what the scheduler must do about it.
    fn take_answer(
        &mut self,
        answer: &Answer,
        Beside { returned, features }: Beside<'_>,
        pixels: &[f32],
        job: &AttackJob,
        mender: &mut Mender,
    ) -> AnswerOutcome {
        // A surrogate's word breaks nothing, and says nothing of the attacked model.
        let is_attacked = self.search.asked_model() == AskedModel::Attacked;
        let decides = is_attacked && job.distances == DistanceGoal::WithinBall;
        let counts = self.search.counts() && decides;
        self.record_signs(answer, counts, job.doubt, |clean| job.ball.is_near(clean, pixels));
        let (kind, asks, next) = match predicted_class(answer.logits) {
            Some(_) => {
                let asks = counts && self.looks_broken(answer, returned, job);
                (CandidateKind::Broken, asks, self.observe(answer, features, is_attacked, job, mender))
            }
            None => (CandidateKind::Ambiguous, decides, self.search.step_back()),
        };
        match next {
            _ if asks && job.ball.is_near(&self.clean.pixels, pixels) => AnswerOutcome::Candidate(kind, next),
            Step::Continue => AnswerOutcome::Continues,
            Step::Done => AnswerOutcome::Spent,
        }
    }

    /// Keeps what the answer to a proposal says of the way of the search. `is_inside` says whether the proposal is in the
    /// ball around the clean image.
    fn record_signs(
        &mut self,
        answer: &Answer,
        counts: bool,
        doubt: f32,
        is_inside: impl FnOnce(&[f32]) -> bool,
    ) {
        let Some(signs) = &mut self.signs else { return };
        signs.margins.come_to(self.asked as usize - 1);
        signs.claims = false;
        if counts && predicted_class(answer.logits).is_some() {
            signs.record(answer, self.clean.label, doubt, || is_inside(&self.clean.pixels));
        }
    }

    /// Shows an answer whose logits mean a class to the search, with gradient and loss mended.
    fn observe(
        &mut self,
        answer: &Answer,
        features: Option<&[f32]>,
        is_attacked: bool,
        job: &AttackJob,
        mender: &mut Mender,
    ) -> Step {
        if is_attacked && self.backwards == 1 && !answer.gradient.is_empty() {
            self.zero_gradient = answer.gradient.iter().all(|value| *value == 0.0);
        }
        let WorkItem { image, unit, .. } = self.item;
        let new_noise = || mend::noise(job.seed, image, job.index, unit);
        let (answer, is_mended) = mender.mend(answer, &mut self.noise, new_noise);
        self.non_finite_gradient |= is_mended && is_attacked;
        match features {
            Some(features) => self.search.observe_features(&answer, features),
            None => self.search.observe(&answer),
        }
    }
}

impl ActiveSearch<'_> {
    /// Whether the original model should be asked about the point of this answer.
    ///
    /// Of a model with random operators that is decided by the last draw at the point, and only if most draws of the
    /// search look broken there: each point that is asked about costs many draws.
    fn looks_broken(&mut self, answer: &Answer, returned: &[f32], job: &AttackJob) -> bool {
        let label = self.clean.label;
        let looks_broken = looks_broken(answer.logits, label, job.doubt) || is_tied(returned, label);
        if !job.votes.is_random() {
            return looks_broken;
        }
        self.broken_draws += usize::from(looks_broken);
        if !(self.asked as usize).is_multiple_of(job.draws_each) {
            return false;
        }
        let most = 2 * std::mem::take(&mut self.broken_draws) > job.draws_each;
        most && self.tested.1 < MOST_DRAWS_OF_A_UNIT
    }
}

impl<'a> ActiveSearch<'a> {
    /// Starts the search of a unit.
    fn start(job: &'a AttackJob<'a>, item: WorkItem) -> Result<Self, EvaluateError> {
        let clean = CleanImage {
            image: item.image,
            pixels: job.set.image(item.image)?,
            label: job.set.labels()[item.image],
            targets: job.clean[item.image].targets.clone(),
        };
        let search = job.attack.search(&clean, item.unit as usize);
        Ok(Self {
            item,
            clean,
            search,
            asked: 0,
            spent: 0,
            forwards: 0,
            backwards: 0,
            zero_gradient: false,
            broken_draws: 0,
            tested: (0, 0),
            non_finite_gradient: false,
            noise: None,
            fragile: None,
            signs: job.keeps_signs().then(|| SearchSigns::new(job.clean[item.image].margin)),
        })
    }
}
