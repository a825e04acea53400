//! Which cases are left out, and why.

use crate::error::{Error, Location};

/// What we refuse on purpose: the operator at which the error stands (none for an error about a tensor), words of it,
/// and why. No other error of ours is taken for a reason to leave a case out.
const REFUSED: &[(&str, &str, &str)] = &[
    ("Attention", "uses a cache of keys and values", "a cache of tokens, or scores as an output"),
    ("Attention", "uses windowed attention", "attention within a window"),
    ("BatchNormalization", "statistics of the batch", "images influence each other"),
    ("Resize", "crops while it resizes", "a crop from a region that is an input"),
    ("ScatterElements", "no gradient rule for reduction", "products and extremes of what is scattered"),
    ("ScatterND", "no gradient rule for reduction", "products and extremes of what is scattered"),
    ("", "after `y` (DynamicQuantizeLinear)", "the scale and zero point of a quantiser"),
    ("", "`Grid`: no gradient rule returned a gradient", "the nearest pixel of a grid: a derivative of zero"),
    ("", "gradients of f64 values are not supported", "float64 on the way"),
];

/// Every reverse mode multiplies the zero that Where passes by that NaN.
const MASKED: &str =
    "a token that is masked from all others: its Softmax is NaN, which ONNX replaces by zero";

/// Beginning of a case's name, and why what we compute is not a number.
const UNDEFINED: &[(&str, &str)] = &[
    ("test_attention_causal_boolmask_nan_robustness", MASKED),
    ("test_attention_23_boolmask_fullymasked_row_nan_robustness", MASKED),
    ("test_attention_4d_causal_nonpad_negative_offset_structural_empty_expanded", MASKED),
    ("test_attention_23_fullymasked_qk_matmul_output_mode3_zero_expanded", MASKED),
    ("test_attention_24_fullymasked_qk_matmul_output_mode3_zero_expanded", MASKED),
];

/// Why a case has no gradient.
pub(super) fn undefined(name: &str) -> Option<&'static str> {
    UNDEFINED.iter().find(|(beginning, _)| name.starts_with(beginning)).map(|(_, reason)| *reason)
}

/// Recurrent cells whose weights saturate every activation. Their slopes, some 10⁻⁵, are what is left of `1 - tanh²` in
/// float32 and agree with float64 to three digits only; the cases whose weights do not saturate are compared.
const SATURATED: [&str; 2] = ["test_rnn_seq_length", "test_simple_rnn_bidirectional"];

/// Why what we compute may differ.
pub(super) fn saturated(name: &str) -> Option<&'static str> {
    SATURATED.contains(&name).then_some("saturated cells, whose slope is rounding")
}

/// Why an error is one that we want.
pub(super) fn refused(error: &Error) -> Option<&'static str> {
    let at = match error.location() {
        Some(Location::Node { op_type, .. }) => op_type.as_str(),
        _ => "",
    };
    let message = error.to_string();
    REFUSED
        .iter()
        .find(|(operator, words, _)| *operator == at && message.contains(words))
        .map(|(.., reason)| *reason)
}

/// The reason of the script without what differs from case to case.
pub(super) fn group(reason: &str) -> String {
    let common = ["does not run it", "no derivative in float64"];
    let end = common.iter().find_map(|words| reason.find(words).map(|at| at + words.len()));
    reason[..end.unwrap_or(reason.len())].to_owned()
}
