//! When a state is due that nobody asked for.

use std::time::{Duration, Instant};

/// A run that is killed loses no more than this: the first state comes early, because a mistake shows early.
const FIRST: Duration = Duration::from_secs(120);
const LATER: Duration = Duration::from_secs(900);

/// Saves by the clock, beside those at the ends of epochs and at `checkpoint_every`. No result depends on when a state is
/// written.
#[derive(Debug)]
pub(super) struct Autosave {
    from: Instant,
    after: Duration,
}

impl Autosave {
    /// Counts from the start of the training.
    pub(super) fn start(now: Instant) -> Self {
        Self { from: now, after: FIRST }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.from) >= self.after
    }

    /// A state has been written, for whatever reason.
    pub(super) fn saved(&mut self, now: Instant) {
        *self = Self { from: now, after: LATER };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_state_is_early_and_the_others_are_apart() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut autosave = Autosave::start(start);
        assert!(!autosave.is_due(start) && !autosave.is_due(after(119)));
        assert!(autosave.is_due(after(120)));
        autosave.saved(after(130));
        assert!(!autosave.is_due(after(130 + 899)) && autosave.is_due(after(130 + 900)));
    }
}
