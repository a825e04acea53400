//! Tensors between the images and the scores: which there are, and one of them as rows, an image each.

use std::collections::{HashMap, HashSet};

use crate::autodiff::{carrying_values, needed_values};
use crate::error::{Error, Result};
use crate::graph::{Attribute, Builder, Dim, Graph, Node, NodeId, Shape, ValueId};
use crate::operators::batch::effect::{BatchAxis, batch_axis};
use crate::scan;
use crate::tensor::DataType;

/// Operators whose output has the values of their input, at other places at most.
const VIEWS: [&str; 8] =
    ["Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"];

/// Operators that are linear maps where one input depends on the images.
const LINEAR: [&str; 4] = ["Conv", "ConvTranspose", "Gemm", "MatMul"];

/// Nodes of a residual branch that are looked at, at most: a branch of this many is none.
const LONGEST_BRANCH: usize = 1000;

/// A tensor of a file between the images and the scores: attacks on features can move its values.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureCandidate {
    /// Its name in the file.
    pub name: String,
    /// The operator that makes it.
    pub operator: String,
    /// Its shape for one image.
    pub shape: Vec<usize>,
    /// Share of the nodes between images and scores that are done when it is: above 0, 1 for the scores themselves.
    pub depth: f64,
    /// What it is.
    pub place: FeaturePlace,
}

/// What a tensor inside a network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeaturePlace {
    /// Nothing in particular.
    Inner,
    /// The sum at the end of a residual block, such as a block of a Vision Transformer or of a ResNet.
    BlockOutput,
    /// What the last linear layer reads.
    Penultimate,
}

impl FeatureCandidate {
    /// Its values for one image.
    pub fn values(&self) -> usize {
        self.shape.iter().product()
    }
}

/// The tensors of a typed working copy that can be features, in the order of the graph. `is_of_file` says which names the
/// file has, and `batch` is its batch dimension.
pub(super) fn candidates(
    copy: &Graph,
    is_of_file: impl Fn(&str) -> bool,
    batch: Dim,
) -> Result<Vec<FeatureCandidate>> {
    let Some(images) = copy.inputs().first() else { return Ok(Vec::new()) };
    let carrying = carrying_values(copy, *images)?;
    let needed = needed_values(copy, &copy.outputs()[..copy.outputs().len().min(1)]);
    let is_between = |id: &ValueId| carrying.contains(id) && needed.contains(id);
    let path: Vec<&Node> =
        copy.nodes().iter().filter(|node| node.outputs.iter().flatten().any(is_between)).collect();
    let network = Network { graph: copy, producers: copy.producers(), carrying: &carrying };
    let (blocks, penultimate) = (network.block_outputs(&path), network.penultimate());
    let axes = axes(copy, batch)?;
    let mut found = Vec::new();
    for (position, node) in
        path.iter().enumerate().filter(|(_, node)| !VIEWS.contains(&node.op_type.as_str()))
    {
        for output in node.outputs.iter().flatten().filter(|id| is_between(id)) {
            let tensor_type = copy.tensor_type(*output)?;
            let name = &copy.value(*output).name;
            let rows = Rows::of(&tensor_type.shape, batch, axes.get(output).copied());
            let shape = rows.and_then(|rows| rows.shape_of_one(&tensor_type.shape));
            let (Some(shape), DataType::Float32) = (shape, tensor_type.dtype) else { continue };
            if copy.outputs().contains(output) || !is_of_file(name) || shape.contains(&0) {
                continue;
            }
            found.push(FeatureCandidate {
                name: name.clone(),
                operator: node.op_type.clone(),
                shape,
                depth: (position + 1) as f64 / path.len() as f64,
                place: match (penultimate == Some(*output), blocks.contains(output)) {
                    (true, _) => FeaturePlace::Penultimate,
                    (false, true) => FeaturePlace::BlockOutput,
                    (false, false) => FeaturePlace::Inner,
                },
            });
        }
    }
    Ok(found)
}

