//! Ending a run before it has finished: on request, or at a deadline.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

use super::EngineError;
use super::onnx_runtime::Terminator;

/// Why a run ended before it had finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// Somebody asked for it.
    Cancelled,
    /// Its time was over.
    Deadline,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelled => "was cancelled",
            Self::Deadline => "did not finish before its deadline",
        })
    }
}

/// Cancels runs: those that it was given to and that are running, and all that it is given to afterwards.
///
/// ONNX Runtime looks for it between two nodes of a graph, so that the time until a run ends is that of one node.
#[derive(Debug, Default)]
pub struct Cancellation(Mutex<Registered>);

#[derive(Debug, Default)]
struct Registered {
    is_cancelled: bool,
    running: Vec<Arc<Terminator>>,
}

impl Cancellation {
    /// Cancels. What is cancelled stays cancelled.
    pub fn cancel(&self) {
        let mut registered = self.registered();
        registered.is_cancelled = true;
        registered.running.iter().for_each(|terminator| terminator.stop(StopReason::Cancelled));
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.registered().is_cancelled
    }

    fn registered(&self) -> MutexGuard<'_, Registered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(&self, terminator: &Arc<Terminator>) {
        let mut registered = self.registered();
        if registered.is_cancelled {
            terminator.stop(StopReason::Cancelled);
        }
        registered.running.push(Arc::clone(terminator));
    }

    fn remove(&self, terminator: &Arc<Terminator>) {
        self.registered().running.retain(|running| !Arc::ptr_eq(running, terminator));
    }
}

/// What may end one run.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunLimits<'a> {
    /// When it must have ended.
    pub deadline: Option<Instant>,
    /// What cancels it: each of these.
    pub cancellations: &'a [&'a Cancellation],
}

impl RunLimits<'_> {
    /// Whether nothing ends the run.
    pub fn are_none(&self) -> bool {
        self.deadline.is_none() && self.cancellations.is_empty()
    }

    /// Why the run should have ended by now.
    pub fn reached(&self) -> Option<StopReason> {
        if self.cancellations.iter().any(|cancellation| cancellation.is_cancelled()) {
            return Some(StopReason::Cancelled);
        }
        self.deadline.is_some_and(|deadline| deadline <= Instant::now()).then_some(StopReason::Deadline)
    }
}

/// Lets `limits` stop what `run` does with a terminator.
pub(super) fn under_limits<T>(
    limits: &RunLimits<'_>,
    watchdog: &Watchdog,
    run: impl FnOnce(&Terminator) -> Result<T, EngineError>,
) -> Result<T, EngineError> {
    let terminator = Arc::new(Terminator::new()?);
    let watched = limits.deadline.map(|deadline| watchdog.watch(deadline, &terminator)).transpose()?;
    limits.cancellations.iter().for_each(|cancellation| cancellation.register(&terminator));
    let ran = match limits.reached() {
        Some(reason) => Err(EngineError::Stopped(reason)),
        None => run(&terminator),
    };
    limits.cancellations.iter().for_each(|cancellation| cancellation.remove(&terminator));
    drop(watched);
    // The engine's own words say only that a flag was set.
    ran.map_err(|error| terminator.reason().map_or(error, EngineError::Stopped))
}

/// A thread that stops runs at their deadlines. It is started with the first deadline, and ends with its owner.
#[derive(Debug, Default)]
pub(super) struct Watchdog {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<Watched>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Watched {
    /// By deadline; the number keeps equal ones apart.
    runs: BTreeMap<(Instant, u64), Arc<Terminator>>,
    next: u64,
    is_over: bool,
}

/// Takes a run off the watchdog's list when it is dropped.
struct Watch<'a>(&'a Shared, (Instant, u64));

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.0.state().runs.remove(&self.1);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, Watched> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops what is due, and waits for the next.
    fn watch(&self) {
        let mut state = self.state();
        while !state.is_over {
            let now = Instant::now();
            let waiting = state.runs.split_off(&(now, u64::MAX));
            let due = std::mem::replace(&mut state.runs, waiting);
            due.values().for_each(|terminator| terminator.stop(StopReason::Deadline));
            let first = state.runs.keys().next().map(|(deadline, _)| *deadline);
            state = match first {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let waited = self.changed.wait_timeout(state, deadline.saturating_duration_since(now));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl Watchdog {
    fn watch(&self, deadline: Instant, terminator: &Arc<Terminator>) -> Result<Watch<'_>, EngineError> {
        self.start()?;
        let mut state = self.shared.state();
        state.next += 1;
        let key = (deadline, state.next);
        state.runs.insert(key, Arc::clone(terminator));
        drop(state);
        self.shared.changed.notify_one();
        Ok(Watch(&self.shared, key))
    }

    fn start(&self) -> Result<(), EngineError> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            let shared = Arc::clone(&self.shared);
            let started = Builder::new().name("mimir-deadlines".into()).spawn(move || shared.watch());
            let message = |error: std::io::Error| format!("no thread for deadlines: {error}");
            *thread = Some(
                started.map_err(|error| EngineError::Failed { engine: "mimir", message: message(error) })?,
            );
        }
        Ok(())
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.state().is_over = true;
        self.shared.changed.notify_one();
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // A thread that panicked has nothing left to stop.
        let _ = thread.map(JoinHandle::join);
    }
}
