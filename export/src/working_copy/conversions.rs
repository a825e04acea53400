//! CastLike as Cast: what gives only its type is then no input.
//!
//! Passes that follow values, and the gradient, would take the second input of CastLike for one that its output depends on.

use crate::error::Result;
use crate::graph::{Attribute, Attributes, Graph, NodeId};

/// Replaces each of a typed graph.
pub(super) fn state_types(graph: &mut Graph) -> Result<()> {
    for index in 0..graph.nodes().len() {
        let id = NodeId(index as u32);
        if graph.node(id).op_type == "CastLike" {
            let to = graph.tensor_type(graph.node(id).output(0)?)?.dtype;
            let node = graph.node_mut(id);
            node.op_type = "Cast".to_owned();
            node.inputs.truncate(1);
            node.attributes = Attributes::from_pairs([("to", Attribute::Int(to as i64))]);
        }
    }
    Ok(())
}
