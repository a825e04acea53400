//! Refuses outputs that were sorted or selected along the axis of the classes by what the images are.
//!
//! Position `k` of such an output is no class: TopK returns scores by falling size, so that position 0 always holds the
//! largest one and no attack could ever change the "class". The check follows the axis of the classes from the output
//! backwards, through everything that keeps a class at its position, up to the layer that makes the scores.

use std::collections::{HashMap, HashSet};

use super::input::not_a_classifier;
use crate::error::Result;
use crate::graph::{Dim, Graph, Node, NodeId, Shape, ValueId};
use crate::operators::reads_sizes_only;
use crate::operators::types::einsum::Equation;
use crate::tensor::Tensor;

/// Operators that make other classes of their channels, or none.
const LAYERS: [&str; 2] = ["Conv", "ConvTranspose"];

/// Operators whose inputs are broadcast.
const BROADCASTING: [&str; 21] = [
    "Add",
    "And",
    "BitwiseAnd",
    "BitwiseOr",
    "BitwiseXor",
    "Div",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Max",
    "Mean",
    "Min",
    "Mod",
    "Mul",
    "Or",
    "PRelu",
    "Pow",
    "Sub",
    "Sum",
];

/// Refuses a typed graph whose one output is sorted or selected along `axis`.
pub(super) fn check(graph: &Graph, output: ValueId, axis: usize) -> Result<()> {
    let walk = Walk { graph, producers: graph.producers(), varying: varying_values(graph) };
    let (mut worklist, mut seen) = (vec![(output, axis)], HashSet::new());
    while let Some(position) = worklist.pop() {
        if seen.insert(position) {
            worklist.extend(walk.before(position.0, position.1)?);
        }
    }
    Ok(())
}

/// The values that depend on pixels, not only on sizes.
fn varying_values(graph: &Graph) -> HashSet<ValueId> {
    let mut varying: HashSet<ValueId> = graph.inputs().iter().copied().collect();
    for node in graph.nodes().iter().filter(|node| !reads_sizes_only(node)) {
        if node.inputs.iter().flatten().any(|id| varying.contains(id)) {
            varying.extend(node.outputs.iter().flatten());
        }
    }
    varying
}

struct Walk<'g> {
    graph: &'g Graph,
    producers: HashMap<ValueId, NodeId>,
    varying: HashSet<ValueId>,
}

/// Positions of the axis of the classes in values before a node.
type Positions = Vec<(ValueId, usize)>;

