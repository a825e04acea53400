//! Which cases are left out, and why.

/// Beginning of a case's name, and why we refuse it: such a case must end in an error of ours.
const REFUSED: &[(&str, &str)] = &[
    (
        "test_batchnorm_example_training_mode",
        "statistics of the batch, by which the images influence each other",
    ),
    (
        "test_batchnorm_epsilon_training_mode",
        "statistics of the batch, by which the images influence each other",
    ),
    ("test_resize_tf_crop_and_resize", "a crop within a Resize, from a region that is an input"),
    ("test_attention_local_window_gqa_rank4_mask_expanded", "float64 on the way"),
    ("test_scatter_elements_with_reduction_m", "a scatter that multiplies, or takes the larger or smaller"),
    ("test_scatternd_m", "a scatter that multiplies, or takes the larger or smaller"),
];

/// Parts of the names of cases of Attention that keep a cache, or return the scores.
const ATTENTION: &[&str] = &["past", "qk_matmul", "padded_kv", "nonpad", "ext_cache", "gqa_rank4_mask"];

/// Every reverse mode multiplies the zero that Where passes by that NaN.
const MASKED: &str = "a Softmax of a row that is masked as a whole is NaN, and a Where replaces it";

/// Beginning of a case's name, and why its gradient is not a number.
const UNDEFINED: &[(&str, &str)] = &[
    ("test_attention_causal_boolmask_nan_robustness_expanded", MASKED),
    ("test_attention_23_boolmask_fullymasked_row_nan_robustness_expanded", MASKED),
    ("test_attention_4d_causal_nonpad_negative_offset_structural_empty_expanded", MASKED),
    ("test_attention_23_fullymasked_qk_matmul_output_mode3_zero_expanded", MASKED),
    ("test_attention_24_fullymasked_qk_matmul_output_mode3_zero_expanded", MASKED),
];

/// Why a case has no gradient.
pub(super) fn undefined(name: &str) -> Option<&'static str> {
    UNDEFINED.iter().find(|(beginning, _)| name.starts_with(beginning)).map(|(_, reason)| *reason)
}

/// Why a case is refused.
pub(super) fn refused(name: &str) -> Option<&'static str> {
    let is_attention = name.starts_with("test_attention") && !name.contains("_expanded");
    if is_attention && ATTENTION.iter().any(|part| name.contains(part)) {
        return Some("a cache of keys and values, or scores as output");
    }
    REFUSED.iter().find(|(beginning, _)| name.starts_with(beginning)).map(|(_, reason)| *reason)
}

/// The reason of the script without what differs from case to case.
pub(super) fn group(reason: &str) -> String {
    let common = ["does not run it", "no derivative in float64"];
    let end = common.iter().find_map(|words| reason.find(words).map(|at| at + words.len()));
    reason[..end.unwrap_or(reason.len())].to_owned()
}
