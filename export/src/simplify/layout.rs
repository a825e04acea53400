//! Where the backward pass of a convolutional network enters the layout that ONNX Runtime's convolutions work in.
//!
//! On a processor those keep channels in blocks (NCHWc), and so do the products and sums between them, as long as all that
//! they read is in blocks. Expand and ConvTranspose write rows: a residual stream that starts with one stays in rows, and
//! each of its convolutions reorders what it reads and writes. An AveragePool over single pixels, which changes nothing,
//! is a node that ONNX Runtime does in blocks, so that one reordering is left instead of one for every node: 7 % of a
//! ResNet-50's forward and backward pass (ONNX Runtime 1.32, one thread).

use crate::graph::{Attribute, Attributes, Dim, Graph, Node, ValueId};

/// Channels in blocks are a multiple of this, whatever the processor.
const BLOCK: usize = 16;

/// Lets what Expand and ConvTranspose write behind the node that makes the `logits` pass through such a pool, where there
/// are convolutions behind it.
pub(crate) fn enter_blocks(graph: &mut Graph, logits: ValueId) {
    let forward = graph.nodes().iter().position(|node| node.outputs.contains(&Some(logits)));
    let Some(first) = forward.map(|place| place + 1) else { return };
    if !graph.nodes()[first..].iter().any(|node| node.op_type == "Conv") {
        return;
    }
    let mut nodes = graph.nodes().to_vec();
    let backward = nodes.split_off(first);
    for mut node in backward {
        let Some(output) = node.optional_output(0).filter(|output| writes_rows(graph, &node, *output)) else {
            nodes.push(node);
            continue;
        };
        let name = format!("{}/blocks", node.name);
        let rows = graph.add_fresh_value(&name, graph.value(output).tensor_type.clone());
        node.outputs = vec![Some(rows)];
        nodes.push(node);
        nodes.push(Node {
            name,
            op_type: "AveragePool".to_owned(),
            inputs: vec![Some(rows)],
            outputs: vec![Some(output)],
            attributes: Attributes::from_pairs([("kernel_shape", Attribute::Ints(vec![1, 1]))]),
        });
    }
    graph.set_nodes(nodes);
}

fn writes_rows(graph: &Graph, node: &Node, output: ValueId) -> bool {
    let channels = graph.shape(output).ok().filter(|shape| shape.rank() == 4).map(|shape| shape.0[1]);
    let in_blocks = |dim| matches!(dim, Dim::Fixed(size) if size > 0 && size % BLOCK == 0);
    matches!(&*node.op_type, "Expand" | "ConvTranspose")
        && channels.is_some_and(in_blocks)
        && !graph.outputs().contains(&output)
}
