//! Threads, each with its own sessions, working side by side.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::models::Models;
use super::queue::Queue;
use crate::attack::Query;
use crate::evaluate::EvaluateError;
use crate::model::{Classifier, Differentiable, Loss, ModelError, ModelSource};

/// One thread's models. They live as long as the evaluation, so that sessions are built once.
pub(crate) struct Worker<'s> {
    source: &'s dyn ModelSource,
    classifier: Box<dyn Classifier>,
    gradients: BTreeMap<Loss, Box<dyn Differentiable>>,
}

impl<'s> Worker<'s> {
    /// That many workers, at least one.
    pub(crate) fn team(source: &'s dyn ModelSource, count: usize) -> Result<Vec<Self>, ModelError> {
        let worker = || Ok(Self { source, classifier: source.classifier()?, gradients: BTreeMap::new() });
        (0..count.max(1)).map(|_| worker()).collect()
    }

    /// The original model.
    pub(crate) fn classifier(&mut self) -> &mut dyn Classifier {
        self.classifier.as_mut()
    }

    /// The models for attacks that ask that; a gradient graph is built when it is first needed.
    pub(crate) fn models(&mut self, query: Query) -> Result<Models<'_>, ModelError> {
        let gradient = match query {
            Query::Forward => None,
            Query::Gradient(loss) => {
                if !self.gradients.contains_key(&loss) {
                    self.gradients.insert(loss, self.source.differentiable(loss)?);
                }
                self.gradients.get_mut(&loss)
            }
        };
        let classifier = self.classifier.as_mut();
        Ok(match gradient {
            Some(graph) => Models { classifier, gradient: Some(graph.as_mut()) },
            None => Models { classifier, gradient: None },
        })
    }
}

/// Lets every worker do the same work at the same time; the first that fails or panics stops the queue for all.
///
/// The result lists what they return in the order of the workers. Of several errors, the first worker's is returned.
pub(crate) fn side_by_side<'s, Output: Send>(
    workers: &mut [Worker<'s>],
    queue: &Queue,
    work: impl Fn(&mut Worker<'s>) -> Result<Output, EvaluateError> + Sync,
) -> Result<Vec<Output>, EvaluateError> {
    let guarded = |worker: &mut Worker<'s>| {
        // Nothing of a worker is used after it panicked: the evaluation ends with an error.
        let result = catch_unwind(AssertUnwindSafe(|| work(worker)))
            .unwrap_or_else(|panic| Err(EvaluateError::WorkerPanicked(panic_message(panic.as_ref()))));
        if result.is_err() {
            queue.stop();
        }
        result
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = workers.iter_mut().map(|worker| scope.spawn(|| guarded(worker))).collect();
        threads.into_iter().map(|thread| thread.join().expect("panics are caught inside")).collect()
    })
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}
