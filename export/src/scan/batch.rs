//! Whether the images of a batch stay apart.
//!
//! Each value that depends on pixels is followed with the place of the batch in it. An axis of size `k·N` holds
//! `outer · N · inner` elements in row-major order: `[N·heads, T, d]` has `inner = heads`, and after a Transpose in front
//! of the Reshape it would have `outer = heads`. Operators that work along other axes keep images apart; one that reduces,
//! normalises or multiplies along the batch mixes them. What the table does not know is not claimed either way.

use std::collections::{HashMap, HashSet};

use mimir_bundle::ScannedNode;

use super::name;
use crate::error::Result;
use crate::graph::{Dim, Graph, Node, Shape, ValueId};
use crate::shape::{Known, LARGEST_FOLLOWED, NodeView, axis_ranges, permutation};

/// What is known of the batch.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Nodes through which images of a batch influence each other.
    pub(crate) mixing: Vec<ScannedNode>,
    /// Whether some node could not be judged.
    pub(crate) unclear: bool,
}

/// Where the images are in a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// The axis of size `outer · N · inner`.
    axis: usize,
    inner: usize,
}

/// What one operator does with the images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// They stay apart, and are there in the first output.
    Apart(Place),
    Mixed,
    Unclear,
}

/// Follows the images through a typed graph whose first input is `[N, …]`.
pub(super) fn of(graph: &Graph) -> Result<Batch> {
    let mut batch = Batch::default();
    let Some(images) = graph.inputs().first() else { return Ok(batch) };
    let mut places = HashMap::from([(*images, Place { axis: 0, inner: 1 })]);
    // What depends on a mixture, or on what could not be judged, is not judged again.
    let mut lost: HashSet<ValueId> = HashSet::new();
    let known = Known::new(LARGEST_FOLLOWED);
    for node in graph.nodes().iter().filter(|node| !is_of_sizes(node)) {
        let depends = |id: &ValueId| places.contains_key(id) || lost.contains(id);
        if !node.inputs.iter().flatten().any(depends) {
            continue;
        }
        let outputs = || node.outputs.iter().flatten().copied();
        if node.inputs.iter().flatten().any(|id| lost.contains(id)) {
            lost.extend(outputs());
            continue;
        }
        let effect = Judge { view: NodeView { graph, node, known: &known }, places: &places }.effect();
        match effect {
            Effect::Apart(place) => {
                for output in outputs() {
                    places.insert(output, place);
                }
            }
            Effect::Mixed => {
                batch.mixing.push(name(node));
                lost.extend(outputs());
            }
            Effect::Unclear => {
                batch.unclear = true;
                lost.extend(outputs());
            }
        }
    }
    Ok(batch)
}

fn is_of_sizes(node: &Node) -> bool {
    let of_sizes = ["Shape", "Size", "ConstantOfShape", "EyeLike", "RandomNormalLike", "RandomUniformLike"];
    of_sizes.contains(&node.op_type.as_str())
}

/// The axis that depends on the batch, where there is exactly one.
fn batch_axis(shape: &Shape) -> Option<usize> {
    let mut axes = (0..shape.rank()).filter(|axis| shape.0[*axis].fixed().is_none());
    axes.next().filter(|_| axes.next().is_none())
}

struct Judge<'a> {
    view: NodeView<'a>,
    places: &'a HashMap<ValueId, Place>,
}

