//! The errors for control flow that cannot be unrolled. Each says how to export the model instead.

use crate::error::{Error, Result};
use crate::graph::Node;

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

/// Refuses the operators of sequences and optional values.
pub(super) fn sequences(node: &Node) -> Result<()> {
    let (what, instead) = match node.op_type.as_str() {
        op_type if op_type.contains("Sequence") && op_type != "ReverseSequence" => {
            ("sequences of tensors are", "tensors instead of lists that grow")
        }
        op_type if op_type.starts_with("Optional") => ("optional values are", "every value present"),
        _ => return Ok(()),
    };
    Err(Error::unsupported(format!("{what} not supported: export the model with {instead}")))
}
