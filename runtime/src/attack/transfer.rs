//! Transfer from a surrogate (Papernot, McDaniel and Goodfellow, "Transferability in machine learning", 2016): Auto-PGD on
//! another model, of which the attacked one sees the points. What breaks where the model's own gradients find nothing shows that
//! they are masked.
//!
//! One search follows the cross entropy, the others the targeted difference of logits ratio, one target each. Each iterate that
//! raises the loss on the surrogate is shown to the attacked model. The surrogate's answers decide nothing but the way.

use mimir_bundle::attack::TransferSpec;

use super::apgd::{Apgd, ApgdSearch};
use super::{Answer, AskedModel, Attack, AttackContext, CleanImage, Query, Search, Step};
use crate::model::LabelAndTarget;

/// Transfer with the attacks on the surrogate. All restarts of the search without target come first, then those of each target.
#[derive(Debug)]
pub struct Transfer {
    untargeted: Apgd,
    targeted: Apgd,
    restarts: usize,
}

impl Transfer {
    /// Within the ball of that evaluation.
    pub fn new(spec: &TransferSpec, context: &AttackContext) -> Self {
        let [untargeted, targeted] = Apgd::transfer(spec, context);
        Self { untargeted, targeted, restarts: spec.restarts }
    }
}

impl Attack for Transfer {
    fn queries(&self) -> Vec<Query> {
        vec![Query::Forward]
    }

    fn surrogate_queries(&self) -> Vec<Query> {
        self.untargeted.queries().into_iter().chain(self.targeted.queries()).collect()
    }

    fn units(&self) -> usize {
        (1 + self.targeted.targets()) * self.restarts
    }

    /// Gradients of the surrogate, and a forward pass of the model for each of them.
    fn most_passes(&self) -> u64 {
        let gradients = self.untargeted.most_passes();
        gradients + gradients / 2
    }

    fn search(&self, clean: &CleanImage, unit: usize) -> Box<dyn Search + '_> {
        let (position, restart) = (unit / self.restarts, unit % self.restarts);
        let (apgd, target) = match position.checked_sub(1) {
            None => (&self.untargeted, None),
            Some(target) => (&self.targeted, clean.targets.get(target).copied()),
        };
        let pair = LabelAndTarget { label: clean.label, target };
        Box::new(TransferSearch {
            run: apgd.run(clean, pair, restart),
            point: vec![0.0; clean.pixels.len()],
            highest_loss: f32::NEG_INFINITY,
            shown: None,
        })
    }
}

/// Transfer to one image.
struct TransferSearch<'a> {
    run: ApgdSearch<'a>,
    /// The last iterate of the run.
    point: Vec<f32>,
    highest_loss: f32,
    /// Whether the run goes on after the iterate that the attacked model is asked about; none while the surrogate is asked.
    shown: Option<Step>,
}

impl Search for TransferSearch<'_> {
    fn query(&self) -> Query {
        if self.shown.is_some() { Query::Forward } else { self.run.query() }
    }

    fn asked_model(&self) -> AskedModel {
        if self.shown.is_some() { AskedModel::Attacked } else { AskedModel::Surrogate }
    }

    fn label_and_target(&self) -> LabelAndTarget {
        self.run.label_and_target()
    }

    fn propose(&mut self, out: &mut [f32]) {
        if self.shown.is_none() {
            self.run.propose(&mut self.point);
        }
        out.copy_from_slice(&self.point);
    }

    fn counts(&self) -> bool {
        self.shown.is_some()
    }

    fn observe(&mut self, answer: &Answer) -> Step {
        if let Some(next) = self.shown.take() {
            return next;
        }
        let counts = self.run.counts();
        let next = self.run.observe(answer);
        if !counts || answer.loss <= self.highest_loss {
            return next;
        }
        self.highest_loss = answer.loss;
        self.shown = Some(next);
        Step::Continue
    }

    fn step_back(&mut self) -> Step {
        match self.shown.take() {
            Some(next) => next,
            None => self.run.step_back(),
        }
    }
}

#[cfg(test)]
mod tests;
