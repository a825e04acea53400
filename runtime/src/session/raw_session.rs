//! A session on either engine.

use super::engine::{Backend, Engine};
use super::onnx_runtime::{OnnxRuntimeSession, Weights};
use super::rten::RtenSession;
use super::{EngineError, Input, LoadedGraph, Output, SessionOptions};

/// A session over one model: named tensors in, named tensors out.
#[derive(Debug)]
pub struct RawSession(Session);

#[derive(Debug)]
enum Session {
    OnnxRuntime(OnnxRuntimeSession),
    Rten(Box<RtenSession>),
}

impl RawSession {
    /// Builds a session. The bytes must be our own serialisation of a graph, never a foreign file: ONNX Runtime
    /// expands nested functions without a bound and reads external data from the current folder, and rten does not
    /// bound its memory.
    ///
    /// # Errors
    /// [`EngineError::Failed`] when the engine refuses the model, [`EngineError::Unsupported`] when it is rten and
    /// has no kernel for a node, or one that computes something else than ONNX says.
    pub fn new(engine: &Engine, model: &[u8], options: SessionOptions) -> Result<Self, EngineError> {
        Self::build(engine, model, &Weights::default(), options)
    }

    /// Builds a session over a graph whose weights other sessions use too.
    ///
    /// # Errors
    /// As [`RawSession::new`].
    pub fn over(engine: &Engine, graph: &LoadedGraph, options: SessionOptions) -> Result<Self, EngineError> {
        Self::build(engine, &graph.model, &graph.weights, options)
    }

    fn build(
        engine: &Engine,
        model: &[u8],
        weights: &Weights,
        options: SessionOptions,
    ) -> Result<Self, EngineError> {
        Ok(Self(match engine.backend() {
            Backend::OnnxRuntime(library) => Session::OnnxRuntime(OnnxRuntimeSession::new(
                library,
                engine.device(),
                model,
                weights,
                options,
            )?),
            Backend::Rten => Session::Rten(Box::new(RtenSession::new(model, options)?)),
        }))
    }

    /// Runs the model and copies its outputs out, in the order of the graph.
    ///
    /// # Errors
    /// [`EngineError::Failed`] when an input does not fit or an operator fails, [`EngineError::Unsupported`] when it is
    /// rten and a node asks for what it cannot do, [`EngineError::OutputType`] for an output that is not `float32`.
    pub fn run(&mut self, inputs: &[Input]) -> Result<Vec<Output>, EngineError> {
        let mut outputs = Vec::new();
        self.run_with(inputs, |name, dims, data| {
            outputs.push(Output { name: name.to_owned(), dims: dims.to_vec(), data: data.to_vec() });
        })?;
        Ok(outputs)
    }

    /// Runs the model and shows each output (name, dimensions, elements) to `visit`, without a copy.
    ///
    /// # Errors
    /// As [`RawSession::run`].
    pub fn run_with(
        &mut self,
        inputs: &[Input],
        visit: impl FnMut(&str, &[usize], &[f32]),
    ) -> Result<(), EngineError> {
        match &mut self.0 {
            Session::OnnxRuntime(session) => session.run_with(inputs, visit),
            Session::Rten(session) => session.run_with(inputs, visit),
        }
    }
}
