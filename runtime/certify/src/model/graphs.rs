//! The form in which graphs are written for an engine.

use mimir_bundle::{Loss, PreparedGraph};
use mimir_export::autodiff::Kernels;
use mimir_export::onnx::SharedWeights;
use mimir_export::{FeatureGraphs, ImageClassifier};
use mimir_runtime::processor;
use mimir_runtime::session::{Device, Engine, EngineKind, Precision};

/// How graphs are written for an engine.
#[derive(Debug, Clone, Copy)]
pub(super) enum GraphForm {
    /// With weights that all graphs share, beside the file.
    Shared(Kernels),
    /// Each by itself, in operators of ONNX.
    SelfContained,
}

impl GraphForm {
    /// The form that an engine runs fastest on its device, for graphs that search in that precision.
    pub(super) fn for_searches(engine: &Engine, precision: Precision) -> Self {
        match Self::for_engine(engine) {
            Self::Shared(kernels)
                if kernels != Kernels::Standard
                    && precision == Precision::Mixed
                    && processor::has_bfloat16_kernels() =>
            {
                Self::Shared(Kernels::Bfloat16)
            }
            form => form,
        }
    }

    /// The same in 32-bit floats.
    pub(super) fn for_engine(engine: &Engine) -> Self {
        match (engine.kind(), engine.device()) {
            (EngineKind::OnnxRuntime, Device::Cpu) => Self::Shared(kernels_of_the_processor()),
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

    /// The graph that answers queries for logits.
    pub(super) fn forward(
        self,
        classifier: &ImageClassifier,
        shared: &mut SharedWeights,
    ) -> mimir_export::Result<PreparedGraph> {
        match self {
            Self::Shared(kernels) => classifier.prepared_forward(kernels, shared),
            Self::SelfContained => classifier.forward_onnx().map(PreparedGraph::from),
        }
    }

    /// The graph that answers queries for the gradient of a loss.
    pub(super) fn gradient(
        self,
        classifier: &ImageClassifier,
        loss: Loss,
        shared: &mut SharedWeights,
    ) -> mimir_export::Result<PreparedGraph> {
        match self {
            Self::Shared(kernels) => classifier.prepared_gradient(loss, kernels, shared),
            Self::SelfContained => classifier.gradient_onnx(loss).map(PreparedGraph::from),
        }
    }

    /// The graphs of the model cut open at a tensor.
    pub(super) fn features(
        self,
        classifier: &ImageClassifier,
        tensor: &str,
        shared: &mut SharedWeights,
    ) -> mimir_export::Result<FeatureGraphs> {
        match self {
            Self::Shared(kernels) => classifier.feature_graphs(tensor, kernels, shared),
            Self::SelfContained => classifier.feature_graphs_onnx(tensor),
        }
    }
}

/// Those that are faster than ONNX Runtime's on this processor, in 32-bit floats.
fn kernels_of_the_processor() -> Kernels {
    if processor::has_wide_vectors() {
        Kernels::Products
    } else if processor::has_fused_vectors() {
        Kernels::BatchLast
    } else {
        Kernels::Mimir
    }
}
