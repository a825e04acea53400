//! The values that enter and leave a body: conditions, counts, captures, outputs.

use crate::error::{Error, Result};
use crate::facts::{Content, Known, Symbol};
use crate::graph::{Attributes, Graph, Node, ValueId};

/// The element of a condition, if it is constant.
pub(super) fn constant_bool(graph: &Graph, known: &Known, id: ValueId) -> Option<bool> {
    match &*known.content(graph, id)? {
        Content::Bool(array) => match array.elements() {
            [value] => Some(*value),
            _ => None,
        },
        Content::Int(_) | Content::Float(_) => None,
    }
}

/// The element of a trip count, if it is constant.
pub(super) fn constant_int(graph: &Graph, known: &Known, id: ValueId) -> Option<i64> {
    match known.content(graph, id)?.symbols()? {
        [symbol] => Symbol::int(*symbol),
        _ => None,
    }
}

/// The last `count` inputs of a node, none of which may be omitted.
pub(super) fn trailing_inputs(inputs: &[Option<ValueId>], count: usize) -> Result<Vec<ValueId>> {
    let start = inputs.len().checked_sub(count);
    let captures = start.and_then(|start| inputs[start..].iter().copied().collect::<Option<Vec<_>>>());
    captures.ok_or_else(|| Error::format("has fewer inputs than its body takes"))
}

pub(super) fn check_count(found: usize, wanted: usize) -> Result<()> {
    if found < wanted {
        return Err(Error::format(format!("has {wanted} outputs, but its body returns {found}")));
    }
    Ok(())
}

/// Identities from the values `from` to the outputs `to` that are not omitted.
pub(super) fn output_identities(name: &str, from: &[ValueId], to: &[Option<ValueId>]) -> Vec<Node> {
    let copies =
        from.iter().zip(to).enumerate().filter_map(|(index, (from, to))| Some((index, *from, (*to)?)));
    copies
        .map(|(index, from, to)| Node {
            name: format!("{name}/output_{index}"),
            op_type: "Identity".to_owned(),
            inputs: vec![Some(from)],
            outputs: vec![Some(to)],
            attributes: Attributes::default(),
        })
        .collect()
}
