//! FAB, the fast adaptive boundary attack (Croce and Hein, "Minimally distorted adversarial examples with a fast
//! adaptive boundary attack", ICML 2020): looks for the closest misclassified point, whatever ε is.
//!
//! One iteration linearises the difference `z_t - z_y` of a wrong class and the label at the current point `x`, takes
//! the shortest displacements from `x` and from the clean image `x₀` to where that is zero inside the box, overshoots
//! both a little, and averages the two end points with a bias towards `x`. A misclassified point is pulled back towards
//! `x₀`. With target classes each search linearises one difference; without, all `K - 1`, and takes the closest
//! hyperplane.
//!
//! Numbers and order of operations are those of the reference implementation. Neither has a final search on the segment
//! to the clean image. What differs:
//!
//! - Every misclassified point that the model was asked about counts for the distance, those that were pulled back
//!   included. The reference asks for their logits, too, but looks only at those of the points before.
//! - The reference asks for the class of each new point (a forward pass), then for the gradient (a forward and a
//!   backward pass) there or, after a misclassification, at the point that was pulled back. Here the gradient is asked
//!   for at once where the point is likely to be classified correctly, which saves the forward pass; see
//!   [`GradientPrefetch`]. The iterates are the same either way. Without targets each of the `K - 1` gradients has its
//!   own forward pass, because a gradient graph has one loss; only the class of the first is new information.
//! - A search does not end by itself inside the ball: the scheduler ends it, once the original model has confirmed the
//!   misclassification.

use mimir_bundle::attack::{FabSpec, TargetedFabSpec};
use multiversion::multiversion;

use super::closest_adversarial::ClosestAdversarial;
use super::{Answer, Attack, AttackContext, CleanImage, Query, Search, Step, go_half_way};
use crate::ball::{Ball, LinearFunction};
use crate::logits::predicted_class;
use crate::model::{LabelAndTarget, Loss};
use crate::random::{Key, Stream};

/// Lower bound of the displacements that the weights of the two end points are computed from.
const SHORTEST: f32 = 1e-8;

/// Radius of random starts, as a share of ε.
const START_RADIUS: f32 = 0.5;

/// Correctly classified points in a row after which the next is expected to be correct, too.
const RUN: usize = 2;

/// Bisection steps on the segment from the clean image to a point that a search starts from.
pub(super) const BISECTIONS: usize = 8;

/// FAB with its ball and seed.
#[derive(Debug)]
pub struct Fab {
    name: &'static str,
    spec: FabSpec,
    /// Target classes, each with searches of its own. None: every search takes the closest of all classes.
    targets: Option<usize>,
    classes: usize,
    ball: Ball,
    seed: u64,
}

impl Fab {
    /// FAB on the closest class. The name keys its noise.
    pub(super) fn untargeted(name: &'static str, spec: &FabSpec, context: &AttackContext) -> Self {
        let AttackContext { ball, seed, classes, .. } = *context;
        Self { name, spec: spec.clone(), targets: None, classes, ball, seed }
    }

    /// FAB on one class after the other: the wrong classes of highest clean logit, all of them where there are fewer.
    pub(super) fn targeted(name: &'static str, spec: &TargetedFabSpec, context: &AttackContext) -> Self {
        let targets = Some(spec.targets.min(context.classes - 1));
        Self { targets, ..Self::untargeted(name, &spec.fab, context) }
    }

