//! What is known of each image while the attacks go on.

use std::collections::BTreeMap;
use std::time::Duration;

use mimir_bundle::AttackSpec;

use super::outcome::{AttackResult, AttackSigns, Ending, Evaluation, ImageOutcome, PassCounts, Verdict};
use super::traces::TraceSum;
use crate::attack::{Attack, WarmStart};
use crate::evaluation_set::EvaluationSet;
use crate::journal::{Outcome, Record};
use crate::scheduler::{CleanPrediction, StopSignal, UnitRecords};

/// Verdicts as far as they are known.
pub(super) struct EvaluationState<'a> {
    clean: &'a [CleanPrediction],
    outcomes: Vec<ImageOutcome>,
    slots: Vec<Option<u64>>,
    /// Attacks that were done with each image.
    done: Vec<usize>,
    attacks: Vec<AttackResult>,
    /// The first point that broke an image by rounding only, and where its pixels are.
    fragile: BTreeMap<usize, (Verdict, Option<u64>)>,
}

impl<'a> EvaluationState<'a> {
    /// After the clean pass: images that are classified correctly count as robust until something breaks them.
    pub(super) fn new(set: &EvaluationSet, clean: &'a [CleanPrediction]) -> Self {
        let outcomes = clean.iter().zip(set.labels()).enumerate().map(|(image, (clean, label))| {
            let verdict = match clean.prediction {
                None => Verdict::NonFinite { attack: None },
                Some(class) if class == *label => Verdict::StillRobust,
                Some(_) => Verdict::Misclassified,
            };
            ImageOutcome {
                image,
                label: *label,
                clean_prediction: clean.prediction,
                clean_margin: Some(clean.margin).filter(|margin| margin.is_finite()),
                clean_margin_float64: None,
                verdict,
                closest: None,
                passes: PassCounts::default(),
            }
        });
        Self {
            clean,
            outcomes: outcomes.collect(),
            slots: vec![None; clean.len()],
            done: vec![0; clean.len()],
            attacks: Vec::new(),
            fragile: BTreeMap::new(),
        }
    }

    /// Number of images.
    pub(super) fn images(&self) -> usize {
        self.outcomes.len()
    }

