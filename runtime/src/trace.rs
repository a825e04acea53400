//! What a search has reached by which iterate: the lowest margin so far at certain iterates, and whether its loss still rose
//! at the end. Both have one size, whatever a search costs, and see one search only: they are the same for any batches.

/// Iterates, counted from 0, the start of a search, at which a trace has a point: close together where searches change most.
pub const CHECKPOINTS: [usize; 27] = [
    0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000,
    7000, 10_000, 15_000, 20_000,
];

/// The lowest margins of one search so far.
#[derive(Debug, Clone)]
pub(crate) struct MarginTrace {
    lowest: f32,
    points: Vec<f32>,
}

impl MarginTrace {
    /// Of a search around an image with that margin: it is in the ball too.
    pub(crate) fn new(clean_margin: f32) -> Self {
        Self { lowest: clean_margin, points: Vec::new() }
    }

    /// The lowest margin so far.
    pub(crate) fn lowest(&self) -> f32 {
        self.lowest
    }

    /// The search has come to that iterate; those before it are known.
    pub(crate) fn come_to(&mut self, iterate: usize) {
        let passed = |checkpoint: &&usize| **checkpoint < iterate;
        while CHECKPOINTS.get(self.points.len()).filter(passed).is_some() {
            self.points.push(self.lowest);
        }
    }

    /// A point of the ball has that margin.
    pub(crate) fn lower(&mut self, margin: f32) {
        self.lowest = self.lowest.min(margin);
    }

    /// The lowest margin by each checkpoint, up to the first that is not before the end of the search.
    pub(crate) fn into_points(mut self) -> Vec<f32> {
        if self.points.len() < CHECKPOINTS.len() {
            self.points.push(self.lowest);
        }
        self.points
    }
}

/// Values at the end of a search that are looked at, as in Pintor et al., "Indicators of Attack Failure: Debugging and
/// Improving Optimization of Adversarial Examples" (NeurIPS 2022).
const LAST: usize = 10;

/// Share of the whole rise that the last values may have, likewise.
const STILL_RISING: f32 = 0.05;

/// How the loss of a search has risen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ascent {
    /// Losses seen.
    seen: usize,
    lowest: f32,
    /// The best loss after each of the last iterates, in a ring.
    best: [f32; LAST],
}

impl Ascent {
    /// Takes in the loss of the next iterate; one that is not finite says nothing.
    pub(crate) fn record(&mut self, loss: f32) {
        if !loss.is_finite() {
            return;
        }
        let so_far = if self.seen == 0 { loss } else { self.best[(self.seen - 1) % LAST] };
        self.lowest = if self.seen == 0 { loss } else { self.lowest.min(loss) };
        self.best[self.seen % LAST] = so_far.max(loss);
        self.seen += 1;
    }

    /// Whether the best loss rose by more than 5 % of its whole rise over the last ten iterates, or all of fewer: more
    /// iterates would find more. Not of a search of one step, which is over by design.
    pub(crate) fn is_incomplete(&self) -> bool {
        if self.seen < 3 {
            return false;
        }
        let newest = self.best[(self.seen - 1) % LAST];
        let oldest = if self.seen <= LAST { self.best[0] } else { self.best[self.seen % LAST] };
        newest - oldest > STILL_RISING * (newest - self.lowest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_has_the_lowest_margin_by_each_checkpoint() {
        let mut trace = MarginTrace::new(4.0);
        for (iterate, margin) in [3.0, 3.5, 2.0, 5.0, 1.0, 0.5].into_iter().enumerate() {
            trace.come_to(iterate);
            trace.lower(margin);
        }
        // Iterates 0, 1, 2, 3 and 5.
        assert_eq!(trace.into_points(), [3.0, 3.0, 2.0, 2.0, 0.5]);
        assert_eq!(MarginTrace::new(1.5).into_points(), [1.5]);
    }

    #[test]
    fn a_long_trace_ends_with_the_last_checkpoint() {
        let mut trace = MarginTrace::new(4.0);
        trace.come_to(1_000_000);
        trace.lower(1.0);
        assert_eq!(trace.into_points(), [4.0; CHECKPOINTS.len()]);
        assert!(CHECKPOINTS.is_sorted_by(|left, right| left < right));
    }

    #[test]
    fn an_ascent_that_has_levelled_off_is_complete() {
        let ascent = |losses: &mut dyn Iterator<Item = f32>| {
            let mut ascent = Ascent::default();
            losses.for_each(|loss| ascent.record(loss));
            ascent.is_incomplete()
        };
        assert!(ascent(&mut (0..100).map(|step| step as f32)), "a line");
        assert!(!ascent(&mut (0..100).map(|step| (step as f32).min(60.0))), "level for 40 steps");
        // 4 of 80 and 5 of 80 in the last ten: ε is 5 %.
        assert!(!ascent(&mut (0..90).map(|step| if step < 85 { step.min(76) as f32 } else { 80.0 })));
        assert!(ascent(&mut (0..90).map(|step| if step < 85 { step.min(75) as f32 } else { 80.0 })));
        assert!(!ascent(&mut [0.0_f32; 50].into_iter()), "nothing rises");
        assert!(!ascent(&mut [0.0_f32, 1.0].into_iter()), "one step");
        assert!(ascent(&mut [0.0_f32, 1.0, 2.0].into_iter()), "all of it is the end");
        assert!(!ascent(&mut (0..100).map(|step| if step == 0 { 1.0 } else { f32::NAN })));
        // An ascent that swings below its best is over.
        assert!(!ascent(&mut (0..100).map(|step| if step == 5 { 10.0 } else { step as f32 / 100.0 })));
    }
}
