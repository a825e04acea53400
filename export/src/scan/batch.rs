//! Whether the images of a batch stay independent of each other.
//!
//! A dataflow analysis follows each value that depends on pixels, with the batch axis in it. An axis of size `k·N` holds
//! `outer · N · inner` elements in row-major order: `[N·heads, T, d]` has `inner = heads`, and with a Transpose before the
//! Reshape it has `outer = heads`. Operators that work along other axes keep images independent; one that reduces,
//! normalises or multiplies along the batch mixes them. For operators that the table does not know the result is unknown.

use std::collections::{HashMap, HashSet};

use mimir_bundle::ScannedNode;

use super::scanned_node::scanned_node;
use crate::error::Result;
use crate::facts::{Known, LARGEST_FOLLOWED, NodeView};
use crate::graph::{Dim, Graph, Node, Shape, ValueId};
use crate::operators::types::{axis_ranges, permutation};

/// The result of the analysis.
#[derive(Debug, Default)]
pub(crate) struct BatchAnalysis {
    /// Nodes through which images of a batch influence each other.
    pub(crate) mixing: Vec<ScannedNode>,
    /// Whether the effect of some node is not known.
    pub(crate) is_unknown: bool,
}

/// Where the batch is in a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct BatchAxis {
    /// The axis of size `outer · N · inner`.
    axis: usize,
    inner: usize,
}

/// The effect of one operator on the images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// They stay independent; this is the batch axis of the outputs.
    Independent(BatchAxis),
    /// They influence each other.
    Mixed,
    /// Not known.
    Unknown,
}

/// Follows the images through a typed graph whose first input is `[N, …]`.
pub(super) fn trace(graph: &Graph) -> Result<BatchAnalysis> {
    let mut analysis = BatchAnalysis::default();
    let Some(images) = graph.inputs().first() else { return Ok(analysis) };
    let mut batch_axes = HashMap::from([(*images, BatchAxis { axis: 0, inner: 1 })]);
    // Values that depend on mixed or unknown values are not analysed again.
    let mut excluded: HashSet<ValueId> = HashSet::new();
    let known = Known::new(LARGEST_FOLLOWED);
    for node in graph.nodes().iter().filter(|node| !reads_sizes_only(node)) {
        let depends = |id: &ValueId| batch_axes.contains_key(id) || excluded.contains(id);
        if !node.inputs.iter().flatten().any(depends) {
            continue;
        }
        let outputs = || node.outputs.iter().flatten().copied();
        if node.inputs.iter().flatten().any(|id| excluded.contains(id)) {
            excluded.extend(outputs());
            continue;
        }
        let effect =
            NodeAnalysis { view: NodeView { graph, node, known: &known }, batch_axes: &batch_axes }.effect();
        match effect {
            Effect::Independent(batch) => {
                for output in outputs() {
                    batch_axes.insert(output, batch);
                }
            }
            Effect::Mixed => {
                analysis.mixing.push(scanned_node(node));
                excluded.extend(outputs());
            }
            Effect::Unknown => {
                analysis.is_unknown = true;
                excluded.extend(outputs());
            }
        }
    }
    Ok(analysis)
}

/// Whether the operator depends on the shape of its input only, not on pixels.
fn reads_sizes_only(node: &Node) -> bool {
    let operators = ["Shape", "Size", "ConstantOfShape", "EyeLike", "RandomNormalLike", "RandomUniformLike"];
    operators.contains(&node.op_type.as_str())
}

/// The axis that depends on the batch, where there is exactly one.
fn batch_axis(shape: &Shape) -> Option<usize> {
    let mut axes = (0..shape.rank()).filter(|axis| shape.0[*axis].fixed().is_none());
    axes.next().filter(|_| axes.next().is_none())
}

struct NodeAnalysis<'a> {
    view: NodeView<'a>,
    batch_axes: &'a HashMap<ValueId, BatchAxis>,
}