/// Values as `[N, F]`: appends what brings the images of a batch to the front.
///
/// # Errors
/// When it is not known where the images are in one, or it has no values.
pub(super) fn as_rows(graph: &mut Graph, values: &[ValueId], batch: Dim) -> Result<Vec<ValueId>> {
    let axes = axes(graph, batch)?;
    values.iter().map(|value| one_as_rows(graph, *value, batch, axes.get(value).copied())).collect()
}

fn one_as_rows(graph: &mut Graph, value: ValueId, batch: Dim, axis: Option<BatchAxis>) -> Result<ValueId> {
    let shape = graph.shape(value)?.clone();
    let rows = Rows::of(&shape, batch, axis);
    let count = rows.and_then(|rows| rows.shape_of_one(&shape)).map(|one| one.iter().product::<usize>());
    let (Some(rows), Some(count @ 1..)) = (rows, count) else {
        return Err(Error::unsupported(format!(
            "is {shape}, and it is not known which of its values are whose: features need a dimension of the images, \
             or one image a call"
        ))
        .at_tensor(graph.value(value).name.clone()));
    };
    let count = count as i64;
    let mut builder = Builder::new(graph, "features");
    match rows {
        Rows::All => reshape(&mut builder, value, &[1, count]),
        Rows::First(images) => reshape(&mut builder, value, &[images as i64, count]),
        Rows::Axis(BatchAxis { axis: 0, inner: 1 }) if shape.0[0] == Dim::N => {
            reshape(&mut builder, value, &[-1, count])
        }
        Rows::Axis(BatchAxis { axis, inner }) => {
            // [.., outer · N · inner, ..] → [.., outer, N, inner, ..] → [N, .., outer, inner, ..] → [N, F]
            let factor = rows.factor(&shape).unwrap_or(1);
            let size = |dim: &Dim| dim.fixed().map_or(-1, |size| size as i64);
            let mut split: Vec<i64> = shape.0[..axis].iter().map(size).collect();
            split.extend([(factor / inner) as i64, -1, inner as i64]);
            split.extend(shape.0[axis + 1..].iter().map(size));
            let images = axis + 1;
            let others = (0..split.len()).filter(|axis| *axis != images).map(|axis| axis as i64);
            let order: Vec<i64> = std::iter::once(images as i64).chain(others).collect();
            let split = reshape(&mut builder, value, &split)?;
            let in_front = builder.op_with("Transpose", &[split], [("perm", Attribute::Ints(order))])?;
            reshape(&mut builder, in_front, &[-1, count])
        }
    }
}

fn reshape(builder: &mut Builder<'_>, value: ValueId, target: &[i64]) -> Result<ValueId> {
    let target = builder.ints(target);
    builder.op("Reshape", &[value, target])
}

/// Where the batch is in each value; nothing of a graph with a fixed batch.
fn axes(graph: &Graph, batch: Dim) -> Result<HashMap<ValueId, BatchAxis>> {
    match batch {
        Dim::Batch(_) => Ok(scan::batch(graph)?.axes),
        Dim::Fixed(_) => Ok(HashMap::new()),
    }
}

/// Where the images of a batch are in a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// There is one image, and all values are of it.
    All,
    /// In the first dimension, a fixed number of them.
    First(usize),
    /// In a dimension that follows the batch.
    Axis(BatchAxis),
}

impl Rows {
    /// In a value of that shape; `axis` is what the analysis of the batch knows of it.
    fn of(shape: &Shape, batch: Dim, axis: Option<BatchAxis>) -> Option<Self> {
        match batch {
            Dim::Fixed(1) => Some(Self::All),
            Dim::Fixed(images) => {
                (shape.0.first() == Some(&Dim::Fixed(images))).then_some(Self::First(images))
            }
            Dim::Batch(_) => {
                let only = batch_axis(shape)?;
                // Behind an operator whose effect is not known, a first dimension of `N` is that of the images.
                let first = || (only == 0 && shape.0[0] == Dim::N).then_some(BatchAxis { axis: 0, inner: 1 });
                axis.filter(|known| known.axis == only).or_else(first).map(Self::Axis)
            }
        }
    }

