//! The traces of all searches of an attack, added up.

use super::outcome::TracePoint;
use crate::journal::{Outcome, Record};
use crate::trace::CHECKPOINTS;

/// Sums over images, in their order: the same whoever searched, and whenever.
#[derive(Debug, Default)]
pub(super) struct TraceSum {
    /// Images with a finite margin at every checkpoint.
    images: usize,
    margins: [f64; CHECKPOINTS.len()],
    broken: [usize; CHECKPOINTS.len()],
    /// Checkpoints that some search came to.
    length: usize,
}

impl TraceSum {
    /// Adds the units of one image that count, by unit: the last one may have broken it.
    pub(super) fn add(&mut self, records: &[Record]) {
        self.length = records.iter().map(|record| record.trace.len()).fold(self.length, usize::max);
        let lowest = |checkpoint: usize| {
            let reached = |record: &Record| record.trace.get(checkpoint).or(record.trace.last()).copied();
            let margin = records.iter().filter_map(reached).fold(f32::INFINITY, f32::min);
            f64::from(margin)
        };
        let margins: [f64; CHECKPOINTS.len()] = std::array::from_fn(lowest);
        if margins.iter().all(|margin| margin.is_finite()) {
            self.images += 1;
            self.margins.iter_mut().zip(margins).for_each(|(sum, margin)| *sum += margin);
        }
        if let Some(step) = records.last().and_then(broken_at) {
            let by_then = CHECKPOINTS.iter().map(|checkpoint| usize::from(step <= *checkpoint));
            self.broken.iter_mut().zip(by_then).for_each(|(count, more)| *count += more);
        }
    }

    /// A point for each checkpoint that some search came to; the last one stands for all iterates after it.
    pub(super) fn into_points(self) -> Vec<TracePoint> {
        if self.images == 0 {
            return Vec::new();
        }
        let point = |index: usize| TracePoint {
            iterate: CHECKPOINTS[index],
            mean_margin: self.margins[index] / self.images as f64,
            broken: self.broken[index],
        };
        (0..self.length).map(point).collect()
    }
}

/// The iterate that broke the image, where one did and not by rounding only.
fn broken_at(record: &Record) -> Option<usize> {
    match record.outcome {
        Outcome::Broken { step, fragile: false, .. } => Some(step as usize),
        Outcome::Broken { .. } | Outcome::Spent | Outcome::NonFinite { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(image: u32, trace: &[f32], step: Option<u32>) -> Record {
        let broken = |step| Outcome::Broken {
            step,
            prediction: 1,
            distance: 0.1,
            margin: -1.0,
            margin_float64: None,
            fragile: false,
            slot: None,
        };
        Record {
            image,
            attack: 0,
            unit: 0,
            outcome: step.map_or(Outcome::Spent, broken),
            forwards: 1,
            backwards: 1,
            zero_gradient: false,
            non_finite_gradient: false,
            closest: None,
            incomplete: false,
            rejected: false,
            trace: trace.to_vec(),
        }
    }

    #[test]
    fn images_are_averaged_and_their_units_not() {
        let mut sum = TraceSum::default();
        // Two units of one image: the lower margin counts, and the first ended early.
        sum.add(&[record(0, &[3.0, 1.0], None), record(0, &[4.0, 2.0, 0.5], None)]);
        sum.add(&[record(1, &[2.0, -1.0], Some(1))]);
        // Without a finite margin it is in no mean, but it counts as broken.
        sum.add(&[record(2, &[f32::NEG_INFINITY], Some(0))]);
        let points = sum.into_points();
        let shown: Vec<(usize, f64, usize)> =
            points.iter().map(|point| (point.iterate, point.mean_margin, point.broken)).collect();
        assert_eq!(shown, [(0, 2.5, 1), (1, 0.0, 2), (2, -0.25, 2)]);
        assert_eq!(TraceSum::default().into_points(), []);
    }
}