impl Judge<'_> {
    fn effect(&self) -> Effect {
        let graph = self.view.graph;
        for output in self.view.node.outputs.iter().flatten() {
            // Without one axis for the batch, a value that depends on the images belongs to several of them.
            let apart = graph.shape(*output).ok().and_then(batch_axis).is_some();
            if !apart {
                return Effect::Mixed;
            }
        }
        self.of_operator().unwrap_or(Effect::Unclear)
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
            | "com.microsoft::QuantizeLinear" => self.sole().map(Effect::Apart),
            "Add" | "And" | "Div" | "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual"
            | "Max" | "Mean" | "Min" | "Mod" | "Mul" | "Or" | "PRelu" | "Pow" | "Sub" | "Sum" | "Where"
            | "Xor" => self.broadcast(),
            "Softmax" | "LogSoftmax" | "Hardmax" | "LpNormalization" | "TopK" => self.along(self.axis(-1)?),
            "Trilu" => {
                let (place, rank) = (self.sole()?, self.view.shape(0).ok()?.rank());
                (place.axis + 2 < rank).then_some(Effect::Apart(place))
            }
            "MeanVarianceNormalization" => {
                let axes = node.attributes.ints("axes").ok()?.unwrap_or(&[0, 2, 3]);
                let (place, shape) = (self.sole()?, self.view.shape(0).ok()?);
                let axes: Vec<usize> =
                    axes.iter().map(|axis| shape.axis(*axis).ok()).collect::<Option<_>>()?;
                Some(if axes.contains(&place.axis) { Effect::Mixed } else { Effect::Apart(place) })
            }
            "LayerNormalization" | "RMSNormalization" => {
                let (first, place) = (self.axis(-1)?, self.sole()?);
                Some(if place.axis < first { Effect::Apart(place) } else { Effect::Mixed })
            }
            "CumSum" => {
                let rank = self.view.shape(0).ok()?.rank() as i64;
                let axis = *self.view.ints(1).ok()?.first()?;
                self.along(usize::try_from(if axis < 0 { axis + rank } else { axis }).ok()?)
            }
            "ReduceL1" | "ReduceL2" | "ReduceLogSum" | "ReduceLogSumExp" | "ReduceMax" | "ReduceMean"
            | "ReduceMin" | "ReduceProd" | "ReduceSum" | "ReduceSumSquare" | "ArgMax" | "ArgMin" => {
                // The axis of the batch is there still: it is not among those that were reduced.
                let axis = batch_axis(self.output()?)?;
                Some(Effect::Apart(Place { axis, ..self.sole()? }))
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
            | "Upsample" => self.sole().filter(|place| place.axis == 0).map(Effect::Apart),
            "Attention" | "RotaryEmbedding" => {
                let place = self.agreed()?;
                (place.axis == 0).then_some(Effect::Apart(place))
            }
            "MatMul" => self.matmul(),
            "Gemm" => self.gemm(),
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => self.reshaped(),
            "Transpose" => {
                let (place, axes) = (self.sole()?, permutation(&self.view).ok()?);
                let axis = axes.iter().position(|axis| *axis == place.axis)?;
                Some(Effect::Apart(Place { axis, ..place }))
            }
            "Expand" | "Tile" => self.repeated(),
            "Concat" => self.concatenated(),
            "Split" => self.along(self.axis(0)?),
            "Slice" => self.sliced(),
            "Pad" => self.padded(),
            "Gather" => self.gathered(),
            "GatherElements" | "ScatterElements" => {
                let (axis, place) = (self.axis(0)?, self.agreed()?);
                (axis != place.axis).then_some(Effect::Apart(place))
            }
            _ => None,
        }
    }

    fn place(&self, index: usize) -> Option<Place> {
        self.places.get(&self.view.node.optional_input(index)?).copied()
    }

    /// The place in the first input, where no other input depends on the images.
    fn sole(&self) -> Option<Place> {
        let others = (1..self.view.node.inputs.len()).any(|index| self.place(index).is_some());
        self.place(0).filter(|_| !others)
    }

    /// The place in all inputs that depend on the images.
    fn agreed(&self) -> Option<Place> {
        let mut places = (0..self.view.node.inputs.len()).filter_map(|index| self.place(index));
        let first = places.next()?;
        places.all(|place| place == first).then_some(first)
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
        let place = self.sole()?;
        Some(if axis == place.axis { Effect::Mixed } else { Effect::Apart(place) })
    }

    /// Inputs aligned at their last axes.
    fn broadcast(&self) -> Option<Effect> {
        let rank = self.output()?.rank();
        let mut found: Option<Place> = None;
        for index in 0..self.view.node.inputs.len() {
            let Some(place) = self.place(index) else { continue };
            let missing = rank.checked_sub(self.view.shape(index).ok()?.rank())?;
            let aligned = Place { axis: place.axis + missing, ..place };
            if found.is_some_and(|found| found != aligned) {
                return Some(Effect::Mixed);
            }
            found = Some(aligned);
        }
        found.map(Effect::Apart)
    }

    fn matmul(&self) -> Option<Effect> {
        let [a, b] = [self.view.shape(0).ok()?.rank(), self.view.shape(1).ok()?.rank()];
        if a < 2 || b < 2 {
            return None;
        }
        let last = |place: Option<Place>, rank: usize, axis: usize| {
            place.is_some_and(|place| place.axis + axis == rank)
        };
        let (left, right) = (self.place(0), self.place(1));
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
        let place = self.sole()?;
        if transposed {
            return (place.axis == 1).then_some(Effect::Apart(Place { axis: 0, ..place }));
        }
        Some(if place.axis == 0 { Effect::Apart(place) } else { Effect::Mixed })
    }

    /// Row-major order stays: so do the numbers of elements before and behind an image's index.
    fn reshaped(&self) -> Option<Effect> {
        let place = self.sole()?;
        let (from, to) = (self.view.shape(0).ok()?, self.output()?);
        let behind = |shape: &Shape, axis: usize| -> Option<usize> {
            shape.0[axis + 1..].iter().try_fold(1_usize, |product, dim| product.checked_mul(dim.fixed()?))
        };
        let inner = behind(from, place.axis)?.checked_mul(place.inner)?;
        let axis = batch_axis(to)?;
        let (rest, size) = (behind(to, axis)?, multiple(to.0[axis])?);
        if rest == 0 || !inner.is_multiple_of(rest) {
            return Some(Effect::Mixed);
        }
        let inner = inner / rest;
        let fits = inner > 0 && size.is_multiple_of(inner);
        Some(if fits { Effect::Apart(Place { axis, inner }) } else { Effect::Mixed })
    }

    /// Repetition adds copies of images in front of the others, never between them.
    fn repeated(&self) -> Option<Effect> {
        let place = self.sole()?;
        let (from, to) = (self.view.shape(0).ok()?, self.output()?);
        let axis = place.axis + to.rank().checked_sub(from.rank())?;
        (batch_axis(to) == Some(axis)).then_some(Effect::Apart(Place { axis, ..place }))
    }

    fn concatenated(&self) -> Option<Effect> {
        let (axis, place) = (self.axis(0)?, self.agreed()?);
        let all_depend = (0..self.view.node.inputs.len()).all(|index| self.place(index).is_some());
        (axis != place.axis || all_depend).then_some(Effect::Apart(place))
    }

    fn sliced(&self) -> Option<Effect> {
        let place = self.sole()?;
        let range = *axis_ranges(&self.view).ok()?.get(place.axis)?;
        let whole = range.start == 0 && range.step == 1;
        let same = self.view.shape(0).ok()?.0[place.axis] == self.output()?.0[place.axis];
        Some(if whole && same { Effect::Apart(place) } else { Effect::Mixed })
    }

    fn padded(&self) -> Option<Effect> {
        let place = self.sole()?;
        let rank = self.view.shape(0).ok()?.rank();
        let pads = self.view.ints(1).ok()?;
        let zero = |axis: usize| pads.get(axis) == Some(&0);
        let plain = pads.len() == 2 * rank && !self.view.has(3);
        (plain && zero(place.axis) && zero(rank + place.axis)).then_some(Effect::Apart(place))
    }

    fn gathered(&self) -> Option<Effect> {
        let axis = self.axis(0)?;
        let indices = self.view.shape(1).ok()?.rank();
        match (self.place(0), self.place(1)) {
            (Some(place), None) if place.axis == axis => Some(Effect::Mixed),
            (Some(place), None) if place.axis < axis => Some(Effect::Apart(place)),
            (Some(place), None) => Some(Effect::Apart(Place { axis: place.axis + indices - 1, ..place })),
            (None, Some(place)) => Some(Effect::Apart(Place { axis: axis + place.axis, ..place })),
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
