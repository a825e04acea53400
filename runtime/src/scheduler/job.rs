//! One attack on one set of images: what all workers share while it runs, and what they return.

use std::time::Duration;

use super::clean_pass::CleanPrediction;
use super::gate_progress::GateProgress;
use super::stop_signal::StopSignal;
use crate::archive::Archive;
use crate::attack::{Attack, DistanceGoal};
use crate::ball::Ball;
use crate::confirmation::Votes;
use crate::evaluation_set::EvaluationSet;
use crate::journal::{Outcome, Record};
use crate::model::Float64Margins;
use crate::monitor::Monitor;

/// Whether another attack follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttackPosition {
    Earlier,
    Last,
}

/// One attack on one set.
#[derive(Clone, Copy)]
pub(crate) struct AttackJob<'a> {
    pub(crate) attack: &'a dyn Attack,
    /// Position in the plan.
    pub(crate) index: u16,
    pub(crate) position: AttackPosition,
    pub(crate) ball: Ball,
    /// Keys all noise.
    pub(crate) seed: u64,
    pub(crate) distances: DistanceGoal,
    /// Of the logits of searches ([`ModelSource::doubt`](crate::model::ModelSource::doubt)).
    pub(crate) doubt: f32,
    pub(crate) set: &'a EvaluationSet<'a>,
    /// One entry per image of the set.
    pub(crate) clean: &'a [CleanPrediction],
    pub(crate) votes: Votes,
    /// Answers that the searches ask for at each point, of a model with random operators; else 1.
    pub(crate) draws_each: usize,
    pub(crate) archive: &'a Archive,
    /// Measures the margins of counterexamples in float64, where somebody can.
    pub(crate) float64: Option<&'a dyn Float64Margins>,
    pub(crate) gate: Option<&'a GateProgress>,
    pub(crate) monitor: &'a Monitor<'a>,
    /// Workers that share the units.
    pub(crate) workers: usize,
}

/// The units that have ended: of one worker, or of all.
#[derive(Debug, Default)]
pub(crate) struct UnitRecords {
    /// Of all workers: those of an earlier run included, by image and unit.
    pub(crate) records: Vec<Record>,
    /// Time spent inside the models, summed over the workers.
    pub(crate) model_time: Duration,
}

impl AttackJob<'_> {
    /// Whether it is kept how searches went: not where draws differ at one point, or the ball is no limit.
    pub(super) fn keeps_signs(&self) -> bool {
        !self.votes.is_random() && self.distances == DistanceGoal::WithinBall
    }

    /// An image is broken, or its logits are not finite.
    pub(super) fn image_out(&self, image: usize, stop: &StopSignal) {
        self.monitor.image_out(image);
        if let Some(gate) = self.gate {
            gate.image_out(stop);
        }
    }

    /// The attack has spent its budget on an image and not broken it.
    pub(super) fn image_spent(&self, image: usize, stop: &StopSignal) {
        self.monitor.image_finished(image);
        if let (Some(gate), AttackPosition::Last) = (self.gate, self.position) {
            gate.image_spent(image, stop);
        }
    }

    /// A unit of an image has ended. To be called before its end is counted.
    pub(super) fn unit_ended(&self, image: usize, outcome: &Outcome) {
        if let (Some(gate), true) = (self.gate, outcome.is_fragile()) {
            gate.image_fragile(image);
        }
    }
}
