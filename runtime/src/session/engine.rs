//! The engines behind one seam: ONNX Runtime, a library found at run time, and rten, linked in.

use std::path::Path;

use super::locate::Surroundings;
use super::onnx_runtime::{OnnxRuntime, OnnxRuntimeSession, Weights};
use super::rten::{RtenSession, VERSION as RTEN_VERSION};
use super::{Device, EngineError, Input, LoadedGraph, Output, SessionOptions};

/// What runs models. `Display` of a value is in reports: the name that its makers give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// ONNX Runtime.
    OnnxRuntime,
    /// rten, pure Rust.
    Rten,
}

impl EngineKind {
    /// The word of certificates, reports and journals.
    pub fn name(self) -> &'static str {
        match self {
            Self::OnnxRuntime => "onnxruntime",
            Self::Rten => "rten",
        }
    }

    /// The engine that a certificate names; `None` for a word that is none.
    pub fn named(name: &str) -> Option<Self> {
        [Self::OnnxRuntime, Self::Rten].into_iter().find(|kind| kind.name() == name)
    }
}

/// A loaded engine and the device that its sessions run on. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    side: Side,
    device: Device,
}

#[derive(Debug, Clone)]
enum Side {
    OnnxRuntime(OnnxRuntime),
    Rten,
}

impl Engine {
    /// ONNX Runtime on the processor: loaded, or the one that is loaded.
    ///
    /// Looked for, in this order: `explicit`; the variables `MIMIR_ORT_DYLIB` and `ORT_DYLIB_PATH`;
    /// `.mimir/onnxruntime-*/` in a folder around the program (where `make setup` puts it); beside the program; the
    /// system's loader.
    ///
    /// # Errors
    /// When there is none, when it is older than 1.24, or when another one is loaded than the `explicit` one.
    pub fn load(explicit: Option<&Path>) -> Result<Self, EngineError> {
        Ok(Self { side: Side::OnnxRuntime(OnnxRuntime::load(explicit)?), device: Device::Cpu })
    }

    /// rten on the processor: always there.
    pub fn rten() -> Self {
        Self { side: Side::Rten, device: Device::Cpu }
    }

    /// ONNX Runtime as [`Engine::load`] finds it; where there is none that can be used, and nobody named one, rten and
    /// the reason why.
    ///
    /// # Errors
    /// As [`Engine::load`], where a library was named with `explicit` or a variable.
    pub fn load_or_rten(explicit: Option<&Path>) -> Result<(Self, Option<EngineError>), EngineError> {
        match Self::load(explicit) {
            Ok(engine) => Ok((engine, None)),
            Err(reason) if reason.is_absence() && !Surroundings::of_process(explicit).names_a_library() => {
                Ok((Self::rten(), Some(reason)))
            }
            Err(error) => Err(error),
        }
    }

    /// The same engine with its sessions on `device`.
    ///
    /// # Errors
    /// When the engine does not know the device, or cannot start it: there is no silent way back to the processor.
    pub fn on(self, device: Device) -> Result<Self, EngineError> {
        match (&self.side, device) {
            (_, Device::Cpu) => {}
            (Side::Rten, device) => return Err(EngineError::ProcessorOnly(device)),
            (Side::OnnxRuntime(library), device) => library.check_device(device)?,
        }
        Ok(Self { device, ..self })
    }

    /// Which engine it is.
    pub fn kind(&self) -> EngineKind {
        match self.side {
            Side::OnnxRuntime(_) => EngineKind::OnnxRuntime,
            Side::Rten => EngineKind::Rten,
        }
    }

    /// Its version, e.g. `1.32.0`.
    pub fn version(&self) -> &str {
        match &self.side {
            Side::OnnxRuntime(library) => library.version(),
            Side::Rten => RTEN_VERSION,
        }
    }

    /// Where its sessions run.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Where the library was loaded from; rten is a part of the program.
    pub fn library(&self) -> Option<&Path> {
        match &self.side {
            Side::OnnxRuntime(library) => Some(library.path()),
            Side::Rten => None,
        }
    }
}

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
        Ok(Self(match &engine.side {
            Side::OnnxRuntime(library) => Session::OnnxRuntime(OnnxRuntimeSession::new(
                library,
                engine.device,
                model,
                weights,
                options,
            )?),
            Side::Rten => Session::Rten(Box::new(RtenSession::new(model, options)?)),
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