impl NodeAnalysis<'_> {
    fn effect(&self) -> Effect {
        let graph = self.view.graph;
        for output in self.view.node.outputs.iter().flatten() {
            // A value that depends on the images but has no batch axis belongs to several of them.
            let has_batch_axis = graph.shape(*output).ok().and_then(batch_axis).is_some();
            if !has_batch_axis {
                return Effect::Mixed;
            }
        }
        self.of_operator().unwrap_or(Effect::Unknown)
    }

    #[expect(clippy::too_many_lines, reason = "a list of operators")]
    fn of_operator(&self) -> Option<Effect> {
        let node = self.view.node;
        match node.op_type.as_str() {
            "DynamicQuantizeLinear" => Some(Effect::Mixed),
            "BatchNormalization" if node.attributes.int("training_mode", 0) != Ok(0) => Some(Effect::Mixed),
            "Abs"
            | "Acos"
            | "Asin"
            | "Atan"
            | "Bernoulli"
            | "Cast"
            | "Ceil"
            | "Celu"
            | "Clip"
            | "Cos"
            | "Cosh"
            | "DequantizeLinear"
            | "Dropout"
            | "Elu"
            | "Erf"
            | "Exp"
            | "Floor"
            | "Gelu"
            | "HardSigmoid"
            | "HardSwish"
            | "Identity"
            | "IsInf"
            | "IsNaN"
            | "LeakyRelu"
            | "Log"
            | "Mish"
            | "Neg"
            | "Not"
            | "QuantizeLinear"
            | "Reciprocal"
            | "Relu"
            | "Round"
            | "Selu"
            | "Shrink"
            | "Sinh"
            | "Sigmoid"
            | "Sign"
            | "Sin"
            | "Softplus"
            | "Softsign"
            | "Sqrt"
            | "Swish"
            | "Tan"
            | "Tanh"
            | "ThresholdedRelu"
            | "com.microsoft::DequantizeLinear"
            | "com.microsoft::QuantizeLinear" => self.first_input_only().map(Effect::Independent),
            "Add" | "And" | "Div" | "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual"
            | "Max" | "Mean" | "Min" | "Mod" | "Mul" | "Or" | "PRelu" | "Pow" | "Sub" | "Sum" | "Where"
            | "Xor" => self.broadcast(),
            "Softmax" | "LogSoftmax" | "Hardmax" | "LpNormalization" | "TopK" => self.along(self.axis(-1)?),
            "Trilu" => {
                let (batch, rank) = (self.first_input_only()?, self.view.shape(0).ok()?.rank());
                (batch.axis + 2 < rank).then_some(Effect::Independent(batch))
            }
            "MeanVarianceNormalization" => {
                let axes = node.attributes.ints("axes").ok()?.unwrap_or(&[0, 2, 3]);
                let (batch, shape) = (self.first_input_only()?, self.view.shape(0).ok()?);
                let axes: Vec<usize> =
                    axes.iter().map(|axis| shape.axis(*axis).ok()).collect::<Option<_>>()?;
                Some(if axes.contains(&batch.axis) { Effect::Mixed } else { Effect::Independent(batch) })
            }
            "LayerNormalization" | "RMSNormalization" => {
                let (first, batch) = (self.axis(-1)?, self.first_input_only()?);
                Some(if batch.axis < first { Effect::Independent(batch) } else { Effect::Mixed })
            }
            "CumSum" => {
                let rank = self.view.shape(0).ok()?.rank() as i64;
                let axis = *self.view.ints(1).ok()?.first()?;
                self.along(usize::try_from(if axis < 0 { axis + rank } else { axis }).ok()?)
            }
            "ReduceL1" | "ReduceL2" | "ReduceLogSum" | "ReduceLogSumExp" | "ReduceMax" | "ReduceMean"
            | "ReduceMin" | "ReduceProd" | "ReduceSum" | "ReduceSumSquare" | "ArgMax" | "ArgMin" => {
                // The batch axis is still there, so it is not among the reduced axes.
                let axis = batch_axis(self.output()?)?;
                Some(Effect::Independent(BatchAxis { axis, ..self.first_input_only()? }))
            }
            "AveragePool"
            | "BatchNormalization"
            | "Conv"
            | "ConvTranspose"
            | "DepthToSpace"
            | "GlobalAveragePool"
            | "GlobalLpPool"
            | "GlobalMaxPool"
            | "GroupNormalization"
            | "InstanceNormalization"
            | "LRN"
            | "LpPool"
            | "MaxPool"
            | "Resize"
            | "SpaceToDepth"
            | "Upsample" => self.first_input_only().filter(|batch| batch.axis == 0).map(Effect::Independent),
            "Attention" | "RotaryEmbedding" => {
                let batch = self.common_axis()?;
                (batch.axis == 0).then_some(Effect::Independent(batch))
            }
            "MatMul" => self.matmul(),
            "Gemm" => self.gemm(),
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => self.reshaped(),
            "Transpose" => {
                let (batch, axes) = (self.first_input_only()?, permutation(&self.view).ok()?);
                let axis = axes.iter().position(|axis| *axis == batch.axis)?;
                Some(Effect::Independent(BatchAxis { axis, ..batch }))
            }
            "Expand" | "Tile" => self.repeated(),
            "Concat" => self.concatenated(),
            "Split" => self.along(self.axis(0)?),
            "Slice" => self.sliced(),
            "Pad" => self.padded(),
            "Gather" => self.gathered(),
            "GatherElements" | "ScatterElements" => {
                let (axis, batch) = (self.axis(0)?, self.common_axis()?);
                (axis != batch.axis).then_some(Effect::Independent(batch))
            }
            _ => None,
        }
    }

    fn batch(&self, index: usize) -> Option<BatchAxis> {
        self.batch_axes.get(&self.view.node.optional_input(index)?).copied()
    }

    /// The batch axis of the first input, if no other input depends on the images.
    fn first_input_only(&self) -> Option<BatchAxis> {
        let others = (1..self.view.node.inputs.len()).any(|index| self.batch(index).is_some());
        self.batch(0).filter(|_| !others)
    }

    /// The batch axis of all inputs that depend on the images, if it is the same in all.
    fn common_axis(&self) -> Option<BatchAxis> {
        let mut batch_axes = (0..self.view.node.inputs.len()).filter_map(|index| self.batch(index));
        let first = batch_axes.next()?;
        batch_axes.all(|batch| batch == first).then_some(first)
    }

    fn output(&self) -> Option<&Shape> {
        self.view.graph.shape(self.view.node.optional_output(0)?).ok()
    }

    /// The attribute `axis`.
    fn axis(&self, default: i64) -> Option<usize> {
        self.view.axis(default, self.view.shape(0).ok()?.rank()).ok()
    }

    /// An operator that computes along that axis of its first input.
    fn along(&self, axis: usize) -> Option<Effect> {
        let batch = self.first_input_only()?;
        Some(if axis == batch.axis { Effect::Mixed } else { Effect::Independent(batch) })
    }

    /// Inputs aligned at their last axes.
    fn broadcast(&self) -> Option<Effect> {
        let rank = self.output()?.rank();
        let mut found: Option<BatchAxis> = None;
        for index in 0..self.view.node.inputs.len() {
            let Some(batch) = self.batch(index) else { continue };
            let missing = rank.checked_sub(self.view.shape(index).ok()?.rank())?;
            let aligned = BatchAxis { axis: batch.axis + missing, ..batch };
            if found.is_some_and(|found| found != aligned) {
                return Some(Effect::Mixed);
            }
            found = Some(aligned);
        }
        found.map(Effect::Independent)
    }

    fn matmul(&self) -> Option<Effect> {
        let [a, b] = [self.view.shape(0).ok()?.rank(), self.view.shape(1).ok()?.rank()];
        if a < 2 || b < 2 {
            return None;
        }
        let last = |batch: Option<BatchAxis>, rank: usize, axis: usize| {
            batch.is_some_and(|batch| batch.axis + axis == rank)
        };
        let (left, right) = (self.batch(0), self.batch(1));
        if last(left, a, 1) || last(right, b, 2) {
            return Some(Effect::Mixed);
        }
        if (last(left, a, 2) && right.is_some()) || (last(right, b, 1) && left.is_some()) {
            return Some(Effect::Mixed);
        }
        self.broadcast()
    }

    fn gemm(&self) -> Option<Effect> {
        let transposed = self.view.node.attributes.int("transA", 0).ok()? != 0;
        let batch = self.first_input_only()?;
        if transposed {
            return (batch.axis == 1).then_some(Effect::Independent(BatchAxis { axis: 0, ..batch }));
        }
        Some(if batch.axis == 0 { Effect::Independent(batch) } else { Effect::Mixed })
    }

    /// A Reshape keeps the row-major order, so the numbers of elements before and after the index of an image stay the same.
    fn reshaped(&self) -> Option<Effect> {
        let batch = self.first_input_only()?;
        let (from, to) = (self.view.shape(0).ok()?, self.output()?);
        let inner_elements = |shape: &Shape, axis: usize| -> Option<usize> {
            shape.0[axis + 1..].iter().try_fold(1_usize, |product, dim| product.checked_mul(dim.fixed()?))
        };
        let inner = inner_elements(from, batch.axis)?.checked_mul(batch.inner)?;
        let axis = batch_axis(to)?;
        let (rest, size) = (inner_elements(to, axis)?, multiple(to.0[axis])?);
        if rest == 0 || !inner.is_multiple_of(rest) {
            return Some(Effect::Mixed);
        }
        let inner = inner / rest;
        let fits = inner > 0 && size.is_multiple_of(inner);
        Some(if fits { Effect::Independent(BatchAxis { axis, inner }) } else { Effect::Mixed })
    }

    /// Repetition adds copies of images in front of the others, never between them.
    fn repeated(&self) -> Option<Effect> {
        let batch = self.first_input_only()?;
        let (from, to) = (self.view.shape(0).ok()?, self.output()?);
        let axis = batch.axis + to.rank().checked_sub(from.rank())?;
        (batch_axis(to) == Some(axis)).then_some(Effect::Independent(BatchAxis { axis, ..batch }))
    }

    fn concatenated(&self) -> Option<Effect> {
        let (axis, batch) = (self.axis(0)?, self.common_axis()?);
        let all_depend = (0..self.view.node.inputs.len()).all(|index| self.batch(index).is_some());
        (axis != batch.axis || all_depend).then_some(Effect::Independent(batch))
    }

    fn sliced(&self) -> Option<Effect> {
        let batch = self.first_input_only()?;
        let range = *axis_ranges(&self.view).ok()?.get(batch.axis)?;
        let whole = range.start == 0 && range.step == 1;
        let same = self.view.shape(0).ok()?.0[batch.axis] == self.output()?.0[batch.axis];
        Some(if whole && same { Effect::Independent(batch) } else { Effect::Mixed })
    }

    fn padded(&self) -> Option<Effect> {
        let batch = self.first_input_only()?;
        let rank = self.view.shape(0).ok()?.rank();
        let pads = self.view.ints(1).ok()?;
        let zero = |axis: usize| pads.get(axis) == Some(&0);
        let plain = pads.len() == 2 * rank && !self.view.has(3);
        (plain && zero(batch.axis) && zero(rank + batch.axis)).then_some(Effect::Independent(batch))
    }

    fn gathered(&self) -> Option<Effect> {
        let axis = self.axis(0)?;
        let indices = self.view.shape(1).ok()?.rank();
        match (self.batch(0), self.batch(1)) {
            (Some(batch), None) if batch.axis == axis => Some(Effect::Mixed),
            (Some(batch), None) if batch.axis < axis => Some(Effect::Independent(batch)),
            (Some(batch), None) => {
                Some(Effect::Independent(BatchAxis { axis: batch.axis + indices - 1, ..batch }))
            }
            (None, Some(batch)) => Some(Effect::Independent(BatchAxis { axis: axis + batch.axis, ..batch })),
            _ => None,
        }
    }
}

/// `k` of `k·N`.
fn multiple(dim: Dim) -> Option<usize> {
    match dim {
        Dim::Batch(k) => Some(k),
        Dim::Fixed(_) => None,
    }
}