impl Walk<'_> {
    /// Where the axis of the classes is before the node that makes `value`; nowhere if a layer makes the classes.
    fn before(&self, value: ValueId, axis: usize) -> Result<Positions> {
        let Some(producer) = self.producers.get(&value) else { return Ok(Vec::new()) };
        let node = self.graph.node(*producer);
        match node.op_type.as_str() {
            "TopK" => self.through_top_k(node, axis),
            "Gather" => self.through_gather(node, axis),
            "GatherElements" | "ScatterElements" => self.through_elements(node, axis),
            "GatherND" => self.through_gather_nd(node, axis),
            "ScatterND" => self.through_scatter_nd(node, axis),
            _ => Ok(self.through_others(node, value, axis).unwrap_or_default()),
        }
    }

    fn through_top_k(&self, node: &Node, axis: usize) -> Result<Positions> {
        let data = node.input(0)?;
        if self.graph.shape(data)?.axis(node.attributes.int("axis", -1)?)? == axis {
            return Err(sorted(node));
        }
        Ok(vec![(data, axis)])
    }

    fn through_gather(&self, node: &Node, axis: usize) -> Result<Positions> {
        let (data, indices) = (node.input(0)?, node.input(1)?);
        let along = self.graph.shape(data)?.axis(node.attributes.int("axis", 0)?)?;
        let index_rank = self.graph.shape(indices)?.rank();
        match axis {
            _ if axis < along => Ok(vec![(data, axis)]),
            _ if axis >= along + index_rank => Ok(vec![(data, axis + 1 - index_rank)]),
            _ if self.varying.contains(&indices) => Err(sorted(node)),
            _ => Ok(vec![(data, along)]),
        }
    }

    /// GatherElements and ScatterElements have the axes of their data.
    fn through_elements(&self, node: &Node, axis: usize) -> Result<Positions> {
        let (data, indices) = (node.input(0)?, node.input(1)?);
        let along = self.graph.shape(data)?.axis(node.attributes.int("axis", 0)?)?;
        if along == axis && self.varying.contains(&indices) {
            return Err(sorted(node));
        }
        Ok(std::iter::once(data).chain(node.optional_input(2)).map(|id| (id, axis)).collect())
    }

    fn through_gather_nd(&self, node: &Node, axis: usize) -> Result<Positions> {
        let (data, indices) = (node.input(0)?, node.input(1)?);
        let shared = usize::try_from(node.attributes.int("batch_dims", 0)?).unwrap_or_default();
        let shape = self.graph.shape(indices)?;
        let Some((Dim::Fixed(length), positions)) = shape.0.split_last() else { return Ok(Vec::new()) };
        match axis {
            _ if axis < shared => Ok(vec![(data, axis)]),
            _ if axis >= positions.len() => Ok(vec![(data, axis - positions.len() + shared + length)]),
            _ if self.varying.contains(&indices) => Err(sorted(node)),
            _ => Ok(Vec::new()),
        }
    }

    fn through_scatter_nd(&self, node: &Node, axis: usize) -> Result<Positions> {
        let (data, indices) = (node.input(0)?, node.input(1)?);
        let last = self.graph.shape(indices)?.0.last().and_then(|dim| dim.fixed());
        if last.is_none_or(|length| axis < length) && self.varying.contains(&indices) {
            return Err(sorted(node));
        }
        Ok(vec![(data, axis)])
    }

    /// Through a node that selects nothing; `None` where what is before it has no axis of the classes.
    fn through_others(&self, node: &Node, value: ValueId, axis: usize) -> Option<Positions> {
        let op_type = node.op_type.as_str();
        let first = node.optional_input(0)?;
        let (before, after) = (self.shape(first)?, self.shape(value)?);
        let same_axis = |id: ValueId| (id, axis);
        Some(match op_type {
            _ if LAYERS.contains(&op_type) => return None,
            _ if BROADCASTING.contains(&op_type) || op_type == "Where" => self.broadcast(node, after, axis),
            "MatMul" | "Gemm" => self.through_product(node, after, axis)?,
            "Einsum" => self.through_einsum(node, axis)?,
            "Transpose" => vec![(first, permuted(node, after, axis)?)],
            "Concat" => node.inputs.iter().flatten().copied().map(same_axis).collect(),
            "OneHot" => {
                let depth = after.axis(node.attributes.int("axis", -1).ok()?).ok()?;
                vec![(first, if axis < depth { axis } else { axis.checked_sub(1).filter(|_| axis > depth)? })]
            }
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => {
                vec![(first, same_place(before, after, axis)?)]
            }
            _ if op_type.starts_with("Reduce") || op_type.starts_with("Arg") => {
                vec![(first, self.before_reduction(node, before, axis)?)]
            }
            "Expand" => self.broadcast(node, after, axis),
            "Slice" | "Pad" | "Split" => vec![same_axis(first)],
            _ => (before.rank() == after.rank() && before.0.get(axis) == after.0.get(axis))
                .then(|| vec![same_axis(first)])?,
        })
    }

    fn shape(&self, id: ValueId) -> Option<&Shape> {
        self.graph.shape(id).ok()
    }

    /// The inputs that have the axis, counted from the last one.
    fn broadcast(&self, node: &Node, after: &Shape, axis: usize) -> Positions {
        let position = |id: ValueId| {
            let shape = self.shape(id)?;
            let own = (axis + shape.rank()).checked_sub(after.rank())?;
            (shape.0[own] == after.0[axis]).then_some((id, own))
        };
        node.inputs.iter().flatten().filter_map(|id| position(*id)).collect()
    }

    /// Columns of a product are those of the right matrix, rows those of the left one.
    fn through_product(&self, node: &Node, after: &Shape, axis: usize) -> Option<Positions> {
        let turned = |name: &str| node.attributes.int(name, 0).is_ok_and(|flag| flag != 0);
        let from_last = after.rank().checked_sub(axis + 1)?;
        let (side, is_turned) = match from_last {
            0 => (node.optional_input(1)?, turned("transB")),
            1 => (node.optional_input(0)?, turned("transA")),
            _ => return Some(self.broadcast(node, after, axis)),
        };
        let from_last = if is_turned { 1 - from_last } else { from_last };
        Some(vec![(side, self.shape(side)?.rank().checked_sub(from_last + 1)?)])
    }

    fn through_einsum(&self, node: &Node, axis: usize) -> Option<Positions> {
        let operands: Vec<ValueId> = node.inputs.iter().flatten().copied().collect();
        let shapes: Vec<&Shape> = operands.iter().map(|id| self.shape(*id)).collect::<Option<_>>()?;
        let equation = Equation::parse(node.attributes.text("equation", "").ok()?, &shapes).ok()?;
        let letter = equation.output.get(axis)?;
        let position = |labels: &Vec<char>| labels.iter().position(|label| label == letter);
        let operands = operands.into_iter().zip(&equation.operands);
        Some(operands.filter_map(|(id, labels)| Some((id, position(labels)?))).collect())
    }

    /// The axis before axes were reduced away.
    fn before_reduction(&self, node: &Node, before: &Shape, axis: usize) -> Option<usize> {
        if node.attributes.int("keepdims", 1).ok()? != 0 {
            return Some(axis);
        }
        let axes = match node.optional_input(1) {
            Some(axes) => self.graph.constant(axes).and_then(Tensor::to_i64)?,
            None => vec![node.attributes.int("axis", 0).ok()?],
        };
        let reduced: HashSet<usize> =
            axes.into_iter().map(|axis| before.axis(axis).ok()).collect::<Option<_>>()?;
        (0..before.rank()).filter(|axis| !reduced.contains(axis)).nth(axis)
    }
}

/// The axis before a Transpose.
fn permuted(node: &Node, after: &Shape, axis: usize) -> Option<usize> {
    match node.attributes.ints("perm").ok()? {
        Some(perm) => usize::try_from(*perm.get(axis)?).ok(),
        None => after.rank().checked_sub(axis + 1),
    }
}

/// The axis of the same length with as many elements before it, in another shape of the same elements.
fn same_place(before: &Shape, after: &Shape, axis: usize) -> Option<usize> {
    let outer = |shape: &Shape, axis: usize| Shape(shape.0[..axis].to_vec()).elements();
    let (length, place) = (after.0.get(axis)?, outer(after, axis)?);
    (0..before.rank()).find(|axis| before.0[*axis] == *length && outer(before, *axis) == Some(place))
}

fn sorted(node: &Node) -> crate::error::Error {
    not_a_classifier(
        "sorts or selects the scores of the classes by what the image is, so that a position of the output is no \
         class: export the model without this node, or choose another output that has one score for each class with \
         --output NAME"
            .to_owned(),
    )
    .at_node(node)
}
