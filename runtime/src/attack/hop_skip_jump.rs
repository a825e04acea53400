//! HopSkipJump (Chen, Jordan and Wainwright, "HopSkipJumpAttack: a query-efficient decision-based attack", IEEE S&P 2020):
//! looks for the closest misclassified point and sees nothing of the model but the class that it predicts. What breaks where
//! gradients find nothing shows that gradients are masked.
//!
//! From some misclassified image, one round after the other: bisect the way to the clean image for a point of the boundary;
//! estimate its normal from the side on which random points around it fall; go along the estimate as far as half, a quarter, …
//! of a step of `distance / √round` stays misclassified. The way to the clean image is that of projections on smaller and
//! smaller balls in the norm of the threat model: the line for L2, as in the paper, the clipped change for L∞, likewise, and
//! the point that shrinks to the largest changes for L1, which the paper does not have. A step is the steepest of its norm.
//!
//! What differs from the algorithm as printed: random points lie a tenth of the distance away, and not a share of it that falls
//! with the number of pixels, because pixels are float32 and ε may be small; the bisection is as fine as those points need.
//! With 8-bit pixels all of this happens among levels, where the model is asked. Random points differ from the boundary by less than a level:
//! each pixel is rounded up or down at random, so that directions are right in the mean. On the way to the clean image pixels of L∞
//! would all change level at once, and the boundary be known by a whole level of all pixels: each has a threshold of its own.
//! Directions are uniform in a cube in every norm, where the paper draws normal ones for L2. Images to start from are uniform
//! noise and single colours, in turn.

use mimir_bundle::attack::HopSkipJumpSpec;

use super::closest_adversarial::ClosestAdversarial;
use super::{Answer, Attack, AttackContext, CleanImage, Query, Search, Step};
use crate::ball::{Ball, CUSTOMARY_DENSITY, GradientStep, Scratch};
use crate::logits::predicted_class;
use crate::model::LabelAndTarget;
use crate::random::{Key, Stream};

/// Its name.
const NAME: &str = "hopskipjump";
/// Key of the choice of images, which no restart has.
const SUBSET: usize = u32::MAX as usize;
/// Euclidean distance of random points from the boundary point, as a share of that to the clean image.
const PROBE: f32 = 0.1;
/// How often a step is halved before the next round begins where it was.
const MOST_HALVINGS: usize = 12;

/// HopSkipJump with its ball and seed. One unit is one restart.
#[derive(Debug)]
pub struct HopSkipJump {
    spec: HopSkipJumpSpec,
    ball: Ball,
    seed: u64,
    channels: usize,
    /// Share of the radius at which a bisection ends.
    tolerance: f64,
}

impl HopSkipJump {
    /// In the norm of that evaluation.
    pub fn new(spec: &HopSkipJumpSpec, context: &AttackContext) -> Self {
        // A random direction is along the normal by one part in √D.
        let tolerance = 0.25 * f64::from(PROBE) / (context.image.pixels() as f64).sqrt();
        let channels = context.image.channels;
        Self { spec: spec.clone(), ball: context.ball, seed: context.seed, channels, tolerance }
    }
}

impl Attack for HopSkipJump {
    fn queries(&self) -> Vec<Query> {
        vec![Query::Forward]
    }

    fn units(&self) -> usize {
        self.spec.restarts
    }

    fn most_passes(&self) -> u64 {
        self.spec.queries as u64
    }

    fn is_run_on(&self, image: usize) -> bool {
        let key = Key { seed: self.seed, image, attack: NAME, target: None, restart: SUBSET };
        let mut number = [0.0];
        Stream::new(&key).fill_uniform(&mut number);
        f64::from(number[0].midpoint(1.0)) < self.spec.subset
    }

    fn search(&self, clean: &CleanImage, unit: usize) -> Box<dyn Search + '_> {
        let key = Key { seed: self.seed, image: clean.image, attack: NAME, target: None, restart: unit };
        let zeros = vec![0.0; clean.pixels.len()];
        let mut noise = Stream::new(&key);
        let levels = self.ball.has_levels().then(|| Levels::new(clean.pixels.len(), &mut noise));
        let mut search = HopSkipJumpSearch {
            attack: self,
            clean: clean.clone(),
            noise,
            levels,
            stage: Stage::Start { tried: 0 },
            asked: 0,
            round: 0,
            boundary: zeros.clone(),
            point: zeros.clone(),
            normal: zeros.clone(),
            mean: zeros,
            scratch: Scratch::default(),
            closest: ClosestAdversarial::new(clean.pixels.len()),
        };
        search.draw_start(0);
        Box::new(search)
    }
}

