//! Makes the batch of a file dynamic that was exported for a fixed number of images.
//!
//! The input's first dimension becomes `N`, and constant Reshape targets that state the batch get a dynamic first
//! dimension: the batch is the outermost axis, so it is part of the first dimension. Whether the result is right is not
//! known here. Inference must still find an output `[N, K]`, and the runtime compares both graphs on images.

use std::collections::HashSet;

use crate::graph::{Dim, Graph, Node, NodeId, TensorType, ValueId};
use crate::tensor::Tensor;

/// A copy of the graph whose `input`, fixed at `rows` images, takes any number of images.
pub(crate) fn with_dynamic_batch(
    graph: &Graph,
    input: ValueId,
    input_type: &TensorType,
    rows: usize,
) -> Graph {
    let mut dynamic = graph.clone();
    let mut dynamic_type = input_type.clone();
    dynamic_type.shape.0[0] = Dim::N;
    dynamic.set_type(input, dynamic_type);
    let image_dependent = reachable(&dynamic, input);
    for index in 0..dynamic.nodes().len() {
        let id = NodeId(index as u32);
        if let Some(target) = dynamic_target(&dynamic, dynamic.node(id), &image_dependent, rows) {
            let base = format!("{}/target", dynamic.node(id).name);
            let target = dynamic.add_constant(&base, Tensor::vector_i64(&target));
            dynamic.node_mut(id).inputs[1] = Some(target);
        }
    }
    dynamic
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

/// The target of a Reshape of image data with a dynamic first dimension, if that is a multiple of the batch.
fn dynamic_target(
    graph: &Graph,
    node: &Node,
    image_dependent: &HashSet<ValueId>,
    rows: usize,
) -> Option<Vec<i64>> {
    let (data, target) = (node.optional_input(0)?, node.optional_input(1)?);
    if node.op_type != "Reshape" || !image_dependent.contains(&data) {
        return None;
    }
    let mut target = graph.constant(target)?.to_i64()?;
    let has_dynamic = target.contains(&-1);
    let rows = rows as i64;
    let first = target.first_mut().filter(|first| **first > 0 && **first % rows == 0)?;
    match has_dynamic {
        false => *first = -1,
        // Zero copies the first dimension of the data.
        true if *first == rows => *first = 0,
        true => return None,
    }
    Some(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{add, parse, push};

    /// What `with_dynamic_batch` makes of one Reshape with that target, of the input or of a constant.
    fn target_after(rows: usize, target: &str, data: &str) -> Vec<i64> {
        let mut graph = Graph::new("test", 13);
        let input_type = format!("f32[{rows},2,4]");
        let input = add(&mut graph, &input_type).unwrap();
        let data = if data.is_empty() { input } else { add(&mut graph, data).unwrap() };
        let target = add(&mut graph, target).unwrap();
        let output = push(&mut graph, "Reshape", &[data, target], "");
        graph.add_output(output);
        let dynamic = with_dynamic_batch(&graph, input, &parse(&input_type), rows);
        assert_eq!(dynamic.shape(input).unwrap().to_string(), "[N, 2, 4]");
        let target = dynamic.nodes()[0].inputs[1].unwrap();
        dynamic.constant(target).unwrap().to_i64().unwrap()
    }

    #[test]
    fn targets_of_image_data_get_an_open_first_dimension() {
        let cases: [(usize, &str, &str, &[i64]); 10] = [
            (1, "=[1,8]", "", &[-1, 8]),
            (1, "=[1,-1]", "", &[0, -1]),
            (1, "=[2,4]", "", &[-1, 4]),
            (1, "=[-1,8]", "", &[-1, 8]),
            (1, "=[2,-1]", "", &[2, -1]),
            (1, "=[1,8]", "#[2,4]", &[1, 8]),
            (4, "=[4,-1]", "", &[0, -1]),
            (4, "=[8,4]", "", &[-1, 4]),
            (4, "=[2,16]", "", &[2, 16]),
            (4, "=[8,-1]", "", &[8, -1]),
        ];
        for (rows, target, data, wanted) in cases {
            assert_eq!(target_after(rows, target, data), wanted, "{rows}: {target} of {data:?}");
        }
    }
}