    /// Images that count as robust so far, in the order of the set.
    pub(super) fn remaining(&self) -> Vec<usize> {
        let left = self.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::StillRobust);
        left.map(|outcome| outcome.image).collect()
    }

    /// Images that are broken, with what a search for smaller distances starts from.
    pub(super) fn warm_starts(&self) -> impl Iterator<Item = WarmStart> {
        self.outcomes.iter().zip(&self.slots).filter_map(|(outcome, slot)| match outcome.verdict {
            Verdict::Broken { prediction, .. } => {
                slot.map(|slot| WarmStart { image: outcome.image, target: prediction, slot })
            }
            _ => None,
        })
    }

    /// Records the distances that searches outside the plan found.
    pub(super) fn record_distances(&mut self, units: &UnitRecords) {
        for record in &units.records {
            self.update_closest(record.image as usize, std::slice::from_ref(record));
        }
    }

    /// Records what an attack did on those images.
    pub(super) fn record_attack(
        &mut self,
        spec: &AttackSpec,
        attack: &dyn Attack,
        images: &[usize],
        units: &UnitRecords,
        elapsed: Duration,
    ) {
        let mut result = AttackResult {
            name: spec.name().to_owned(),
            spec: spec.clone(),
            uses_margin: attack.uses_margin(),
            attacked: images.len(),
            broken: 0,
            non_finite: 0,
            still_robust: 0,
            unfinished: images.len(),
            zero_gradients: 0,
            non_finite_gradients: 0,
            signs: AttackSigns::default(),
            trace: Vec::new(),
            seconds: elapsed.as_secs_f64(),
            model_seconds: units.model_time.as_secs_f64(),
            passes: PassCounts::default(),
        };
        for image in images.iter().filter(|image| !attack.is_run_on(**image)) {
            self.done[*image] += 1;
            result.unfinished -= 1;
        }
        let mut traces = TraceSum::default();
        for records in units.records.chunk_by(|left, right| left.image == right.image) {
            let counted = counted(records);
            traces.add(counted);
            record_signs(counted, &mut result.signs);
            self.record_image(spec, attack.units(), records, &mut result);
        }
        result.trace = traces.into_points();
        result.still_robust = result.attacked - result.broken - result.non_finite;
        self.attacks.push(result);
    }

    /// Takes in the records of one image, by unit.
    fn record_image(
        &mut self,
        spec: &AttackSpec,
        units: usize,
        records: &[Record],
        result: &mut AttackResult,
    ) {
        let image = records[0].image as usize;
        let counted = counted(records);
        let end = counted.len().checked_sub(1).filter(|last| counted[*last].outcome.ends_image());
        let passes = counted.iter().fold(PassCounts::default(), |sum, record| sum + passes(record));
        result.passes += passes;
        self.outcomes[image].passes += passes;
        self.update_closest(image, counted);
        result.zero_gradients += usize::from(counted.iter().any(|record| record.zero_gradient));
        result.non_finite_gradients += usize::from(counted.iter().any(|record| record.non_finite_gradient));
        match end.map(|end| &records[end]) {
            Some(record) => {
                self.record_verdict(spec, record);
                let is_broken = matches!(record.outcome, Outcome::Broken { .. });
                result.broken += usize::from(is_broken);
                result.non_finite += usize::from(!is_broken);
                result.unfinished -= 1;
            }
            None if distinct_units(records) == units => {
                self.done[image] += 1;
                result.unfinished -= 1;
            }
            None => {}
        }
        if let (None, Some(record)) = (end, records.iter().find(|record| record.outcome.is_fragile())) {
            self.record_fragile(spec, record);
        }
    }

    /// Keeps the smallest distances that minimum-norm searches found.
    fn update_closest(&mut self, image: usize, records: &[Record]) {
        let known = self.outcomes[image].closest;
        let all = records.iter().filter_map(|record| record.closest).chain(known);
        self.outcomes[image].closest = all.min_by(f64::total_cmp);
    }

    /// The final verdict of an image, from the unit that decided it.
    fn record_verdict(&mut self, spec: &AttackSpec, record: &Record) {
        let image = record.image as usize;
        if let Some(verdict) = self.verdict(spec, record) {
            self.outcomes[image].verdict = verdict;
            self.slots[image] = slot(&record.outcome);
        }
    }

    /// Keeps the first point that broke an image by rounding only, for the case that nothing else does.
    fn record_fragile(&mut self, spec: &AttackSpec, record: &Record) {
        if let Some(verdict) = self.verdict(spec, record) {
            self.fragile.entry(record.image as usize).or_insert((verdict, slot(&record.outcome)));
        }
    }

    fn verdict(&self, spec: &AttackSpec, record: &Record) -> Option<Verdict> {
        let attack = spec.name().to_owned();
        match record.outcome {
            Outcome::Broken { step, prediction, distance, margin, margin_float64, fragile, .. } => {
                let restarts = spec.restarts();
                let target = record.unit as usize / restarts;
                let targets = &self.clean[record.image as usize].targets;
                Some(Verdict::Broken {
                    attack,
                    target: spec.targets().and_then(|_| targets.get(target).copied()),
                    restart: record.unit as usize % restarts,
                    step: step as usize,
                    prediction: prediction as usize,
                    distance,
                    margin,
                    margin_float64,
                    fragile,
                })
            }
            Outcome::NonFinite { .. } => Some(Verdict::NonFinite { attack: Some(attack) }),
            Outcome::Spent => None,
        }
    }

    /// The evaluation, after a plan of so many attacks.
    pub(super) fn finish(mut self, attacks: usize, stop: &StopSignal) -> Evaluation {
        let mut is_cut_short = false;
        for (image, outcome) in self.outcomes.iter_mut().enumerate() {
            if outcome.verdict != Verdict::StillRobust {
                continue;
            }
            is_cut_short |= self.done[image] < attacks;
            if let Some((verdict, slot)) = self.fragile.remove(&image) {
                // The file misclassifies it: it is not robust.
                if let Verdict::Broken { distance, .. } = verdict {
                    outcome.closest = Some(outcome.closest.map_or(distance, |closest| closest.min(distance)));
                }
                (outcome.verdict, self.slots[image]) = (verdict, slot);
            } else if self.done[image] < attacks {
                outcome.verdict = Verdict::Unfinished;
            }
        }
        let draws: usize = self.clean.iter().map(|image| image.draws).sum();
        let clean = PassCounts { forwards: draws as u64, backwards: 0 };
        let undecided = self.clean.iter().filter(|image| !image.is_certain).count();
        let ending = match () {
            () if !is_cut_short => Ending::Complete,
            () if stop.is_interrupted() => Ending::Interrupted,
            () => Ending::GateDecided,
        };
        Evaluation {
            outcomes: self.outcomes,
            attacks: self.attacks,
            ending,
            clean,
            undecided,
            slots: self.slots,
        }
    }
}

/// The units of an image up to the one that ended it.
fn counted(records: &[Record]) -> &[Record] {
    let end = records.iter().position(|record| record.outcome.ends_image());
    &records[..end.map_or(records.len(), |end| end + 1)]
}

/// What the units of one image show of the searches.
fn record_signs(records: &[Record], signs: &mut AttackSigns) {
    let Some(image) = records.first().map(|record| record.image as usize) else { return };
    let all = |holds: fn(&Record) -> bool| {
        let mut with_gradients = records.iter().filter(|record| record.backwards > 0).peekable();
        with_gradients.peek().is_some() && with_gradients.all(holds)
    };
    let is_out = records.iter().any(|record| record.outcome.ends_image());
    signs.without_gradient.extend(all(|record| record.zero_gradient).then_some(image));
    signs.incomplete.extend((!is_out && all(|record| record.incomplete)).then_some(image));
    let some = |holds: fn(&Record) -> bool| records.iter().any(holds).then_some(image);
    signs.non_finite_gradient.extend(some(|record| record.non_finite_gradient));
    signs.rejected.extend(some(|record| record.rejected));
}

/// How many units have ended; the records are by unit, and a journal may have one twice.
fn distinct_units(records: &[Record]) -> usize {
    records.chunk_by(|left, right| left.unit == right.unit).count()
}

/// Where the pixels of a counterexample are.
fn slot(outcome: &Outcome) -> Option<u64> {
    match outcome {
        Outcome::Broken { slot, .. } => *slot,
        Outcome::NonFinite { .. } | Outcome::Spent => None,
    }
}

fn passes(record: &Record) -> PassCounts {
    PassCounts { forwards: u64::from(record.forwards), backwards: u64::from(record.backwards) }
}
