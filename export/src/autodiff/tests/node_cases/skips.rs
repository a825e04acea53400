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
    ("test_onehot_with_axis", "a number of classes that is no integer"),
    ("test_onehot_with_negative_axis", "a number of classes that is no integer"),
    ("test_resize_tf_crop_and_resize", "a crop within a Resize, from a region that is an input"),
    ("test_pow_types_float32_int32", "an exponent of integers"),
];

/// Parts of the names of cases of Attention that keep a cache, or return the scores.
const ATTENTION: &[&str] = &["past", "qk_matmul", "padded_kv", "nonpad", "ext_cache", "gqa_rank4_mask"];

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
