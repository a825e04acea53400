//! FAB, the fast adaptive boundary attack (Croce and Hein, "Minimally distorted adversarial examples with a fast adaptive
//! boundary attack", ICML 2020): looks for the closest misclassified point, whatever ε is.
//!
//! One iteration linearises the difference `z_t - z_y` of a wrong class and the label at the current point `x`, takes the
//! shortest displacements from `x` and from the clean image `x₀` to where that is zero inside the box, goes a little further
//! on both ways, and mixes the two ends with a bias towards `x`. A misclassified end is pulled back towards `x₀`. With
//! target classes each search linearises one difference; without, all `K - 1`, and takes the closest plane.
//!
//! Numbers and order of operations are those of the reference implementation. There is no final search on the segment to
//! the clean image, in either. What differs:
//!
//! - Every misclassified point that the model was asked about counts for the distance, those that were pulled back
//!   included. The reference asks for their logits, too, but looks only at those of the points before.
//! - The reference asks for the class of each new point (a forward pass), then for the gradient (a forward and a
//!   backward pass) there or, after a misclassification, at the point that was pulled back. Here the gradient is asked
//!   for at once where the class is likely to be the label still, which saves the forward pass; see [`GradientPrefetch`]. The
//!   search goes the same way whichever was asked. Without targets each of the `K - 1` gradients has its own forward
//!   pass, as a gradient graph has one loss; only the first one's class is news.
//! - No end of a run at ε: the engine ends it, once the original model has confirmed the misclassification.

use mimir_bundle::attack::{FabSpec, TargetedFabSpec};
use multiversion::multiversion;

use super::{Answer, Attack, AttackContext, CleanImage, Query, Search, Step};
use crate::ball::{Ball, LinearFunction};
use crate::logits::prediction;
use crate::model::{LabelAndTarget, Loss};
use crate::random::{Key, Stream};

/// Shortest displacement that the weights of the two ends are computed from.
const SHORTEST: f32 = 1e-8;

/// Keeps the distance of a plane without slopes finite, as in the reference.
const TINY: f64 = 1e-12;

/// Radius of random starts, as a share of ε.
const START_RADIUS: f32 = 0.5;

/// Correct points in a row before the next is guessed to be correct, too.
const RUN: usize = 2;

/// Halvings of the segment from the clean image to a point that a search starts from.
const BISECTIONS: usize = 8;

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
    /// FAB on the closest class, under that name, which keys its noise.
    pub(super) fn untargeted(name: &'static str, spec: &FabSpec, context: &AttackContext) -> Self {
        let AttackContext { ball, seed, classes, .. } = *context;
        Self { name, spec: spec.clone(), targets: None, classes, ball, seed }
    }

    /// FAB on one class after the other: the wrong classes of highest clean logit, all of them where there are fewer.
    pub(super) fn targeted(name: &'static str, spec: &TargetedFabSpec, context: &AttackContext) -> Self {
        let targets = Some(spec.targets.min(context.classes - 1));
        Self { targets, ..Self::untargeted(name, &spec.fab, context) }
    }

    /// A search from a misclassified point in the box, `C·H·W` pixels, instead of the clean image. The segment to the clean
    /// image is halved a few times first, from the last misclassified point of it, which costs forward passes beyond
    /// the budget. A start that turns out to be classified correctly is dropped.
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
            moves: 0,
            point: clean.pixels.to_vec(),
            nearest: NearestBoundary { slopes: vec![0.0; pixels], height: 0.0, distance: f64::INFINITY },
            ways: [vec![0.0; pixels], vec![0.0; pixels]],
            closest: ClosestAdversarial { pixels: vec![0.0; pixels], distance: f64::INFINITY },
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
    moves: usize,
    /// The point that the model is asked about, in the box.
    point: Vec<f32>,
    nearest: NearestBoundary,
    /// Displacements to the plane: from the point, from the clean image.
    ways: [Vec<f32>; 2],
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
    /// The difference to one position, that many having been linearised at this point.
    Linearise(usize),
}

/// Halvings of the segment from the clean image, at 0, to a point, at 1.
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

/// The plane nearest to the point, of the other_classes seen so far.
struct NearestBoundary {
    slopes: Vec<f32>,
    /// Value of the difference at the point.
    height: f32,
    /// Of the plane from the point, in the ball's norm, the box left aside.
    distance: f64,
}

/// The closest misclassified point; its distance is infinite before there is one.
struct ClosestAdversarial {
    pixels: Vec<f32>,
    distance: f64,
}

/// Whether to ask for the gradient at a new point before its class is known.
///
/// A prefetch that the class will be the label, where right, saves a forward pass; where wrong, a backward pass is wasted,
/// which costs about as much as two forward passes. Classes come in runs: all correct until the boundary is reached,
/// mostly wrong afterwards, with single ones between. So some correct points in a row are taken for the next to be correct
/// too, and wrong guesses must have been paid for: an iteration never costs more than two forward passes and one backward pass on average, but for the first wrong prefetch.
#[derive(Debug, Default)]
struct GradientPrefetch {
    /// Points since the last misclassified one.
    correct_in_a_row: usize,
    saved_forwards: usize,
    wasted_backwards: usize,
}

