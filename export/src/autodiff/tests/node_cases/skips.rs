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

/// Whole names of such cases, whose expanded forms pass.
const REFUSED_BY_NAME: &[(&str, &str)] = &[
    ("test_dynamicquantizelinear_max_adjusted", "a scale that gradients take for a constant"),
    ("test_dynamicquantizelinear_min_adjusted", "a scale that gradients take for a constant"),
];

/// Why a case is refused.
pub(super) fn refused(name: &str) -> Option<&'static str> {
    let by_name = REFUSED_BY_NAME.iter().find(|(whole, _)| name == *whole);
    let by_beginning = || REFUSED.iter().find(|(beginning, _)| name.starts_with(beginning));
    by_name.or_else(by_beginning).map(|(_, reason)| *reason)
}

/// The reason of the script without what differs from case to case.
pub(super) fn group(reason: &str) -> String {
    let common = ["does not run it", "no derivative in float64"];
    let end = common.iter().find_map(|words| reason.find(words).map(|at| at + words.len()));
    reason[..end.unwrap_or(reason.len())].to_owned()
}
