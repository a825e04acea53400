//! Normalizer: `x / ‖x‖` of each row, and `x` where the norm is zero.
//!
//! `MAX` divides by the largest element, which may be negative, and not by the largest size.

use super::inputs::{FeatureRows, feature_rows};
use crate::error::{Error, Result};
use crate::graph::{Builder, Node, ValueId};

pub(super) fn normalise(builder: &mut Builder<'_>, node: &Node) -> Result<ValueId> {
    let FeatureRows { value, .. } = feature_rows(builder, node, 0)?;
    let norm = match node.attributes.text("norm", "MAX")? {
        // Probabilities already sum to one, and a division would hide the Softmax from
        // `classifier/log_probabilities.rs`.
        "L1" if is_softmax(builder, value)? => return Ok(value),
        "L1" => "ReduceL1",
        "L2" => "ReduceL2",
        "MAX" => "ReduceMax",
        other => {
            return Err(Error::format(format!("attribute `norm` is `{other}`, wanted L1, L2 or MAX")));
        }
    };
    let axes = builder.ints(&[1]);
    let norm = builder.op(norm, &[value, axes])?;
    let (zero, one) = (builder.scalar(0.0), builder.scalar(1.0));
    let is_zero = builder.op("Equal", &[norm, zero])?;
    let divisor = builder.op("Where", &[is_zero, one, norm])?;
    builder.op("Div", &[value, divisor])
}

/// Whether a Softmax over the features made the value.
fn is_softmax(builder: &Builder<'_>, value: ValueId) -> Result<bool> {
    let graph = builder.graph();
    let producers = graph.producers();
    let mut value = value;
    while let Some(producer) = producers.get(&value) {
        let node = graph.node(*producer);
        match node.op_type.as_str() {
            "Identity" => value = node.input(0)?,
            "Softmax" => return Ok(matches!(node.attributes.int("axis", -1)?, -1 | 1)),
            _ => break,
        }
    }
    Ok(false)
}
