//! Threads that make the calls of a session which return at once.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use crate::error::{Code, mimir_error};
use crate::guard::{Result, or};

/// A call that waits for a thread. It is told whether the session is over.
pub(crate) type Job = Box<dyn FnOnce(bool) + Send>;

/// The threads. They are started with the first call, and end with the session.
#[derive(Debug)]
pub(crate) struct Workers {
    count: usize,
    queue: Arc<Queue>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    is_over: bool,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes calls until the session is over and none waits.
    fn work(&self) {
        let mut state = self.state();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                let is_over = state.is_over;
                drop(state);
                or((), || job(is_over));
                state = self.state();
            } else if state.is_over {
                return;
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

impl Workers {
    /// So many threads, at least one, once they are needed.
    pub(crate) fn new(count: usize) -> Self {
        Self { count, queue: Arc::default(), threads: Mutex::default() }
    }

    /// Lets a thread make a call.
    ///
    /// # Errors
    /// When no thread can be started. The call is not made then.
    pub(crate) fn submit(&self, job: Job) -> Result<()> {
        self.start()?;
        self.queue.state().jobs.push_back(job);
        self.queue.changed.notify_one();
        Ok(())
    }

    fn start(&self) -> Result<()> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        while threads.len() < self.count {
            let queue = Arc::clone(&self.queue);
            match Builder::new().name("mimir-worker".into()).spawn(move || queue.work()) {
                Ok(thread) => threads.push(thread),
                Err(_) if !threads.is_empty() => return Ok(()),
                Err(error) => {
                    let message = format!("cannot start a thread: {error}");
                    return Err(mimir_error::new(Code::Internal, message));
                }
            }
        }
        Ok(())
    }
}

impl Drop for Workers {
    /// Waits until every call is over. Those that wait are told that the session is, and end at once.
    fn drop(&mut self) {
        self.queue.state().is_over = true;
        self.queue.changed.notify_all();
        let here = std::thread::current().id();
        for thread in self.threads.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // A callback that deletes its session runs on one of these threads, which cannot wait for itself.
            if thread.thread().id() != here {
                // Jobs catch their panics.
                let _ = thread.join();
            }
        }
    }
}
