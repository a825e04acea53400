//! Moves Shape to the earliest tensor of the same shape.

use crate::graph::{Graph, NodeId, ValueId};

/// Makes every Shape read the earliest tensor of that shape, so that nothing is computed for its size alone. For
/// example the class token is expanded to the batch size of the normalised images, which is that of the input images.
pub(super) fn read_earliest(graph: &mut Graph) {
    let producers = graph.producers();
    for index in 0..graph.nodes().len() {
        let id = NodeId(index as u32);
        if graph.node(id).op_type != "Shape" {
            continue;
        }
        let Some(mut source) = graph.node(id).optional_input(0) else { continue };
        while let Some(earlier) =
            producers.get(&source).and_then(|producer| input_of_equal_shape(graph, *producer, source))
        {
            source = earlier;
        }
        graph.node_mut(id).inputs[0] = Some(source);
    }
}

fn input_of_equal_shape(graph: &Graph, producer: NodeId, value: ValueId) -> Option<ValueId> {
    let wanted = graph.shape(value).ok()?;
    let inputs = graph.node(producer).inputs.iter().flatten();
    inputs.copied().find(|input| graph.constant(*input).is_none() && graph.shape(*input).ok() == Some(wanted))
}
