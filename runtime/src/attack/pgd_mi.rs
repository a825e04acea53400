//! PGD-MI (Xu et al., "MIMIR: Masked image modeling for mutual information-based adversarial robustness", equation 18): projected
//! gradient ascent on the cross entropy and the dependence of features and pixels that the training keeps small, for an
//! adversary who knows the defence: the [nHSIC](crate::nhsic) of the authors' code, its gradient through both arguments.
//!
//! The authors' loss is the mean cross entropy of a batch of `m` images and `λ·nHSIC` of that batch, all of whose images
//! move at once: what happens to an image depends on its neighbours. Here the batch of an image is itself and `m − 1` others as they
//! are, the same ones whenever and wherever it is attacked, and recorded. The loss of one image is then `CE + m·λ·nHSIC`,
//! `m` times theirs as far as that image goes. Every iterate counts, where theirs only looks at the last.

use mimir_bundle::attack::PgdMiSpec;

use super::feature_search::{FeaturePoint, FeatureSearch, Objective, Slopes, most_passes};
use super::pgd_ascent::PgdAscent;
use super::{Attack, AttackContext, CleanImage, Query, Reference, Search};
use crate::ball::Ball;
use crate::loss::at_logits;
use crate::model::{LabelAndTarget, Loss};
use crate::nhsic::{Matrix, add_row_gradient, nhsic, rate, squared_distance};
use crate::random::{Key, Stream};

/// Its name.
const NAME: &str = "pgd-mi";
/// Key of the draw of its images.
const DRAW: &str = "mi-batch";

/// PGD-MI with its ball, seed and references. One unit is one restart.
#[derive(Debug)]
pub struct PgdMi {
    spec: PgdMiSpec,
    ball: Ball,
    seed: u64,
    references: Vec<Reference>,
    /// Squared distances of the references' pixels, and of their features.
    distances: [Vec<Vec<f64>>; 2],
}

impl PgdMi {
    /// Within the ball of that evaluation. Before it is given references, the penalty is that of one image: nothing.
    pub fn new(spec: &PgdMiSpec, context: &AttackContext) -> Self {
        let (references, distances) = (Vec::new(), [Vec::new(), Vec::new()]);
        Self { spec: spec.clone(), ball: context.ball, seed: context.seed, references, distances }
    }
}

/// The images that the penalty of each image is computed with, drawn by the seed from a set of so many: as many as its batch
/// has, so that there are enough for each of them too.
pub fn reference_images(spec: &PgdMiSpec, images: usize, seed: u64) -> Vec<usize> {
    let mut all: Vec<usize> = (0..images).collect();
    let mut stream = Stream::new(&Key { seed, image: 0, attack: DRAW, target: None, restart: 0 });
    let count = spec.penalty_batch.min(images);
    for place in 0..count {
        let chosen = place + stream.below(images - place);
        all.swap(place, chosen);
    }
    all.truncate(count);
    all
}

impl Attack for PgdMi {
    fn queries(&self) -> Vec<Query> {
        vec![Query::Features, Query::FeatureGradient]
    }

    fn units(&self) -> usize {
        self.spec.restarts
    }

    fn most_passes(&self) -> u64 {
        most_passes(self.spec.steps, false)
    }

    fn reference_images(&self) -> &[usize] {
        &self.spec.reference_images
    }

    fn take_references(&mut self, references: Vec<Reference>) {
        let rows =
            [0, 1].map(|argument| references.iter().map(|one| one.rows()[argument]).collect::<Vec<_>>());
        self.distances = rows.map(|rows| {
            let to_all = |row: &&[f32]| rows.iter().map(|other| squared_distance(row, other)).collect();
            rows.iter().map(to_all).collect()
        });
        self.references = references;
    }