    /// A search from a misclassified point in the box, `C·H·W` pixels, instead of the clean image. A bisection of the
    /// segment to the clean image brings the start closer first, which costs forward passes beyond the budget. A start
    /// that turns out to be classified correctly is dropped.
    ///
    /// With a target, only that class is linearised.
    pub fn search_from(
        &self,
        clean: &CleanImage,
        target: Option<usize>,
        start: &[f32],
    ) -> Box<dyn Search + '_> {
        let mut search = self.begin(clean, target);
        search.point.copy_from_slice(start);
        search.pending =
            Pending::Bisect(Bisection { start: start.into(), correct: 0.0, wrong: 1.0, asked: 0 });
        Box::new(search)
    }

    /// A search from the clean image.
    fn begin(&self, clean: &CleanImage, target: Option<usize>) -> FabSearch<'_> {
        let wrong = |class: &usize| *class != clean.label;
        let other_classes =
            target.map_or_else(|| (0..self.classes).filter(wrong).collect(), |target| vec![target]);
        let pixels = clean.pixels.len();
        FabSearch {
            attack: self,
            clean: clean.clone(),
            other_classes,
            pending: Pending::Linearise(0),
            iterations: 0,
            point: clean.pixels.to_vec(),
            nearest: NearestHyperplane { gradient: vec![0.0; pixels], value: 0.0, distance: f64::INFINITY },
            displacements: [vec![0.0; pixels], vec![0.0; pixels]],
            closest: ClosestAdversarial::new(pixels),
            prefetch: GradientPrefetch::default(),
        }
    }

    /// A random point around the clean image.
    fn random_start(&self, clean: &CleanImage, target: Option<usize>, restart: usize, out: &mut [f32]) {
        let key = Key { seed: self.seed, image: clean.image, attack: self.name, target, restart };
        self.ball.random_direction(&mut Stream::new(&key), out);
        let radius = START_RADIUS * self.ball.epsilon();
        for (value, clean) in out.iter_mut().zip(clean.pixels.iter()) {
            *value = (clean + radius * *value).clamp(0.0, 1.0);
        }
    }
}

impl Attack for Fab {
    fn queries(&self) -> Vec<Query> {
        vec![Query::Forward, Query::Gradient(Loss::Margin)]
    }

    fn units(&self) -> usize {
        self.targets.unwrap_or(1) * self.spec.restarts
    }

    /// A gradient for each linearised class and the class of the point, and what [`GradientPrefetch`] may waste.
    fn most_passes(&self) -> u64 {
        let gradients = if self.targets.is_some() { 1 } else { self.classes - 1 };
        self.spec.steps as u64 * (2 * gradients as u64 + 1) + 2
    }

    /// Units are all restarts of the first target, then those of the next.
    fn search(&self, clean: &CleanImage, unit: usize) -> Box<dyn Search + '_> {
        let (rank, restart) = (unit / self.spec.restarts, unit % self.spec.restarts);
        let target = self.targets.map(|_| clean.targets[rank]);
        let mut search = self.begin(clean, target);
        if restart > 0 {
            self.random_start(clean, target, restart, &mut search.point);
        }
        Box::new(search)
    }
}

/// FAB on one image.
struct FabSearch<'a> {
    attack: &'a Fab,
    clean: CleanImage,
    /// Wrong classes whose difference to the label is linearised.
    other_classes: Vec<usize>,
    pending: Pending,
    /// Iterations so far.
    iterations: usize,
    /// The point that the model is asked about, in the box.
    point: Vec<f32>,
    nearest: NearestHyperplane,
    /// Displacements to the hyperplane: from the point, from the clean image.
    displacements: [Vec<f32>; 2],
    closest: ClosestAdversarial,
    prefetch: GradientPrefetch,
}

/// What the next answer is for.
#[derive(Debug)]
enum Pending {
    /// The class of a point on the segment from the clean image to a misclassified one.
    Bisect(Bisection),
    /// The class of the point that the last iteration went to.
    Classify,
    /// The logit difference to one of the other classes, by its position among them.
    Linearise(usize),
}

/// Bisection of the segment from the clean image, at 0, to a misclassified point, at 1.
#[derive(Debug)]
struct Bisection {
    start: Vec<f32>,
    /// The furthest position known to be classified correctly.
    correct: f32,
    /// The closest position known to be misclassified.
    wrong: f32,
    /// Positions asked about so far: the first is the point itself.
    asked: usize,
}

/// The linearised decision boundary nearest to the point, of the classes seen so far.
struct NearestHyperplane {
    /// Of the logit difference, `[D]`.
    gradient: Vec<f32>,
    /// The logit difference at the point.
    value: f32,
    /// From the point, in the ball's norm, the box left aside.
    distance: f64,
}

