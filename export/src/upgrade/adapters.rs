//! The adapters: one for each change that an opset made to an operator, and for each operator that is decomposed.

use super::{
    ai_onnx_ml, attention, attributes_to_inputs as inputs, decompose, normalisation, recurrent, resize,
    softmax,
};
use crate::error::Result;
use crate::graph::{Graph, Node};

/// Rewrites nodes from the form before an opset to the form after it.
pub(super) struct Adapter {
    /// The opset that made the change.
    pub(super) opset: u32,
    /// The operators that it concerns.
    pub(super) op_types: &'static [&'static str],
    /// Rewrites one node.
    pub(super) apply: fn(&mut Graph, Node) -> Result<Vec<Node>>,
}

/// All reductions but ReduceSum, whose axes moved earlier.
const REDUCTIONS: &[&str] = &[
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSumSquare",
];

/// Later than any opset: for operators that are decomposed in files of every opset.
const ALWAYS: u32 = u32::MAX;

/// In the order of the opsets.
static ADAPTERS: &[Adapter] = &[
    Adapter { opset: 9, op_types: &["BatchNormalization"], apply: normalisation::remove_spatial },
    Adapter { opset: 9, op_types: &["Upsample"], apply: resize::upsample_scales },
    Adapter { opset: 10, op_types: &["Slice"], apply: inputs::slice_bounds },
    Adapter { opset: 10, op_types: &["TopK"], apply: inputs::top_k_count },
    Adapter { opset: 10, op_types: &["Upsample"], apply: resize::rename_upsample },
    Adapter { opset: 11, op_types: &["Clip"], apply: inputs::clip_bounds },
    Adapter { opset: 11, op_types: &["Pad"], apply: inputs::pads },
    Adapter { opset: 11, op_types: &["Resize"], apply: resize::coordinates },
    Adapter { opset: 11, op_types: &["Scatter"], apply: inputs::rename_scatter },
    Adapter { opset: 12, op_types: &["Dropout"], apply: normalisation::remove_ratio },
    Adapter { opset: 13, op_types: &["ReduceSum", "Squeeze", "Unsqueeze"], apply: inputs::axes },
    Adapter { opset: 13, op_types: &["Split"], apply: inputs::split_sizes },
    Adapter {
        opset: 13,
        op_types: &["Softmax", "LogSoftmax", "Hardmax"],
        apply: softmax::flatten_explicitly,
    },
    Adapter { opset: 14, op_types: &["BatchNormalization"], apply: normalisation::refuse_training },
    Adapter { opset: 18, op_types: REDUCTIONS, apply: inputs::axes },
    Adapter { opset: 18, op_types: &["Split"], apply: inputs::split_count },
    Adapter { opset: ALWAYS, op_types: &["Attention"], apply: attention::attention },
    Adapter { opset: ALWAYS, op_types: &["CenterCropPad"], apply: decompose::center_crop_pad },
    Adapter { opset: ALWAYS, op_types: &["GlobalLpPool"], apply: decompose::global_lp_pool },
    Adapter { opset: ALWAYS, op_types: &["GRU", "LSTM", "RNN"], apply: recurrent::unroll },
    Adapter { opset: ALWAYS, op_types: &["RotaryEmbedding"], apply: attention::rotary_embedding },
    Adapter {
        opset: ALWAYS,
        op_types: &["BatchNormalization"],
        apply: normalisation::weight_standardisation,
    },
    Adapter { opset: ALWAYS, op_types: &ai_onnx_ml::NAMES, apply: ai_onnx_ml::decompose },
];

/// The adapters for a file of that opset.
pub(super) fn since(opset: u32) -> impl Iterator<Item = &'static Adapter> {
    ADAPTERS.iter().filter(move |adapter| adapter.opset > opset)
}
