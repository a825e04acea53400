//! A Reshape that a rewrite inserts.

use crate::graph::{Attributes, Graph, Node, Shape, TensorType, ValueId};
use crate::tensor::Tensor;

/// A Reshape of `input` to `shape`; its output is a new value of that type. `None` if a dimension is 0, or if two
/// dimensions depend on the batch.
pub(super) fn reshape_node(graph: &mut Graph, name: &str, input: ValueId, shape: &Shape) -> Option<Node> {
    let dtype = graph.tensor_type(input).ok()?.dtype;
    let empty = shape.0.iter().any(|dim| dim.fixed() == Some(0));
    let target = shape.reshape_target().ok().filter(|_| !empty)?;
    let target = graph.add_constant(&format!("{name}/target"), Tensor::vector_i64(&target));
    let output = graph.add_fresh_value(name, Some(TensorType { dtype, shape: shape.clone() }));
    Some(Node {
        name: graph.value(output).name.clone(),
        op_type: "Reshape".to_owned(),
        inputs: vec![Some(input), Some(target)],
        outputs: vec![Some(output)],
        attributes: Attributes::default(),
    })
}
