//! How a model is served.

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use mimir_runtime::session::{Device, LogSink};

use crate::options::{EngineChoice, EngineOptions};

/// How many rows a call of the engine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Batching {
    /// As many as were given, up to the largest batch.
    #[default]
    Dynamic,
    /// As many as in the evaluation that the certificate records; missing ones are copies of the last.
    Certified,
}

/// How a session runs. Fields have working defaults.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Which engine.
    pub engine: EngineChoice,
    /// A libonnxruntime; looked for where absent.
    pub library: Option<PathBuf>,
    /// Where.
    pub device: Device,
    /// Threads inside an operator, shared by all calls. With 1, each call is computed by its own thread.
    pub threads: NonZero<usize>,
    /// Whether threads that wait for work keep their cores busy.
    pub spinning: bool,
    /// Rows of a call of the engine.
    pub batching: Batching,
    /// Rows of a call of the engine, at most. More images are run one part after the other.
    pub max_batch: NonZero<usize>,
    /// Bytes that weights and values of one call of the engine may take.
    pub memory_limit: Option<u64>,
    /// How long making the session may take, its first calls included; ONNX Runtime only.
    pub timeout: Option<Duration>,
    /// Calls of a full batch before the first, whose answers are thrown away.
    pub warm_up: usize,
    /// Whether the features that the bundle names can be asked for: a second session of the engine.
    pub features: bool,
    /// Whether ONNX Runtime records a profile.
    pub profile: bool,
    /// Where messages of the engine go; nowhere where absent.
    pub log: Option<LogSink>,
}

impl ServeOptions {
    /// What finds the engine.
    pub(super) fn engine_options(&self) -> EngineOptions {
        EngineOptions {
            choice: self.engine,
            library: self.library.clone(),
            device: self.device,
            ..EngineOptions::default()
        }
    }
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            engine: EngineChoice::OnnxRuntime,
            library: None,
            device: Device::Cpu,
            threads: NonZero::<usize>::MIN,
            spinning: false,
            batching: Batching::default(),
            max_batch: NonZero::new(64).unwrap_or(NonZero::<usize>::MIN),
            memory_limit: None,
            timeout: None,
            warm_up: 0,
            features: false,
            profile: false,
            log: None,
        }
    }
}
