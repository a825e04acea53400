//! What all attacks on features have in common: two questions about each iterate.
//!
//! The loss of such an attack is a function of the logits and of the values of a tensor inside the network, and sometimes
//! of the pixels. The model is asked for both first; the loss and its derivatives by them are computed here, and the second
//! question is for the gradient of the images with those derivatives as cotangents. That is three passes a step in place of
//! two, and any loss can be had from one graph: an nHSIC needs inverse matrices, for which ONNX has no operator.

use super::{Answer, CleanImage, Query, Search, Step};
use crate::model::{Cotangents, LabelAndTarget};

/// What a loss is a function of.
#[derive(Debug, Clone, Copy)]
pub(super) struct FeaturePoint<'a> {
    /// `[C·H·W]`
    pub(super) pixels: &'a [f32],
    /// `[K]`
    pub(super) logits: &'a [f32],
    /// `[F]`
    pub(super) features: &'a [f32],
}

/// The derivatives of a loss at a point.
#[derive(Debug, Default)]
pub(super) struct Slopes {
    /// `[K]`
    pub(super) logits: Vec<f32>,
    /// `[F]`
    pub(super) features: Vec<f32>,
    /// `[C·H·W]`, by the pixels as an argument of the loss itself; empty where it has no such argument.
    pub(super) pixels: Vec<f32>,
}

impl Slopes {
    /// Makes room for the derivatives at a point, all zero.
    pub(super) fn clear(&mut self, point: &FeaturePoint<'_>) {
        for (slopes, count) in
            [(&mut self.logits, point.logits.len()), (&mut self.features, point.features.len())]
        {
            slopes.clear();
            slopes.resize(count, 0.0);
        }
        self.pixels.clear();
    }

    /// An entry that is not finite says nothing: it counts as zero.
    fn mend(&mut self) {
        for slopes in [&mut self.logits, &mut self.features, &mut self.pixels] {
            slopes.iter_mut().filter(|slope| !slope.is_finite()).for_each(|slope| *slope = 0.0);
        }
    }
}

/// A loss of logits, features and pixels, which an attack maximises.
pub(super) trait Objective: Send {
    /// Whether it compares with the features of the clean image.
    fn needs_clean_features(&self) -> bool;

    /// Learns the features of the clean image, before all else.
    fn begin(&mut self, features: &[f32]) {
        let _ = features;
    }

    /// The loss at a point; writes its derivatives.
    fn at(&mut self, point: &FeaturePoint<'_>, slopes: &mut Slopes) -> f32;
}

/// A rule that makes iterates of gradients.
pub(super) trait Ascent: Send {
    /// The present iterate.
    fn point(&self) -> &[f32];

    /// Whether it is the last one, whose gradient nobody needs.
    fn is_last(&self) -> bool;

    /// Learns loss and gradient there and moves on.
    fn observe(&mut self, answer: &Answer) -> Step;

    /// Moves nearer to a point that has an answer; counts as a step.
    fn step_back(&mut self) -> Step;
}

/// What the next question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The features of the clean image.
    Clean,
    /// Logits and features of the iterate.
    Features,
    /// The gradient there.
    Gradient,
}

/// A search on one image.
pub(super) struct FeatureSearch<'a> {
    clean: CleanImage,
    objective: Box<dyn Objective + 'a>,
    ascent: Box<dyn Ascent + 'a>,
    phase: Phase,
    loss: f32,
    slopes: Slopes,
    /// Sum of the model's gradient and that by the pixels themselves.
    gradient: Vec<f32>,
}

/// What a search of that many steps asks, in passes.
pub(super) fn most_passes(steps: usize, needs_clean_features: bool) -> u64 {
    // The last iterate is only looked at.
    let iterates = steps as u64 * (Query::Features.passes() + Query::FeatureGradient.passes());
    iterates + Query::Features.passes() * (1 + u64::from(needs_clean_features))
}

impl<'a> FeatureSearch<'a> {
    pub(super) fn new(
        clean: &CleanImage,
        objective: Box<dyn Objective + 'a>,
        ascent: Box<dyn Ascent + 'a>,
    ) -> Self {
        let phase = if objective.needs_clean_features() { Phase::Clean } else { Phase::Features };
        Self {
            clean: clean.clone(),
            objective,
            ascent,
            phase,
            loss: 0.0,
            slopes: Slopes::default(),
            gradient: Vec::new(),
        }
    }
}

impl Search for FeatureSearch<'_> {
    fn query(&self) -> Query {
        match self.phase {
            Phase::Clean | Phase::Features => Query::Features,
            Phase::Gradient => Query::FeatureGradient,
        }
    }

    fn label_and_target(&self) -> LabelAndTarget {
        LabelAndTarget { label: self.clean.label, target: None }
    }

    fn cotangents(&self) -> Cotangents<'_> {
        Cotangents { logits: &self.slopes.logits, features: &self.slopes.features }
    }

    fn propose(&mut self, out: &mut [f32]) {
        out.copy_from_slice(match self.phase {
            Phase::Clean => &self.clean.pixels,
            Phase::Features | Phase::Gradient => self.ascent.point(),
        });
    }

    /// Each iterate is looked at once.
    fn counts(&self) -> bool {
        self.phase == Phase::Features
    }

    fn observe_features(&mut self, answer: &Answer, features: &[f32]) -> Step {
        match self.phase {
            Phase::Clean => {
                self.objective.begin(features);
                self.phase = Phase::Features;
                Step::Continue
            }
            Phase::Features if self.ascent.is_last() => Step::Done,
            Phase::Features => {
                let point = FeaturePoint { pixels: self.ascent.point(), logits: answer.logits, features };
                self.slopes.clear(&point);
                let loss = self.objective.at(&point, &mut self.slopes);
                self.loss = if loss.is_finite() { loss } else { f32::MIN };
                self.slopes.mend();
                self.phase = Phase::Gradient;
                Step::Continue
            }
            Phase::Gradient => self.step_back(),
        }
    }

    fn observe(&mut self, answer: &Answer) -> Step {
        if self.phase != Phase::Gradient {
            return self.step_back();
        }
        self.phase = Phase::Features;
        let answer = Answer { loss: self.loss, ..*answer };
        if self.slopes.pixels.is_empty() {
            return self.ascent.observe(&answer);
        }
        self.gradient.clear();
        let sums = answer.gradient.iter().zip(&self.slopes.pixels).map(|(slope, own)| slope + own);
        self.gradient.extend(sums);
        self.ascent.observe(&Answer { gradient: &self.gradient, ..answer })
    }

    /// Where the clean image itself has no answer, distances are those from zero.
    fn step_back(&mut self) -> Step {
        let phase = std::mem::replace(&mut self.phase, Phase::Features);
        match phase {
            Phase::Clean => Step::Continue,
            Phase::Features | Phase::Gradient => self.ascent.step_back(),
        }
    }
}

#[cfg(test)]
mod tests;