/// HopSkipJump on one image.
struct HopSkipJumpSearch<'a> {
    attack: &'a HopSkipJump,
    clean: CleanImage,
    noise: Stream,
    /// Of 8-bit pixels: how points come to levels.
    levels: Option<Levels>,
    stage: Stage,
    /// Points asked about.
    asked: usize,
    /// From 1, once there is a boundary point.
    round: usize,
    /// The misclassified point that the present round goes from.
    boundary: Vec<f32>,
    /// The point that the model is asked about.
    point: Vec<f32>,
    /// The sum of directions, each with the sign of its side; then the estimate of the normal.
    normal: Vec<f32>,
    /// The sum of directions.
    mean: Vec<f32>,
    scratch: Scratch,
    closest: ClosestAdversarial,
}

/// Thresholds by which pixels come to levels.
#[derive(Debug)]
struct Levels {
    /// Those of all points on the way to the clean image, so that it crosses the boundary once.
    of_the_way: Vec<f32>,
    /// Those of one random point.
    of_a_probe: Vec<f32>,
}

impl Levels {
    fn new(pixels: usize, noise: &mut Stream) -> Self {
        let mut levels = Self { of_the_way: vec![0.0; pixels], of_a_probe: vec![0.0; pixels] };
        draw_thresholds(noise, &mut levels.of_the_way);
        levels
    }
}

/// Uniform in `[0, 1)`.
fn draw_thresholds(noise: &mut Stream, out: &mut [f32]) {
    noise.fill_uniform(out);
    out.iter_mut().for_each(|value| *value = value.midpoint(1.0));
}

/// What the present point is for.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// An image to start from, after so many.
    Start { tried: usize },
    /// The way from the clean image to the misclassified point: the boundary lies between these radii.
    Bisect { lower: f64, upper: f64 },
    /// A random point around the boundary point.
    Probe { seen: usize, wrong: usize },
    /// A step along the normal, halved so often.
    Jump { halvings: usize },
}

impl Search for HopSkipJumpSearch<'_> {
    fn query(&self) -> Query {
        Query::Forward
    }

    fn label_and_target(&self) -> LabelAndTarget {
        LabelAndTarget { label: self.clean.label, target: None }
    }

    fn propose(&mut self, out: &mut [f32]) {
        out.copy_from_slice(&self.point);
    }

    fn observe(&mut self, answer: &Answer) -> Step {
        self.learn(predicted_class(answer.logits) != Some(self.clean.label))
    }

    /// What means no class is not on the wrong side.
    fn step_back(&mut self) -> Step {
        self.learn(false)
    }

    fn closest(&self) -> Option<&[f32]> {
        self.closest.pixels()
    }
}