impl GradientPrefetch {
    fn expects_label(&self) -> bool {
        self.correct_in_a_row >= RUN && 2 * self.wasted_backwards <= self.saved_forwards
    }

    /// Books the class of a new point, `asked_gradient` being what was asked with it.
    fn book(&mut self, misclassified: bool, asked_gradient: bool) {
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
            Pending::Classify => self.moves < self.attack.spec.steps && self.prefetch.expects_label(),
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
        let misclassified = prediction(answer.logits) != self.clean.label;
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

    fn closest(&self) -> Option<&[f32]> {
        self.closest.distance.is_finite().then_some(&self.closest.pixels)
    }
}

impl FabSearch<'_> {
    /// Starts where bisection has left the misclassified end of the segment, pulled back.
    fn leave_segment(&mut self) {
        self.pending = Pending::Linearise(0);
        match self.closest() {
            Some(_) => self.point.copy_from_slice(&self.closest.pixels),
            None => self.point.copy_from_slice(&self.clean.pixels),
        }
        self.pull_back();
    }

    fn classify(&mut self, misclassified: bool, answer: &Answer) -> Step {
        let asked_gradient = !answer.gradient.is_empty();
        self.prefetch.book(misclassified, asked_gradient);
        self.pending = Pending::Linearise(0);
        if misclassified {
            self.pull_back();
        }
        if self.moves == self.attack.spec.steps {
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

    /// Takes in the difference to one position, and moves after the last of them.
    fn linearise(&mut self, position: usize, answer: &Answer) -> Step {
        let slopes = self.attack.ball.linear_function(answer.gradient);
        if let [_] = self.other_classes[..] {
            self.advance(slopes, answer.loss);
            return Step::Continue;
        }
        self.nearest.offer(slopes, answer);
        if position + 1 < self.other_classes.len() {
            self.pending = Pending::Linearise(position + 1);
            return Step::Continue;
        }
        let nearest = std::mem::take(&mut self.nearest.slopes);
        self.advance(self.attack.ball.linear_function(&nearest), self.nearest.height);
        self.nearest = NearestBoundary { slopes: nearest, height: 0.0, distance: f64::INFINITY };
        Step::Continue
    }

    /// One iteration, given the value and the slopes of a difference at the point.
    fn advance(&mut self, slopes: LinearFunction, height: f32) {
        let Fab { spec, ball, .. } = self.attack;
        let (clean, [way, clean_way]) = (&self.clean.pixels, &mut self.ways);
        let height = f64::from(height);
        let clean_height = height + slopes.change(&self.point, clean);
        let length = ball.displacement_to_zero(slopes, height, &self.point, way).max(SHORTEST);
        let clean_length = ball.displacement_to_zero(slopes, clean_height, clean, clean_way).max(SHORTEST);
        let weight = (length / (length + clean_length)).min(spec.alpha_max as f32);
        mix(&mut self.point, way, clean, clean_way, MixWeights { overshoot: spec.overshoot as f32, weight });
        self.moves += 1;
        self.pending = Pending::Classify;
    }
}

/// How the ends of two ways become the next point.
#[derive(Clone, Copy)]
struct MixWeights {
    /// Factor on both ways.
    overshoot: f32,
    /// Weight of the clean image's end.
    weight: f32,
}

/// `point ← clean + backward·(point - clean)`.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
fn pull_back(point: &mut [f32], clean: &[f32], backward: f32) {
    for (value, clean) in point.iter_mut().zip(clean) {
        *value = clean + (*value - clean) * backward;
    }
}

/// `point ← (1 - weight)·(point + overshoot·way) + weight·(clean + overshoot·clean_way)`, cut to the box.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
fn mix(point: &mut [f32], way: &[f32], clean: &[f32], clean_way: &[f32], mix: MixWeights) {
    let MixWeights { overshoot, weight } = mix;
    let count = point.len();
    let (way, clean, clean_way) = (&way[..count], &clean[..count], &clean_way[..count]);
    for index in 0..count {
        let end = point[index] + overshoot * way[index];
        let clean_end = clean[index] + overshoot * clean_way[index];
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

impl NearestBoundary {
    fn offer(&mut self, slopes: LinearFunction, answer: &Answer) {
        let distance = f64::from(answer.loss.abs()) / (TINY + slopes.dual_norm());
        if distance < self.distance {
            self.slopes.copy_from_slice(answer.gradient);
            self.height = answer.loss;
            self.distance = distance;
        }
    }
}

impl ClosestAdversarial {
    fn offer(&mut self, ball: Ball, clean: &[f32], point: &[f32]) {
        let distance = ball.distance(clean, point);
        if distance < self.distance {
            self.pixels.copy_from_slice(point);
            self.distance = distance;
        }
    }
}

#[cfg(test)]
mod tests;
