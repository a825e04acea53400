//! How often a file is forced to the disk.

use std::time::{Duration, Instant};

/// Often enough that a loss of power costs seconds of work, seldom enough to cost nothing.
const INTERVAL: Duration = Duration::from_secs(5);

/// Says when it is time again. The caller brings the clock.
#[derive(Debug)]
pub(super) struct SyncInterval {
    last: Instant,
}

impl SyncInterval {
    /// First due one interval after `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self { last: now }
    }

    /// Whether an interval has passed since this last said so.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let due = now.saturating_duration_since(self.last) >= INTERVAL;
        if due {
            self.last = now;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_in_an_interval() {
        let start = Instant::now();
        let mut sync_interval = SyncInterval::new(start);
        let due: Vec<bool> = [0, 4, 5, 6, 9, 10, 30, 31]
            .map(|second| sync_interval.is_due(start + Duration::from_secs(second)))
            .into();
        assert_eq!(due, [false, false, true, false, false, true, true, false]);
    }
}
