//! A session that many threads run at once.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::engine::{Backend, Engine};
use super::interruption::{RunLimits, Watchdog};
use super::onnx_runtime::ConcurrentSession;
use super::options::{OutputBuffer, SharedOptions};
use super::rten::RtenSession;
use super::{Data, Device, EngineError, Input, LoadedGraph};

/// A session over a graph with one input of images, for any number of threads.
///
/// With one thread a session, each caller's own thread does all the work of its run; with more, all runs share one pool.
/// The elements of the outputs do not depend on how many runs there are at once, nor on the number of threads. On other
/// devices than the processor, runs wait for each other.
pub struct SharedSession {
    session: Session,
    /// Held during a run where the device is not made for several at once.
    turn: Option<Mutex<()>>,
    watchdog: Watchdog,
}

enum Session {
    OnnxRuntime(ConcurrentSession),
    Rten { session: Box<RtenSession>, input: String },
}

impl SharedSession {
    /// Builds a session over a graph whose one input is `input`.
    ///
    /// # Errors
    /// As [`RawSession::new`](super::RawSession::new), where rten is to write a profile, and [`EngineError::Stopped`] when the
    /// deadline for building it has passed. rten does not look at that.
    pub fn new(
        engine: &Engine,
        graph: &LoadedGraph,
        input: &str,
        options: &SharedOptions,
    ) -> Result<Self, EngineError> {
        let watchdog = Watchdog::default();
        let session = match engine.backend() {
            Backend::OnnxRuntime(library) => Session::OnnxRuntime(ConcurrentSession::new(
                library,
                engine.device(),
                &graph.model,
                &graph.weights,
                options,
                &watchdog,
            )?),
            Backend::Rten if options.profile.is_some() => {
                let message = "writes no profiles".to_owned();
                return Err(EngineError::Failed { engine: "rten", message });
            }
            Backend::Rten => Session::Rten {
                session: Box::new(RtenSession::new(&graph.model, options.session)?),
                input: input.to_owned(),
            },
        };
        let turn = (engine.device() != Device::Cpu).then(Mutex::default);
        Ok(Self { session, turn, watchdog })
    }

    /// Runs the graph on images of those dimensions, and writes the outputs that are asked for.
    ///
    /// ONNX Runtime reads the images and writes the outputs where they are, without a copy. rten looks at `limits` only
    /// before it begins. What is in the buffers after an error is nothing in particular.
    ///
    /// # Errors
    /// [`EngineError::Stopped`] when a limit ended it; [`EngineError::Failed`] when an output has no such name, other
    /// dimensions than those asked for, or an operator fails.
    pub fn run(
        &self,
        dims: &[usize],
        images: &[f32],
        outputs: &mut [OutputBuffer<'_>],
        limits: &RunLimits<'_>,
    ) -> Result<(), EngineError> {
        let _turn = self.turn.as_ref().map(|turn| turn.lock().unwrap_or_else(PoisonError::into_inner));
        match &self.session {
            Session::OnnxRuntime(session) => session.run(dims, images, outputs, limits, &self.watchdog),
            Session::Rten { session, input } => match limits.reached() {
                Some(reason) => Err(EngineError::Stopped(reason)),
                None => run_rten(session, input, dims, images, outputs),
            },
        }
    }

    /// Ends the profile, where one was asked for: the file that it was written to.
    ///
    /// # Errors
    /// When there is none.
    pub fn end_profile(&self) -> Result<PathBuf, EngineError> {
        match &self.session {
            Session::OnnxRuntime(session) => session.end_profile(),
            Session::Rten { .. } => {
                Err(EngineError::Failed { engine: "rten", message: "writes no profiles".to_owned() })
            }
        }
    }
}

impl fmt::Debug for SharedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSession").finish_non_exhaustive()
    }
}

fn run_rten(
    session: &RtenSession,
    input: &str,
    dims: &[usize],
    images: &[f32],
    outputs: &mut [OutputBuffer<'_>],
) -> Result<(), EngineError> {
    let mut written = 0;
    let input = Input { name: input, dims, data: Data::F32(images) };
    session.run_with(&[input], |name, dims, data| {
        let wanted = outputs.iter_mut().find(|output| output.name == name && output.dims == dims);
        if let Some(output) = wanted.filter(|output| output.data.len() == data.len()) {
            output.data.copy_from_slice(data);
            written += 1;
        }
    })?;
    if written == outputs.len() {
        return Ok(());
    }
    let names: Vec<String> =
        outputs.iter().map(|output| format!("{} {:?}", output.name, output.dims)).collect();
    let message = format!("did not return the outputs {} in these dimensions", names.join(", "));
    Err(EngineError::Failed { engine: "rten", message })
}