/// Whether to ask for the gradient at a new point before its class is known.
///
/// The gradient is of use only if the point is classified correctly. Then the prefetch saves a forward pass; otherwise
/// it wastes a backward pass, which costs about as much as two forward passes. Points come in runs: all correct until
/// the boundary is reached, mostly misclassified afterwards, with single correct ones between. So the gradient is
/// prefetched after [`RUN`] correct points, and only while the forward passes saved pay for the backward passes wasted:
/// apart from the first wasted one, an iteration costs on average at most two forward passes and one backward pass.
#[derive(Debug, Default)]
struct GradientPrefetch {
    /// Correct points since the last misclassified one.
    correct_in_a_row: usize,
    saved_forwards: usize,
    wasted_backwards: usize,
}

impl GradientPrefetch {
    fn expects_label(&self) -> bool {
        self.correct_in_a_row >= RUN && 2 * self.wasted_backwards <= self.saved_forwards
    }

    /// Learns the class of a new point, and whether its gradient was prefetched.
    fn record(&mut self, misclassified: bool, asked_gradient: bool) {
        self.correct_in_a_row = if misclassified { 0 } else { self.correct_in_a_row + 1 };
        match (asked_gradient, misclassified) {
            (true, true) => self.wasted_backwards += 1,
            (true, false) => self.saved_forwards += 1,
            (false, _) => {}
        }
    }
}

impl Search for FabSearch<'_> {
    fn query(&self) -> Query {
        let gradient = match self.pending {
            Pending::Bisect(_) => false,
            // Nothing follows the class of the last point.
            Pending::Classify => self.iterations < self.attack.spec.steps && self.prefetch.expects_label(),
            Pending::Linearise(_) => true,
        };
        if gradient { Query::Gradient(Loss::Margin) } else { Query::Forward }
    }

    fn label_and_target(&self) -> LabelAndTarget {
        let position = if let Pending::Linearise(position) = self.pending { position } else { 0 };
        LabelAndTarget { label: self.clean.label, target: Some(self.other_classes[position]) }
    }

    fn propose(&mut self, out: &mut [f32]) {
        out.copy_from_slice(&self.point);
    }

    fn observe(&mut self, answer: &Answer) -> Step {
        let misclassified = predicted_class(answer.logits) != Some(self.clean.label);
        if misclassified {
            self.closest.offer(self.attack.ball, &self.clean.pixels, &self.point);
        }
        match &mut self.pending {
            Pending::Bisect(bisection) => {
                if !bisection.next(misclassified, &self.clean.pixels, &mut self.point) {
                    self.leave_segment();
                }
                Step::Continue
            }
            Pending::Classify => self.classify(misclassified, answer),
            Pending::Linearise(position) => {
                let position = *position;
                self.linearise(position, answer)
            }
        }
    }

    /// Iterates leave the ball, and so may leave where the model has an answer: then half of the way to the clean image.
    fn step_back(&mut self) -> Step {
        if let Pending::Bisect(bisection) = &mut self.pending {
            // As where the point is classified correctly: the misclassified end of the segment is the one to keep.
            if !bisection.next(false, &self.clean.pixels, &mut self.point) {
                self.leave_segment();
            }
            return Step::Continue;
        }
        if self.iterations >= self.attack.spec.steps {
            return Step::Done;
        }
        self.iterations += 1;
        go_half_way(&mut self.point, &self.clean.pixels);
        self.nearest.distance = f64::INFINITY;
        self.pending = Pending::Linearise(0);
        Step::Continue
    }

    fn closest(&self) -> Option<&[f32]> {
        self.closest.pixels()
    }
}

