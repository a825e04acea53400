//! Makes the backward pass of a convolutional network enter ONNX Runtime's blocked layout (NCHWc) once, at its start.
//!
//! On a CPU, ONNX Runtime's convolutions work on blocks of channels (NCHWc). So do the Mul and Add nodes between them,
//! as long as all their inputs are blocked. Expand and ConvTranspose write plain NCHW: a residual stream that starts
//! with one of them stays in NCHW, and each of its convolutions converts its input and its output. An AveragePool with
//! a 1 × 1 kernel changes no value, but ONNX Runtime runs it in the blocked layout. One conversion remains instead of
//! one a convolution, which saves 7 % of the forward and backward pass of a ResNet-50 (ONNX Runtime 1.32, one thread).

use crate::graph::{Attribute, Attributes, Dim, Graph, Node, ValueId};

/// The blocked layout is used if the number of channels is a multiple of this, the largest block of any CPU.
const BLOCK: usize = 16;

/// Adds such an AveragePool after each Expand and ConvTranspose of the backward pass, the nodes after the one that
/// computes the `logits`. Does nothing if the backward pass has no Conv.
pub(crate) fn enter_blocked_layout(graph: &mut Graph, logits: ValueId) {
    let forward = graph.nodes().iter().position(|node| node.outputs.contains(&Some(logits)));
    let Some(first) = forward.map(|position| position + 1) else { return };
    if !graph.nodes()[first..].iter().any(|node| node.op_type == "Conv") {
        return;
    }
    let mut nodes = graph.nodes().to_vec();
    let backward = nodes.split_off(first);
    for mut node in backward {
        let Some(output) =
            node.optional_output(0).filter(|output| writes_plain_layout(graph, &node, *output))
        else {
            nodes.push(node);
            continue;
        };
        let name = format!("{}/blocks", node.name);
        let plain = graph.add_fresh_value(&name, graph.value(output).tensor_type.clone());
        node.outputs = vec![Some(plain)];
        nodes.push(node);
        nodes.push(Node {
            name,
            op_type: "AveragePool".to_owned(),
            inputs: vec![Some(plain)],
            outputs: vec![Some(output)],
            attributes: Attributes::from_pairs([("kernel_shape", Attribute::Ints(vec![1, 1]))]),
        });
    }
    graph.set_nodes(nodes);
}

fn writes_plain_layout(graph: &Graph, node: &Node, output: ValueId) -> bool {
    let channels = graph.shape(output).ok().filter(|shape| shape.rank() == 4).map(|shape| shape.0[1]);
    let is_blocked = |dim| matches!(dim, Dim::Fixed(size) if size > 0 && size % BLOCK == 0);
    matches!(&*node.op_type, "Expand" | "ConvTranspose")
        && channels.is_some_and(is_blocked)
        && !graph.outputs().contains(&output)
}