    /// `outer · inner` of a dimension `outer · N · inner`; none where they do not divide it.
    fn factor(self, shape: &Shape) -> Option<usize> {
        let Self::Axis(BatchAxis { axis, inner }) = self else { return None };
        match shape.0.get(axis)? {
            Dim::Batch(factor) if inner > 0 && factor.is_multiple_of(inner) => Some(*factor),
            _ => None,
        }
    }

    /// The shape without the images; none on overflow.
    fn shape_of_one(self, shape: &Shape) -> Option<Vec<usize>> {
        let fixed = |dims: &[Dim]| dims.iter().map(|dim| dim.fixed()).collect::<Option<Vec<usize>>>();
        let one = match self {
            Self::All => match fixed(&shape.0)?.split_first() {
                Some((1, rest)) if !rest.is_empty() => rest.to_vec(),
                _ => fixed(&shape.0)?,
            },
            Self::First(_) => fixed(&shape.0[1..])?,
            Self::Axis(BatchAxis { axis, .. }) => {
                let factor = self.factor(shape)?;
                let mut one = fixed(&shape.0[..axis])?;
                one.extend((factor > 1).then_some(factor));
                one.extend(fixed(&shape.0[axis + 1..])?);
                one
            }
        };
        one.iter().try_fold(1_usize, |values, size| values.checked_mul(*size)).map(|_| one)
    }
}

/// A graph, read backwards.
struct Network<'g> {
    graph: &'g Graph,
    producers: HashMap<ValueId, NodeId>,
    /// Values that depend on the images.
    carrying: &'g HashSet<ValueId>,
}

impl Network<'_> {
    /// The inputs of a node that depend on the images, each once.
    fn inputs(&self, node: &Node) -> Vec<ValueId> {
        let mut inputs: Vec<ValueId> =
            node.inputs.iter().flatten().copied().filter(|id| self.carrying.contains(id)).collect();
        inputs.dedup();
        inputs
    }

    /// Whether the node multiplies by weights.
    fn is_layer(&self, node: &Node) -> bool {
        LINEAR.contains(&node.op_type.as_str()) && self.inputs(node).len() == 1
    }

    /// What the last linear layer reads, before operators that only move values.
    fn penultimate(&self) -> Option<ValueId> {
        let mut value = *self.graph.outputs().first()?;
        let mut is_behind_layer = false;
        loop {
            let node = self.graph.node(*self.producers.get(&value)?);
            if is_behind_layer && !VIEWS.contains(&node.op_type.as_str()) {
                return Some(value);
            }
            let [input] = self.inputs(node)[..] else { return None };
            is_behind_layer |= self.is_layer(node);
            value = input;
        }
    }

    /// Sums of two values one of which went through a layer and no Softmax beside the other: the ends of residual blocks. In a
    /// Vision Transformer those of its second half, after the attention.
    fn block_outputs(&self, path: &[&Node]) -> HashSet<ValueId> {
        let (mut sums, mut ends) = (HashSet::new(), HashSet::new());
        for node in path.iter().filter(|node| node.op_type == "Add") {
            let ([left, right], Some(output)) = (&self.inputs(node)[..], node.optional_output(0)) else {
                continue;
            };
            let (left, right) = (self.behind(*left, &sums), self.behind(*right, &sums));
            let (Some(left), Some(right)) = (left, right) else { continue };
            let branches: Vec<&Node> =
                left.symmetric_difference(&right).map(|id| self.graph.node(*id)).collect();
            if branches.iter().any(|node| self.is_layer(node)) {
                sums.insert(output);
                if !branches.iter().any(|node| node.op_type == "Softmax") {
                    ends.insert(output);
                }
            }
        }
        ends
    }

    /// The nodes that a value is made by, back to the last sums; none where they are too many.
    fn behind(&self, value: ValueId, sums: &HashSet<ValueId>) -> Option<HashSet<NodeId>> {
        let (mut found, mut open) = (HashSet::new(), vec![value]);
        while let Some(value) = open.pop() {
            if sums.contains(&value) {
                continue;
            }
            if let Some(id) = self.producers.get(&value)
                && found.insert(*id)
            {
                open.extend(self.inputs(self.graph.node(*id)));
            }
            if found.len() > LONGEST_BRANCH {
                return None;
            }
        }
        Some(found)
    }
}
