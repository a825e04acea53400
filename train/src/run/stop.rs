//! When a run should stop: on a signal, or before a deadline.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Exit code of a run that saved its state and can be resumed (`EX_TEMPFAIL`: schedulers requeue such a job).
pub const EXIT_STOPPED: u8 = 75;

/// Why a run stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// SIGTERM, SIGINT (Ctrl-C) or SIGUSR1 (Slurm's warning) came.
    Signal,
    /// The next step may not finish before the deadline.
    TimeLimit,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signal => "asked to stop by a signal",
            Self::TimeLimit => "the time limit is near",
        })
    }
}

/// Checked at every step.
#[derive(Debug)]
pub struct StopSignal {
    signalled: Arc<AtomicBool>,
    deadline: Option<Deadline>,
}

#[derive(Debug)]
struct Deadline {
    at: Instant,
    reserve: Duration,
    last_asked: Cell<Instant>,
    longest_pause: Cell<Duration>,
}

impl StopSignal {
    /// Watches for signals from now on; a second SIGINT or SIGTERM ends the process at once. With a `time_limit` from
    /// now, the run stops early enough for the longest time between two questions so far and `reserve`, which is for
    /// saving.
    ///
    /// # Errors
    /// When the system does not let a handler be installed.
    pub fn watch(time_limit: Option<Duration>, reserve: Duration) -> io::Result<Self> {
        let signalled = Arc::new(AtomicBool::new(false));
        watch_for(&signalled)?;
        let now = Instant::now();
        // A limit that the clock cannot represent is no limit.
        let at = time_limit.and_then(|limit| now.checked_add(limit));
        Ok(Self { signalled, deadline: at.map(|at| Deadline::new(at, reserve, now)) })
    }

    /// Why the run should stop now, if it should.
    pub fn requested(&self) -> Option<StopReason> {
        if self.signalled.load(Ordering::Relaxed) {
            return Some(StopReason::Signal);
        }
        let near = self.deadline.as_ref().is_some_and(|deadline| deadline.is_near(Instant::now()));
        near.then_some(StopReason::TimeLimit)
    }
}

impl Deadline {
    fn new(at: Instant, reserve: Duration, now: Instant) -> Self {
        Self { at, reserve, last_asked: Cell::new(now), longest_pause: Cell::new(Duration::ZERO) }
    }

    fn is_near(&self, now: Instant) -> bool {
        let pause = now.saturating_duration_since(self.last_asked.replace(now));
        self.longest_pause.set(self.longest_pause.get().max(pause));
        self.at.saturating_duration_since(now) <= self.reserve.saturating_add(self.longest_pause.get())
    }
}

#[cfg(unix)]
fn watch_for(signalled: &Arc<AtomicBool>) -> io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
    use signal_hook::flag::{register, register_conditional_shutdown};

    for signal in [SIGINT, SIGTERM] {
        // The handler that checks the flag is registered before the one that sets it, so the first signal only sets it.
        register_conditional_shutdown(signal, i32::from(EXIT_STOPPED), Arc::clone(signalled))?;
        register(signal, Arc::clone(signalled))?;
    }
    register(SIGUSR1, Arc::clone(signalled))?;
    // A limit on the size of files then shows as a failed write instead of a signal that ends the process.
    register(SIGXFSZ, Arc::default())?;
    Ok(())
}

#[cfg(not(unix))]
fn watch_for(signalled: &Arc<AtomicBool>) -> io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};

    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(signalled))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn one_signal_asks_for_a_stop() {
        let stop = StopSignal::watch(Some(Duration::MAX), Duration::ZERO).unwrap();
        assert_eq!(stop.requested(), None);
        // SIGUSR1: the second of the others would end the test program.
        signal_hook::low_level::raise(signal_hook::consts::SIGUSR1).unwrap();
        assert_eq!(stop.requested(), Some(StopReason::Signal));
    }

    #[test]
    fn a_deadline_leaves_room_for_the_longest_step_and_for_saving() {
        let start = Instant::now();
        let second = |seconds| start + Duration::from_secs(seconds);
        let deadline = Deadline::new(second(100), Duration::from_secs(10), start);
        // (asked at, near): the longest pause is 40 s, so that 100 − 10 − 40 = 50 is the last moment to continue.
        for (asked, near) in [(1, false), (41, false), (49, false), (50, true), (99, true), (101, true)] {
            assert_eq!(deadline.is_near(second(asked)), near, "{asked}");
        }
    }

    #[test]
    fn a_limit_that_is_over_stops_at_once() {
        let now = Instant::now();
        let deadline = Some(Deadline::new(now, Duration::ZERO, now));
        let stop = StopSignal { signalled: Arc::default(), deadline };
        assert_eq!(stop.requested(), Some(StopReason::TimeLimit));
    }
}
