//! Ending a run before it has finished: on request, or at a deadline.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

use super::{EngineError, StopReason};

/// What can be ended before it has finished.
pub(super) trait Stoppable: Send + Sync {
    /// Ends it soon.
    fn stop(&self, reason: StopReason);

    /// Why it was ended: the reason that came first.
    fn reason(&self) -> Option<StopReason>;
}

/// Cancels runs: those that it was given to and that are running, and all that it is given to afterwards.
///
/// ONNX Runtime looks for it between two nodes of a graph, so that the time until a run ends is that of one node.
#[derive(Default)]
pub struct Cancellation(Mutex<Registered>);

#[derive(Default)]
struct Registered {
    is_cancelled: bool,
    running: Vec<Arc<dyn Stoppable>>,
}

impl fmt::Debug for Cancellation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancellation").field("is_cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}

impl Cancellation {
    /// Cancels. What is cancelled stays cancelled.
    pub fn cancel(&self) {
        let mut registered = self.registered();
        registered.is_cancelled = true;
        registered.running.iter().for_each(|running| running.stop(StopReason::Cancelled));
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.registered().is_cancelled
    }

    fn registered(&self) -> MutexGuard<'_, Registered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(&self, terminator: &Arc<dyn Stoppable>) {
        let mut registered = self.registered();
        if registered.is_cancelled {
            terminator.stop(StopReason::Cancelled);
        }
        registered.running.push(Arc::clone(terminator));
    }

    fn remove(&self, terminator: &Arc<dyn Stoppable>) {
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

/// Lets `limits` stop what `run` does.
pub(super) fn under_limits<T>(
    limits: &RunLimits<'_>,
    watchdog: &Watchdog,
    running: &Arc<dyn Stoppable>,
    run: impl FnOnce() -> Result<T, EngineError>,
) -> Result<T, EngineError> {
    let watched = limits.deadline.map(|deadline| watchdog.watch(deadline, running)).transpose()?;
    limits.cancellations.iter().for_each(|cancellation| cancellation.register(running));
    let ran = match limits.reached() {
        Some(reason) => Err(EngineError::Stopped(reason)),
        None => run(),
    };
    limits.cancellations.iter().for_each(|cancellation| cancellation.remove(running));
    drop(watched);
    // The engine's own words say only that a flag was set.
    ran.map_err(|error| running.reason().map_or(error, EngineError::Stopped))
}

/// A thread that stops runs at their deadlines. It is started with the first deadline, and ends with its owner.
#[derive(Default)]
pub(super) struct Watchdog {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<Watched>,
    changed: Condvar,
}

#[derive(Default)]
struct Watched {
    /// By deadline; the number keeps equal ones apart.
    runs: BTreeMap<(Instant, u64), Arc<dyn Stoppable>>,
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
            due.values().for_each(|running| running.stop(StopReason::Deadline));
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
    fn watch(&self, deadline: Instant, running: &Arc<dyn Stoppable>) -> Result<Watch<'_>, EngineError> {
        self.start()?;
        let mut state = self.shared.state();
        state.next += 1;
        let key = (deadline, state.next);
        state.runs.insert(key, Arc::clone(running));
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Runs until it is stopped.
    #[derive(Default)]
    struct Endless(Mutex<Option<StopReason>>, Condvar);

    impl Stoppable for Endless {
        fn stop(&self, reason: StopReason) {
            self.0.lock().unwrap().get_or_insert(reason);
            self.1.notify_all();
        }

        fn reason(&self) -> Option<StopReason> {
            *self.0.lock().unwrap()
        }
    }

    fn run(limits: &RunLimits<'_>, watchdog: &Watchdog) -> Result<(), EngineError> {
        let endless = Arc::new(Endless::default());
        let running: Arc<dyn Stoppable> = endless.clone();
        under_limits(limits, watchdog, &running, || {
            let reason = endless.0.lock().unwrap();
            let _stopped = endless.1.wait_while(reason, |reason| reason.is_none()).unwrap();
            Err(EngineError::Failed { engine: "endless", message: "a flag was set".into() })
        })
    }

    #[test]
    fn deadlines_end_runs_in_their_order_and_others_go_on() {
        let watchdog = Watchdog::default();
        let after = |milliseconds| RunLimits {
            deadline: Some(Instant::now() + Duration::from_millis(milliseconds)),
            ..RunLimits::default()
        };
        std::thread::scope(|scope| {
            for milliseconds in [30, 1, 10, 10, 20] {
                let watchdog = &watchdog;
                scope.spawn(move || {
                    let ended = run(&after(milliseconds), watchdog);
                    assert_eq!(ended, Err(EngineError::Stopped(StopReason::Deadline)));
                });
            }
        });
        assert!(watchdog.shared.state().runs.is_empty());
        assert_eq!(run(&after(0), &watchdog), Err(EngineError::Stopped(StopReason::Deadline)));
    }

    #[test]
    fn each_of_several_cancellations_ends_a_run_and_what_comes_after() {
        let watchdog = Watchdog::default();
        let (first, second) = (Cancellation::default(), Cancellation::default());
        let both = [&first, &second];
        let limits = RunLimits { deadline: None, cancellations: &both };
        std::thread::scope(|scope| {
            let ended = scope.spawn(|| run(&limits, &watchdog));
            while second.registered().running.is_empty() {
                std::thread::yield_now();
            }
            second.cancel();
            assert_eq!(ended.join().unwrap(), Err(EngineError::Stopped(StopReason::Cancelled)));
        });
        assert!(first.registered().running.is_empty() && second.registered().running.is_empty());
        assert_eq!(run(&limits, &watchdog), Err(EngineError::Stopped(StopReason::Cancelled)));
        assert!(watchdog.thread.lock().unwrap().is_none(), "no deadline, no thread");
    }

    #[test]
    fn what_ended_by_itself_has_its_own_answer() {
        let (watchdog, running) = (Watchdog::default(), Arc::new(Endless::default()) as Arc<dyn Stoppable>);
        let deadline = Instant::now() + Duration::from_secs(600);
        let limits = RunLimits { deadline: Some(deadline), cancellations: &[] };
        assert_eq!(under_limits(&limits, &watchdog, &running, || Ok(3)), Ok(3));
        let fault = EngineError::OutputType("x".into());
        let ended: Result<(), _> = under_limits(&limits, &watchdog, &running, || Err(fault.clone()));
        assert_eq!(ended, Err(fault));
    }
}