    fn search(&self, clean: &CleanImage, unit: usize) -> Box<dyn Search + '_> {
        let key = Key { seed: self.seed, image: clean.image, attack: NAME, target: None, restart: unit };
        let PgdMiSpec { steps, step_size, penalty_batch, .. } = self.spec;
        let ascent = PgdAscent::new(self.ball, clean, steps, step_size, Stream::new(&key));
        let others = (0..self.references.len()).filter(|index| self.references[*index].image != clean.image);
        let objective = CrossEntropyAndPenalty {
            attack: self,
            label: clean.label,
            others: others.take(penalty_batch - 1).collect(),
            own: Vec::new(),
        };
        Box::new(FeatureSearch::new(clean, Box::new(objective), Box::new(ascent)))
    }
}

/// The loss, for one image.
struct CrossEntropyAndPenalty<'a> {
    attack: &'a PgdMi,
    label: usize,
    /// The rest of the batch, by their places among the references.
    others: Vec<usize>,
    /// Room for a gradient.
    own: Vec<f64>,
}

impl Objective for CrossEntropyAndPenalty<'_> {
    fn needs_clean_features(&self) -> bool {
        false
    }

    fn at(&mut self, point: &FeaturePoint<'_>, slopes: &mut Slopes) -> f32 {
        let pair = LabelAndTarget { label: self.label, target: None };
        let entropy = at_logits(Loss::CrossEntropy, point.logits, pair, &mut slopes.logits);
        (f64::from(entropy) + self.penalty(point, slopes)) as f32
    }
}

impl CrossEntropyAndPenalty<'_> {
    /// `m·λ·nHSIC` of the batch, and its derivatives by features and pixels. Nothing where it cannot be computed.
    fn penalty(&mut self, point: &FeaturePoint<'_>, slopes: &mut Slopes) -> f64 {
        let PgdMiSpec { penalty_weight, ridge, .. } = self.attack.spec;
        let own = [point.pixels, point.features];
        let kernels = [0, 1].map(|argument| self.kernel(argument, own[argument]));
        let [of_pixels, of_features] = &kernels;
        let Some(found) = nhsic(of_pixels, of_features, ridge) else { return 0.0 };
        let weight = penalty_weight * (self.others.len() + 1) as f64;
        slopes.pixels.resize(point.pixels.len(), 0.0);
        let derivatives = [(&found.by_first, &mut slopes.pixels), (&found.by_second, &mut slopes.features)];
        for (argument, (by_kernel, out)) in derivatives.into_iter().enumerate() {
            self.own.clear();
            self.own.resize(out.len(), 0.0);
            let rows: Vec<&[f32]> = std::iter::once(own[argument])
                .chain(self.others.iter().map(|other| self.attack.references[*other].rows()[argument]))
                .collect();
            let factor = 4.0 * weight * rate(self.attack.spec.kernel_width, out.len());
            add_row_gradient(by_kernel, &kernels[argument], &rows, 0, factor, &mut self.own);
            for (slope, own) in out.iter_mut().zip(&self.own) {
                *slope = *own as f32;
            }
        }
        weight * found.value
    }

    /// The kernel matrix of one argument, the attacked image first.
    fn kernel(&self, argument: usize, own: &[f32]) -> Matrix {
        let PgdMi { spec, references, distances, .. } = self.attack;
        let rate = rate(spec.kernel_width, own.len());
        let to_others: Vec<f64> = self
            .others
            .iter()
            .map(|other| squared_distance(own, references[*other].rows()[argument]))
            .collect();
        Matrix::from_fn(self.others.len() + 1, |row, column| {
            let distance = match (row.checked_sub(1), column.checked_sub(1)) {
                (None, None) => 0.0,
                (None, Some(other)) | (Some(other), None) => to_others[other],
                (Some(one), Some(other)) => distances[argument][self.others[one]][self.others[other]],
            };
            libm::exp(-rate * distance)
        })
    }
}

impl Reference {
    /// Both arguments of the penalty.
    fn rows(&self) -> [&[f32]; 2] {
        [&self.pixels, &self.features]
    }
}

#[cfg(test)]
mod tests;