impl FabSearch<'_> {
    /// Starts at the closest misclassified point that the bisection found, pulled back.
    fn leave_segment(&mut self) {
        self.pending = Pending::Linearise(0);
        self.point.copy_from_slice(self.closest.pixels().unwrap_or(&self.clean.pixels));
        self.pull_back();
    }

    fn classify(&mut self, misclassified: bool, answer: &Answer) -> Step {
        let asked_gradient = !answer.gradient.is_empty();
        self.prefetch.record(misclassified, asked_gradient);
        self.pending = Pending::Linearise(0);
        if misclassified {
            self.pull_back();
        }
        if self.iterations >= self.attack.spec.steps {
            Step::Done
        } else if asked_gradient && !misclassified {
            self.linearise(0, answer)
        } else {
            Step::Continue
        }
    }

    fn pull_back(&mut self) {
        pull_back(&mut self.point, &self.clean.pixels, self.attack.spec.backward as f32);
    }

    /// Takes in the logit difference to one other class; after the last of them comes the step.
    fn linearise(&mut self, position: usize, answer: &Answer) -> Step {
        let difference = self.attack.ball.linear_function(answer.gradient);
        if let [_] = self.other_classes[..] {
            self.advance(difference, answer.loss);
            return Step::Continue;
        }
        self.nearest.offer(difference, answer);
        if position + 1 < self.other_classes.len() {
            self.pending = Pending::Linearise(position + 1);
            return Step::Continue;
        }
        let gradient = std::mem::take(&mut self.nearest.gradient);
        self.advance(self.attack.ball.linear_function(&gradient), self.nearest.value);
        self.nearest = NearestHyperplane { gradient, value: 0.0, distance: f64::INFINITY };
        Step::Continue
    }

    /// One iteration, given the linearised logit difference and its value at the point.
    fn advance(&mut self, difference: LinearFunction, value: f32) {
        let Fab { spec, ball, .. } = self.attack;
        let (clean, [step, clean_step]) = (&self.clean.pixels, &mut self.displacements);
        let value = f64::from(value);
        let clean_value = value + difference.change(&self.point, clean);
        let length = ball.displacement_to_zero(difference, value, &self.point, step).max(SHORTEST);
        let clean_length =
            ball.displacement_to_zero(difference, clean_value, clean, clean_step).max(SHORTEST);
        let weight = (length / (length + clean_length)).min(spec.alpha_max as f32);
        average(
            &mut self.point,
            step,
            clean,
            clean_step,
            AverageWeights { overshoot: spec.overshoot as f32, weight },
        );
        self.iterations += 1;
        self.pending = Pending::Classify;
    }
}

/// How two displacements become the next point.
#[derive(Clone, Copy)]
struct AverageWeights {
    /// Factor on both displacements.
    overshoot: f32,
    /// Weight of the end point that starts at the clean image.
    weight: f32,
}

/// `point ← clean + backward·(point - clean)`.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
fn pull_back(point: &mut [f32], clean: &[f32], backward: f32) {
    for (value, clean) in point.iter_mut().zip(clean) {
        *value = clean + (*value - clean) * backward;
    }
}

/// `point ← (1 - weight)·(point + overshoot·step) + weight·(clean + overshoot·clean_step)`, cut to the box.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
fn average(point: &mut [f32], step: &[f32], clean: &[f32], clean_step: &[f32], weights: AverageWeights) {
    let AverageWeights { overshoot, weight } = weights;
    let count = point.len();
    let (step, clean, clean_step) = (&step[..count], &clean[..count], &clean_step[..count]);
    for index in 0..count {
        let end = point[index] + overshoot * step[index];
        let clean_end = clean[index] + overshoot * clean_step[index];
        point[index] = ((1.0 - weight) * end + weight * clean_end).clamp(0.0, 1.0);
    }
}

impl Bisection {
    /// Learns the class of the last position and writes the next one; false where no more is needed.
    fn next(&mut self, misclassified: bool, clean: &[f32], point: &mut [f32]) -> bool {
        if self.asked == 0 && !misclassified {
            return false;
        }
        let middle = f32::midpoint(self.correct, self.wrong);
        match (self.asked, misclassified) {
            (0, _) => {}
            (_, true) => self.wrong = middle,
            (_, false) => self.correct = middle,
        }
        if self.asked == BISECTIONS {
            return false;
        }
        self.asked += 1;
        let middle = f32::midpoint(self.correct, self.wrong);
        for ((value, clean), start) in point.iter_mut().zip(clean).zip(&self.start) {
            *value = clean + (start - clean) * middle;
        }
        true
    }
}

impl NearestHyperplane {
    fn offer(&mut self, difference: LinearFunction, answer: &Answer) {
        // A hyperplane without a slope is nowhere. The reference adds 1e-12 to the slope, which would hide the slopes of
        // logits at that scale.
        let slope = difference.dual_norm();
        let distance = if slope > 0.0 { f64::from(answer.loss.abs()) / slope } else { f64::MAX };
        if distance < self.distance {
            self.gradient.copy_from_slice(answer.gradient);
            self.value = answer.loss;
            self.distance = distance;
        }
    }
}

#[cfg(test)]
mod tests;
