//! The errors for control flow that cannot be unrolled. Each says how to export the model instead.

use crate::error::Error;

/// A condition that is computed from pixels, or that depends on the batch size.
pub(super) fn condition() -> Error {
    Error::unsupported(
        "its condition is known only at run time: export the model in inference mode with the condition fixed (in \
         PyTorch, export a module whose `forward` contains only the branch that is taken)",
    )
}

/// A trip count that is computed from pixels, or that depends on the batch size.
pub(super) fn trip_count() -> Error {
    Error::unsupported(
        "its number of iterations is known only at run time: export the model with the loop unrolled (in PyTorch, a \
         plain loop in Python over a fixed range)",
    )
}
