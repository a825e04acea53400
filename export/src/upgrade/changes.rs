//! The list of changes.

use super::{attention, classical, moves, normalisation, resize, softmax, written};
use crate::error::Result;
use crate::graph::{Graph, Node};

/// One change of an operator's form.
pub(super) struct Change {
    /// The opset that made it.
    pub(super) opset: u32,
    /// The operators that it concerns.
    pub(super) op_types: &'static [&'static str],
    /// Rewrites a node of the form before.
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

/// Later than any opset: files of every opset are concerned, because other operators say the same.
const ALWAYS: u32 = u32::MAX;

/// In the order of the opsets.
static CHANGES: &[Change] = &[
    Change { opset: 9, op_types: &["BatchNormalization"], apply: normalisation::drop_spatial },
    Change { opset: 9, op_types: &["Upsample"], apply: resize::upsample_scales },
    Change { opset: 10, op_types: &["Slice"], apply: moves::slice_bounds },
    Change { opset: 10, op_types: &["TopK"], apply: moves::top_k_count },
    Change { opset: 10, op_types: &["Upsample"], apply: resize::rename_upsample },
    Change { opset: 11, op_types: &["Clip"], apply: moves::clip_bounds },
    Change { opset: 11, op_types: &["Pad"], apply: moves::pads },
    Change { opset: 11, op_types: &["Resize"], apply: resize::coordinates },
    Change { opset: 11, op_types: &["Scatter"], apply: moves::rename_scatter },
    Change { opset: 12, op_types: &["Dropout"], apply: normalisation::drop_ratio },
    Change { opset: 13, op_types: &["ReduceSum", "Squeeze", "Unsqueeze"], apply: moves::axes },
    Change { opset: 13, op_types: &["Split"], apply: moves::split_sizes },
    Change { opset: 13, op_types: &["Softmax", "LogSoftmax", "Hardmax"], apply: softmax::unflatten },
    Change { opset: 14, op_types: &["BatchNormalization"], apply: normalisation::refuse_training },
    Change { opset: 18, op_types: REDUCTIONS, apply: moves::axes },
    Change { opset: 18, op_types: &["Split"], apply: moves::split_count },
    Change { opset: ALWAYS, op_types: &["Attention"], apply: attention::attention },
    Change { opset: ALWAYS, op_types: &["CenterCropPad"], apply: written::center_crop_pad },
    Change { opset: ALWAYS, op_types: &["GlobalLpPool"], apply: written::global_lp_pool },
    Change { opset: ALWAYS, op_types: &["RotaryEmbedding"], apply: attention::rotary_embedding },
    Change { opset: ALWAYS, op_types: &["BatchNormalization"], apply: normalisation::of_weights },
    Change { opset: ALWAYS, op_types: &classical::NAMES, apply: classical::written_out },
];

/// The changes that a file of that opset has not seen.
pub(super) fn since(opset: u32) -> impl Iterator<Item = &'static Change> {
    CHANGES.iter().filter(move |change| change.opset > opset)
}
