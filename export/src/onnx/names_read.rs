//! The names that a node reads.

use super::proto::NodeProto;

/// Everything that a node or a body of it reads by name.
pub(super) fn names_read(node: &NodeProto) -> Box<dyn Iterator<Item = &str> + '_> {
    let inputs = node.input.iter().filter(|name| !name.is_empty()).map(String::as_str);
    let bodies = node.attribute.iter().filter_map(|attribute| attribute.g.as_ref());
    let inner = bodies.flat_map(|body| {
        let outputs = body.output.iter().map(super::proto::ValueInfoProto::name);
        outputs.chain(body.node.iter().flat_map(names_read))
    });
    Box::new(inputs.chain(inner))
}
