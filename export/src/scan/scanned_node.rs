//! Nodes in reports.

use mimir_bundle::ScannedNode;

use crate::graph::Node;

/// The node as a report names it.
pub(crate) fn scanned_node(node: &Node) -> ScannedNode {
    ScannedNode { name: node.name.clone(), operator: node.op_type.clone() }
}
