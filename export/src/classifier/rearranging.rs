//! Operators through which labels and probabilities are followed.

/// Operators that only rearrange or select elements of their first input. No column of the table of operators: only labels
/// and probabilities are followed through them.
pub(super) const REARRANGING: [&str; 8] =
    ["Flatten", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"];
