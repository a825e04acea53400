//! Bodies of If and Loop: graphs that may name any value of the graphs around them.

use std::collections::{HashMap, HashSet};

use crate::error::Error;
use crate::graph::{Shape, Subgraph, TensorType, ValueId};
use crate::tensor::DataType;

/// A body, and the values of the enclosing graph that it captures.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) subgraph: Subgraph,
    pub(super) outer: Vec<ValueId>,
}

impl Body {
    /// Gives the iteration number and the condition of a Loop their types, without which ONNX Runtime refuses the body.
    pub(super) fn type_leading(&mut self) {
        let leading = self.subgraph.parameters().to_vec();
        for (id, dtype) in leading.into_iter().zip([DataType::Int64, DataType::Bool]) {
            self.subgraph.graph.set_type(id, TensorType { dtype, shape: Shape::default() });
        }
    }
}

/// Gives the bodies of one node the same captures, in the same order, and returns those.
pub(super) fn share_captures(bodies: &mut [Body]) -> Vec<ValueId> {
    let mut seen = HashSet::new();
    let all = bodies.iter().flat_map(|body| body.outer.iter().copied());
    let shared: Vec<ValueId> = all.filter(|id| seen.insert(*id)).collect();
    for Body { subgraph, outer } in bodies {
        let parameters = subgraph.parameters().len();
        let own: HashMap<ValueId, ValueId> =
            outer.iter().copied().zip(subgraph.captured().iter().copied()).collect();
        let mut inputs = subgraph.graph.inputs()[..parameters].to_vec();
        for id in &shared {
            let inner = own.get(id).copied();
            inputs.push(inner.unwrap_or_else(|| subgraph.graph.add_fresh_value("unused", None)));
        }
        subgraph.graph.set_inputs(inputs);
        subgraph.captures = shared.len();
    }
    shared
}

/// The error for a subgraph in an operator that is not supported.
pub(super) fn refuse(op_type: &str, attribute: &str) -> Error {
    Error::unsupported(match op_type {
        "Scan" => {
            "a Scan is not supported: export the model with the loop unrolled (in PyTorch, a plain loop in \
                   Python under `torch.onnx.export` is)"
                .to_owned()
        }
        "SequenceMap" => {
            "sequences of tensors are not supported: export the model with tensors of a fixed number \
                          instead of lists"
                .to_owned()
        }
        _ => format!(
            "attribute `{attribute}` is a subgraph, which only If and Loop may have: export without custom control flow"
        ),
    })
}
