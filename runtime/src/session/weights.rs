//! Graphs that share their weights.

use std::fmt;

use mimir_bundle::PreparedGraph;

use super::onnx_runtime::{Pool, Weights};
use super::{Engine, EngineError, EngineKind};

/// The weights that the graphs of one model have handed over so far.
#[derive(Default)]
pub struct WeightPool(Pool);

/// A graph with its weights as the engine takes them: read once, for any number of sessions.
#[derive(Clone)]
pub struct LoadedGraph {
    pub(super) model: bytes::Bytes,
    pub(super) weights: Weights,
    pub(super) lanes: usize,
}

impl LoadedGraph {
    /// Hands the weights of a graph over; equal ones of earlier graphs in `pool` are used again.
    ///
    /// # Errors
    /// [`EngineError::Failed`] when the engine does not take them: rten takes graphs that hold their weights.
    pub fn new(engine: &Engine, graph: PreparedGraph, pool: &mut WeightPool) -> Result<Self, EngineError> {
        let weights = match engine.kind() {
            EngineKind::OnnxRuntime => pool.0.take(&graph.weights)?,
            EngineKind::Rten if graph.weights.is_empty() => Weights::default(),
            EngineKind::Rten => {
                let message = "accepts only graphs that contain their weights".to_owned();
                return Err(EngineError::Failed { engine: "rten", message });
            }
        };
        Ok(Self { model: graph.model, weights, lanes: graph.lanes.max(1) })
    }
}

impl fmt::Debug for WeightPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeightPool").finish_non_exhaustive()
    }
}

impl fmt::Debug for LoadedGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadedGraph").field("bytes", &self.model.len()).finish_non_exhaustive()
    }
}