impl HopSkipJumpSearch<'_> {
    /// Takes in whether the present point is misclassified, and chooses the next one.
    fn learn(&mut self, is_wrong: bool) -> Step {
        if is_wrong {
            self.closest.offer(self.attack.ball, &self.clean.pixels, &self.point);
        }
        self.asked += 1;
        if self.asked >= self.attack.spec.queries {
            return Step::Done;
        }
        match self.stage {
            Stage::Start { .. } | Stage::Jump { .. } if is_wrong => self.bisect_from_here(),
            Stage::Start { tried } => return self.start_again(tried + 1),
            Stage::Bisect { lower, upper } => self.bisect(is_wrong, lower, upper),
            Stage::Probe { seen, wrong } => self.count_side(is_wrong, seen, wrong),
            Stage::Jump { halvings } => self.jump_shorter(halvings + 1),
        }
        Step::Continue
    }

    fn start_again(&mut self, tried: usize) -> Step {
        if tried >= self.attack.spec.starts {
            return Step::Done;
        }
        self.stage = Stage::Start { tried };
        self.draw_start(tried);
        Step::Continue
    }

    /// Brings the present point to where the model is asked.
    fn snap(&mut self) {
        if let Some(levels) = &self.levels {
            self.attack.ball.snap_on_the_way(&self.clean.pixels, &levels.of_the_way, &mut self.point);
        }
    }

    /// Writes an image to start from.
    fn draw_start(&mut self, tried: usize) {
        if tried.is_multiple_of(2) {
            self.noise.fill_uniform(&mut self.point);
        } else {
            let plane = self.point.len() / self.attack.channels;
            for channel in self.point.chunks_mut(plane.max(1)) {
                let (first, rest) = channel.split_at_mut(1);
                self.noise.fill_uniform(first);
                rest.fill(first[0]);
            }
        }
        self.point.iter_mut().for_each(|value| *value = value.midpoint(1.0));
        self.snap();
    }

    /// The present point is misclassified: looks for the boundary on the way to the clean image.
    fn bisect_from_here(&mut self) {
        self.boundary.copy_from_slice(&self.point);
        let upper = self.distance();
        self.halve(0.0, upper);
    }

    fn bisect(&mut self, is_wrong: bool, lower: f64, upper: f64) {
        let middle = f64::midpoint(lower, upper);
        let (lower, upper) = if is_wrong { (lower, middle) } else { (middle, upper) };
        if is_wrong {
            self.boundary.copy_from_slice(&self.point);
        }
        match upper - lower <= self.attack.tolerance * upper {
            true => self.begin_probing(),
            false => self.halve(lower, upper),
        }
    }

    /// Asks about the point half of the way between two radii.
    fn halve(&mut self, lower: f64, upper: f64) {
        self.stage = Stage::Bisect { lower, upper };
        self.point.copy_from_slice(&self.boundary);
        let ball = self.attack.ball.with_radius(f64::midpoint(lower, upper));
        ball.project(&self.clean.pixels, &mut self.point);
        self.snap();
    }

    /// Distance of the misclassified point.
    fn distance(&self) -> f64 {
        self.attack.ball.distance(&self.clean.pixels, &self.boundary)
    }

    fn begin_probing(&mut self) {
        self.round += 1;
        self.normal.fill(0.0);
        self.mean.fill(0.0);
        self.stage = Stage::Probe { seen: 0, wrong: 0 };
        self.draw_probe();
    }

    /// Writes a random point around the boundary point.
    fn draw_probe(&mut self) {
        self.noise.fill_uniform(&mut self.point);
        for (value, boundary) in self.point.iter_mut().zip(&self.boundary) {
            *value += boundary;
        }
        let distance = Ball::euclidean(&self.clean.pixels, &self.boundary);
        Ball::place_at(&self.boundary, PROBE * distance, &mut self.point);
        if let Some(levels) = &mut self.levels {
            draw_thresholds(&mut self.noise, &mut levels.of_a_probe);
            Ball::snap_by(&levels.of_a_probe, &mut self.point);
        }
    }

    /// Directions that the normal of this round is estimated from.
    fn directions(&self) -> usize {
        (self.attack.spec.directions as f64 * (self.round as f64).sqrt()) as usize
    }

    fn count_side(&mut self, is_wrong: bool, seen: usize, wrong: usize) {
        let side = if is_wrong { 1.0 } else { -1.0 };
        for index in 0..self.point.len() {
            // The box may have cut the direction.
            let direction = self.point[index] - self.boundary[index];
            self.normal[index] += side * direction;
            self.mean[index] += direction;
        }
        let (seen, wrong) = (seen + 1, wrong + usize::from(is_wrong));
        if seen < self.directions() {
            self.stage = Stage::Probe { seen, wrong };
            self.draw_probe();
            return;
        }
        // The mean side is a baseline: it takes away noise, unless all points fall on one side.
        let baseline = (2.0 * wrong as f32 - seen as f32) / seen as f32;
        if wrong > 0 && wrong < seen {
            for (normal, mean) in self.normal.iter_mut().zip(&self.mean) {
                *normal -= baseline * mean;
            }
        }
        self.jump_shorter(0);
    }

    /// Asks about a step along the normal, so often halved; after too many the next round begins here.
    fn jump_shorter(&mut self, halvings: usize) {
        if halvings == MOST_HALVINGS {
            self.begin_probing();
            return;
        }
        self.stage = Stage::Jump { halvings };
        let distance = self.distance();
        let length = distance / (self.round as f64).sqrt() / 2_f64.powi(halvings as i32);
        let step = GradientStep {
            centre: &self.clean.pixels,
            point: &self.boundary,
            gradient: &self.normal,
            step_size: length as f32,
            density: CUSTOMARY_DENSITY,
        };
        let everywhere = self.attack.ball.with_radius(2.0 * distance + 1.0);
        everywhere.gradient_step(step, &mut self.scratch, &mut self.point);
        self.snap();
    }
}

#[cfg(test)]
mod tests;
