//! Square (Andriushchenko, Croce, Flammarion and Hein, "Square Attack: a query-efficient black-box adversarial attack
//! via random search", ECCV 2020), as AutoAttack runs it: random search that moves square windows of the image and
//! keeps what lowers the margin. It never asks for a gradient.
//!
//! Differences from the reference, on purpose:
//!
//! - Windows and signs are drawn for each image, from its own stream; the reference shares them in a batch, and so its
//!   results depend on the batch.
//! - A candidate that is the current point again, pixel for pixel, counts as a query, but the model is not asked: the
//!   answer cannot be better. The outcome is that of asking, with fewer passes.
//! - The search does not end at a margin of zero or less. The scheduler ends it when the original model agrees; until
//!   then the point is accepted and the search goes on, so that an exact tie does not pass for a success.

use mimir_bundle::ImageShape;
use mimir_bundle::attack::SquareSpec;

use super::{Answer, Attack, AttackContext, CleanImage, Query, Search, Step};
use crate::ball::{Ball, WindowSearch};
use crate::logits::margin;
use crate::model::LabelAndTarget;
use crate::random::{Key, Stream};

const NAME: &str = "square";

/// Square with its ball and seed.
#[derive(Debug)]
pub struct Square {
    spec: SquareSpec,
    ball: Ball,
    image: ImageShape,
    seed: u64,
}

impl Square {
    /// Within the ball of that evaluation.
    pub(super) fn new(spec: &SquareSpec, context: &AttackContext) -> Self {
        Self { spec: spec.clone(), ball: context.ball, image: context.image, seed: context.seed }
    }
}

/// The last query, counted from 0, with windows of each size: after each of these the share of the pixels is halved.
const HALVINGS: [usize; 9] = [10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000];

/// Share of the pixels that the window of a query covers. Not stretched to the number of queries, as in AutoAttack.
fn share_of_pixels(p_init: f64, query: usize) -> f64 {
    let halvings = HALVINGS.iter().filter(|last| query > **last).count();
    p_init / f64::from(1_u32 << halvings)
}

impl Attack for Square {
    fn queries(&self) -> Vec<Query> {
        vec![Query::Forward]
    }

    fn units(&self) -> usize {
        self.spec.restarts
    }

    fn most_passes(&self) -> u64 {
        self.spec.queries as u64 + 1
    }

    fn search(&self, clean: &CleanImage, unit: usize) -> Box<dyn Search + '_> {
        let key = Key { seed: self.seed, image: clean.image, attack: NAME, target: None, restart: unit };
        let mut noise = Stream::new(&key);
        let windows = WindowSearch::new(self.ball, self.image, clean.pixels.clone(), &mut noise);
        Box::new(SquareSearch {
            spec: &self.spec,
            label: clean.label,
            noise,
            windows,
            spent: 0,
            margin: f32::INFINITY,
        })
    }
}

/// Square on one image, from one start.
struct SquareSearch<'a> {
    spec: &'a SquareSpec,
    label: usize,
    noise: Stream,
    windows: WindowSearch,
    /// Candidates drawn so far, the start not included.
    spent: usize,
    /// The smallest margin so far.
    margin: f32,
}

impl Search for SquareSearch<'_> {
    fn query(&self) -> Query {
        Query::Forward
    }

    fn label_and_target(&self) -> LabelAndTarget {
        LabelAndTarget { label: self.label, target: None }
    }

    fn propose(&mut self, out: &mut [f32]) {
        out.copy_from_slice(self.windows.candidate());
    }

    fn observe(&mut self, answer: &Answer) -> Step {
        let margin = margin(answer.logits, self.label);
        let improved = margin < self.margin;
        if improved {
            self.margin = margin;
        }
        if improved || margin <= 0.0 {
            self.windows.accept();
        }
        self.draw()
    }

    /// The candidate is not accepted.
    fn step_back(&mut self) -> Step {
        self.draw()
    }
}

impl SquareSearch<'_> {
    /// Draws until a candidate is worth asking about.
    fn draw(&mut self) -> Step {
        while self.spent < self.spec.queries {
            let share = share_of_pixels(self.spec.p_init, self.spent);
            self.spent += 1;
            if self.windows.draw(share, &mut self.noise) {
                return Step::Continue;
            }
        }
        Step::Done
    }
}

#[cfg(test)]
mod tests;
