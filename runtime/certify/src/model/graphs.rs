//! The form in which graphs are written for an engine.

use mimir_bundle::PreparedGraph;
use mimir_export::ImageClassifier;
use mimir_export::autodiff::Kernels;
use mimir_export::onnx::SharedWeights;
use mimir_runtime::attack::Query;
use mimir_runtime::session::{Device, Engine, EngineKind};

/// How graphs are written for an engine.
#[derive(Debug, Clone, Copy)]
pub(super) enum GraphForm {
    /// With weights that all graphs share, beside the file.
    Shared(Kernels),
    /// Each by itself, in operators of ONNX.
    SelfContained,
}

impl GraphForm {
    /// The form that an engine runs fastest on its device.
    pub(super) fn for_engine(engine: &Engine) -> Self {
        match (engine.kind(), engine.device()) {
            (EngineKind::OnnxRuntime, Device::Cpu) => Self::Shared(Kernels::Mimir),
            // Our kernels are the processor's.
            (EngineKind::OnnxRuntime, _) => Self::Shared(Kernels::Standard),
            (EngineKind::Rten, _) => Self::SelfContained,
        }
    }

    /// The model as its file computes it.
    pub(super) fn original(self, classifier: &ImageClassifier) -> mimir_export::Result<PreparedGraph> {
        match self {
            Self::Shared(_) => classifier.prepared_original(&mut SharedWeights::default()),
            Self::SelfContained => classifier.original_onnx().map(PreparedGraph::from),
        }
    }

    /// The graph that answers a query of an attack.
    pub(super) fn for_query(
        self,
        classifier: &ImageClassifier,
        query: Query,
        shared: &mut SharedWeights,
    ) -> mimir_export::Result<PreparedGraph> {
        match (self, query) {
            (Self::Shared(kernels), Query::Forward) => classifier.prepared_forward(kernels, shared),
            (Self::Shared(kernels), Query::Gradient(loss)) => {
                classifier.prepared_gradient(loss, kernels, shared)
            }
            (Self::SelfContained, Query::Forward) => classifier.forward_onnx().map(PreparedGraph::from),
            (Self::SelfContained, Query::Gradient(loss)) => {
                classifier.gradient_onnx(loss).map(PreparedGraph::from)
            }
        }
    }
}
