//! The attacks of one evaluation, one after the other, each on the images that are left.

use std::time::Instant;

use mimir_bundle::AttackSpec;

use super::plan::{Control, Plan};
use super::state::EvaluationState;
use crate::attack::{Attack, AttackContext, DistanceGoal, WarmStart, WarmStartedFab};
use crate::error::EvaluateError;
use crate::evaluation_set::EvaluationSet;
use crate::monitor::{Monitor, MostPasses, Stage};
use crate::scheduler::{
    self, AttackJob, AttackPosition, CleanPrediction, GateProgress, StopSignal, Votes, Worker,
};

/// What all attacks of an evaluation share.
pub(super) struct AttackRun<'a> {
    pub(super) set: &'a EvaluationSet<'a>,
    pub(super) plan: &'a Plan,
    pub(super) context: AttackContext,
    pub(super) doubt: f32,
    pub(super) clean: &'a [CleanPrediction],
    pub(super) gate: Option<&'a GateProgress>,
    pub(super) control: &'a Control<'a>,
    pub(super) monitor: &'a Monitor<'a>,
    /// Passes of each attack of the plan on one image, at most.
    pub(super) most_passes: &'a [u64],
}

impl AttackRun<'_> {
    fn job<'b>(&'b self, index: usize, attack: &'b dyn Attack, eot: usize) -> AttackJob<'b> {
        let votes = Votes(self.plan.votes);
        AttackJob {
            attack,
            index: index as u16,
            position: if index + 1 == self.plan.attacks.len() {
                AttackPosition::Last
            } else {
                AttackPosition::Earlier
            },
            ball: self.context.ball,
            seed: self.context.seed,
            distances: DistanceGoal::WithinBall,
            doubt: self.doubt,
            set: self.set,
            clean: self.clean,
            votes,
            draws_each: if votes.is_random() { eot } else { 1 },
            archive: self.control.archive,
            float64: self.control.float64.filter(|_| !votes.is_random()),
            gate: self.gate,
            monitor: self.monitor,
            workers: self.plan.workers,
        }
    }

    /// Runs one attack on every image that is left, and records what it found.
    pub(super) fn attack(
        &self,
        workers: &mut [Worker],
        index: usize,
        spec: &AttackSpec,
        attack: &dyn Attack,
        stop: &StopSignal,
        state: &mut EvaluationState,
    ) -> Result<(), EvaluateError> {
        let mut images = state.remaining();
        if self.gate.is_some() {
            // Those that are likely to fall decide a gate soonest.
            let margin = |image: &usize| self.clean[*image].margin;
            images.sort_by(|left, right| margin(left).total_cmp(&margin(right)));
        }
        let later = self.most_passes[index + 1..].iter().sum();
        let most_passes = MostPasses { now: self.most_passes[index], later };
        self.monitor.start(Stage::Attack(spec.name()), images.len(), most_passes);
        let started = Instant::now();
        let units = scheduler::run(workers, &self.job(index, attack, spec.eot()), &images, stop)?;
        self.monitor.show();
        state.record_attack(spec, attack, &images, &units, started.elapsed());
        Ok(())
    }

    /// Searches the smallest distance of every image that is broken, from its counterexample.
    pub(super) fn find_distances(
        &self,
        workers: &mut [Worker],
        stop: &StopSignal,
        state: &mut EvaluationState,
    ) -> Result<(), EvaluateError> {
        let starts: Vec<WarmStart> = state.warm_starts().collect();
        let Some(store) = self.control.archive.counterexamples() else { return Ok(()) };
        let images: Vec<usize> = starts.iter().map(|start| start.image).collect();
        let attack = WarmStartedFab::new(&starts, store, &self.context);
        let most_passes = MostPasses { now: attack.most_passes(), later: 0 };
        self.monitor.start(Stage::Curve, images.len(), most_passes);
        let job = self.job(self.plan.attacks.len(), &attack, 1);
        let job = AttackJob { distances: DistanceGoal::Smallest, gate: None, ..job };
        state.record_distances(&scheduler::run(workers, &job, &images, stop)?);
        Ok(())
    }
}
