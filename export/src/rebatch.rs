//! Opens the batch of a file that was exported for one image.
//!
//! The input's first dimension becomes `N`, and constant Reshape targets that spell out a batch of one get an open first
//! dimension: the batch is outermost, so it is the first dimension that absorbs it. Whether the result is right is not
//! known here. Inference must still find an output `[N, K]`, and the runtime compares both graphs on images.

use std::collections::HashSet;

use crate::graph::{Dim, Graph, Node, NodeId, TensorType, ValueId};
use crate::tensor::Tensor;

/// A copy of the graph whose `input`, fixed at one image, takes any number.
pub(crate) fn open_batch(graph: &Graph, input: ValueId, input_type: &TensorType) -> Graph {
    let mut opened = graph.clone();
    let mut open_type = input_type.clone();
    open_type.shape.0[0] = Dim::N;
    opened.set_type(input, open_type);
    let from_images = reachable(&opened, input);
    for index in 0..opened.nodes().len() {
        let id = NodeId(index as u32);
        if let Some(target) = opened_target(&opened, opened.node(id), &from_images) {
            let base = format!("{}/target", opened.node(id).name);
            let target = opened.add_constant(&base, Tensor::vector_i64(&target));
            opened.node_mut(id).inputs[1] = Some(target);
        }
    }
    opened
}

/// All values that depend on `input`.
fn reachable(graph: &Graph, input: ValueId) -> HashSet<ValueId> {
    let mut reached = HashSet::from([input]);
    for node in graph.nodes() {
        if node.inputs.iter().flatten().any(|id| reached.contains(id)) {
            reached.extend(node.outputs.iter().flatten());
        }
    }
    reached
}

/// The target of a Reshape of image data with its first dimension open, where it is a fixed number.
fn opened_target(graph: &Graph, node: &Node, from_images: &HashSet<ValueId>) -> Option<Vec<i64>> {
    let (data, target) = (node.optional_input(0)?, node.optional_input(1)?);
    if node.op_type != "Reshape" || !from_images.contains(&data) {
        return None;
    }
    let mut target = graph.constant(target)?.to_i64()?;
    let open_elsewhere = target.contains(&-1);
    let first = target.first_mut().filter(|first| **first > 0)?;
    match (open_elsewhere, *first) {
        (false, _) => *first = -1,
        // Zero copies the first dimension of the data.
        (true, 1) => *first = 0,
        (true, _) => return None,
    }
    Some(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{add, parse, push};

    /// What `open_batch` makes of one Reshape with that target, of the input or of a constant.
    fn target_after(target: &str, data: &str) -> Vec<i64> {
        let mut graph = Graph::new("test", 13);
        let input = add(&mut graph, "f32[1,2,4]").unwrap();
        let data = if data.is_empty() { input } else { add(&mut graph, data).unwrap() };
        let target = add(&mut graph, target).unwrap();
        let output = push(&mut graph, "Reshape", &[data, target], "");
        graph.add_output(output);
        let opened = open_batch(&graph, input, &parse("f32[1,2,4]"));
        assert_eq!(opened.shape(input).unwrap().to_string(), "[N, 2, 4]");
        let target = opened.nodes()[0].inputs[1].unwrap();
        opened.constant(target).unwrap().to_i64().unwrap()
    }

    #[test]
    fn targets_of_image_data_get_an_open_first_dimension() {
        let cases: [(&str, &str, &[i64]); 6] = [
            ("=[1,8]", "", &[-1, 8]),
            ("=[1,-1]", "", &[0, -1]),
            ("=[2,4]", "", &[-1, 4]),
            ("=[-1,8]", "", &[-1, 8]),
            ("=[2,-1]", "", &[2, -1]),
            ("=[1,8]", "#[2,4]", &[1, 8]),
        ];
        for (target, data, wanted) in cases {
            assert_eq!(target_after(target, data), wanted, "{target} of {data:?}");
        }
    }
}
