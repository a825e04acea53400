//! The layers that all networks share, in operators that ONNX Runtime has fast kernels for.
//!
//! Nodes are named by the layer, constants by the tensor of the checkpoint. Axes in comments: `N` images, `L` patches,
//! `T` tokens, `D` width, `H` heads, `d = D/H`, `K` classes.

use super::Network;
use super::transposed::transposed;
use super::weights::Weights;
use crate::error::Result;
use crate::graph::{Attribute, Attributes, Builder, ValueId};
use crate::tensor::Tensor;

/// `ε` of every LayerNormalization, as in timm and in the trainer.
const EPSILON: f32 = 1e-6;

/// The first opset with a Gelu operator.
const GELU_SINCE: u32 = 20;

/// The first opset in which ReduceMean takes its axes as an input.
const AXES_ARE_INPUTS_SINCE: u32 = 18;

/// Distance between windows of a convolution, and zeros on each side.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConvGeometry {
    /// Distance.
    pub(super) stride: usize,
    /// Zeros.
    pub(super) padding: usize,
}

/// A graph under construction, and the weights that are not in it yet.
pub(super) struct Layers<'g> {
    builder: Builder<'g>,
    weights: Weights,
    network: Network,
}

impl<'g> Layers<'g> {
    pub(super) fn new(builder: Builder<'g>, weights: Weights, network: Network) -> Self {
        Self { builder, weights, network }
    }

    pub(super) fn network(&self) -> Network {
        self.network
    }

    /// Names of the nodes from here on start with that of the layer.
    pub(super) fn enter(&mut self, layer: &str) {
        self.builder.set_prefix(layer);
    }

    /// The tensor of that name as a constant.
    pub(super) fn weight(&mut self, name: &str) -> Result<ValueId> {
        let tensor = self.weights.take(name)?;
        Ok(self.builder.named_constant(name, tensor))
    }

    /// The tensor itself, for constants that are computed from it.
    pub(super) fn take(&mut self, name: &str) -> Result<Tensor> {
        self.weights.take(name)
    }

    pub(super) fn constant(&mut self, name: &str, tensor: Tensor) -> ValueId {
        self.builder.named_constant(name, tensor)
    }

    /// A node with one output.
    pub(super) fn op<const COUNT: usize>(
        &mut self,
        op_type: &str,
        inputs: &[ValueId],
        attributes: [(&str, Attribute); COUNT],
    ) -> Result<ValueId> {
        self.builder.op_with(op_type, inputs, attributes)
    }

    /// The last axis to mean 0 and variance 1, then scale and shift.
    pub(super) fn norm(&mut self, x: ValueId, layer: &str) -> Result<ValueId> {
        self.enter(layer);
        let scale = self.weight(&format!("{layer}.weight"))?;
        let shift = self.weight(&format!("{layer}.bias"))?;
        self.op("LayerNormalization", &[x, scale, shift], [("epsilon", EPSILON.into())])
    }

    /// `x·Wᵀ + b` over the last axis; without `b` where the network has none.
    pub(super) fn linear(&mut self, x: ValueId, layer: &str) -> Result<ValueId> {
        self.enter(layer);
        let weight = transposed(&self.weights.take(&format!("{layer}.weight"))?);
        let weight = self.builder.named_constant(&format!("{layer}.weight"), weight); // [inputs, outputs]
        let product = self.op("MatMul", &[x, weight], [])?;
        let bias = format!("{layer}.bias");
        if !self.weights.has(&bias) {
            return Ok(product);
        }
        let bias = self.weight(&bias)?;
        self.op("Add", &[product, bias], [])
    }

    /// `fc2(gelu(fc1(x)))`
    pub(super) fn mlp(&mut self, x: ValueId, layer: &str) -> Result<ValueId> {
        let hidden = self.linear(x, &format!("{layer}.fc1"))?;
        self.enter(&format!("{layer}.act"));
        let hidden = self.gelu(hidden)?;
        self.linear(hidden, &format!("{layer}.fc2"))
    }

    /// `x · (1 + erf(x/√2)) / 2`, exactly and not by a tangent.
    pub(super) fn gelu(&mut self, x: ValueId) -> Result<ValueId> {
        if self.builder.graph().opset >= GELU_SINCE {
            return self.op("Gelu", &[x], []);
        }
        let (root, one, half) = (
            self.builder.scalar(std::f32::consts::SQRT_2),
            self.builder.scalar(1.0),
            self.builder.scalar(0.5),
        );
        let ratio = self.op("Div", &[x, root], [])?;
        let erf = self.op("Erf", &[ratio], [])?;
        let sum = self.op("Add", &[erf, one], [])?;
        let product = self.op("Mul", &[x, sum], [])?;
        self.op("Mul", &[product, half], [])
    }

    /// Convolution with a bias.
    pub(super) fn conv(&mut self, x: ValueId, layer: &str, geometry: ConvGeometry) -> Result<ValueId> {
        self.enter(layer);
        let kernel = self.weight(&format!("{layer}.weight"))?;
        let bias = self.weight(&format!("{layer}.bias"))?;
        let strides = vec![geometry.stride as i64; 2];
        let pads = vec![geometry.padding as i64; 4];
        match geometry.padding {
            0 => self.op("Conv", &[x, kernel, bias], [("strides", strides.into())]),
            _ => self.op("Conv", &[x, kernel, bias], [("strides", strides.into()), ("pads", pads.into())]),
        }
    }

    /// The mean over axis 1, `[N, L, D] → [N, D]`.
    pub(super) fn mean(&mut self, x: ValueId, count: usize) -> Result<ValueId> {
        let axes = self.builder.ints(&[1]);
        if self.builder.graph().opset >= AXES_ARE_INPUTS_SINCE {
            return self.op("ReduceMean", &[x, axes], [("keepdims", 0.into())]);
        }
        let sum = self.op("ReduceSum", &[x, axes], [("keepdims", 0.into())])?;
        let count = self.builder.scalar(count as f32);
        self.op("Div", &[sum, count], [])
    }

    /// The part of axis 1 from `start` to before `end`.
    pub(super) fn slice(&mut self, x: ValueId, start: usize, end: usize) -> Result<ValueId> {
        let [start, end, axis] = [start, end, 1].map(|place| self.builder.ints(&[place as i64]));
        self.op("Slice", &[x, start, end, axis], [])
    }

    /// Joined along axis 1.
    pub(super) fn concat(&mut self, parts: &[ValueId]) -> Result<ValueId> {
        self.op("Concat", parts, [("axis", 1.into())])
    }

    /// One of the tokens, `[N, T, D] → [N, D]`.
    pub(super) fn token(&mut self, x: ValueId, index: i64) -> Result<ValueId> {
        let index = self.builder.constant(Tensor::from_i64(&[], &[index]));
        self.op("Gather", &[x, index], [("axis", 1.into())])
    }

    /// A row `[1, 1, D]` for each of the images, `[N, 1, D]`.
    pub(super) fn for_each_image(&mut self, row: ValueId, images: ValueId) -> Result<ValueId> {
        let batch = self.op("Shape", &[images], [("start", 0.into()), ("end", 1.into())])?;
        let rest = self.builder.ints(&[1, self.network.architecture.width as i64]);
        let shape = self.op("Concat", &[batch, rest], [("axis", 0.into())])?;
        self.op("Expand", &[row, shape], [])
    }

    /// `parts` equal parts of the last axis of `[N, T, parts·D]`.
    pub(super) fn split(&mut self, x: ValueId, parts: usize) -> Result<Vec<ValueId>> {
        let sizes = self.builder.ints(&vec![self.network.architecture.width as i64; parts]);
        let attributes = Attributes::from_pairs([("axis", 2.into())]);
        self.builder.node("Split", vec![Some(x), Some(sizes)], attributes, parts)
    }

    /// `[N, T, D] → [N, H, T, d]`
    pub(super) fn heads(&mut self, x: ValueId, tokens: usize) -> Result<ValueId> {
        let (heads, width) = (self.network.architecture.heads, self.network.architecture.width);
        let split = self.reshape(x, &[-1, tokens as i64, heads as i64, (width / heads) as i64])?;
        self.transpose(split, &[0, 2, 1, 3])
    }

    /// `[N, H, T, d] → [N, T, D]`
    pub(super) fn join_heads(&mut self, x: ValueId, tokens: usize) -> Result<ValueId> {
        let x = self.transpose(x, &[0, 2, 1, 3])?;
        self.reshape(x, &[-1, tokens as i64, self.network.architecture.width as i64])
    }

    /// `q·kᵀ/√d` for `q` `[N, Q, D]` and `k` `[N, T, D]`: `[N, H, Q, T]`.
    ///
    /// The factor and the last transposition stand right before the product, where ONNX Runtime makes one node of the
    /// three.
    pub(super) fn scores(
        &mut self,
        q: ValueId,
        k: ValueId,
        queries: usize,
        tokens: usize,
    ) -> Result<ValueId> {
        let architecture = self.network.architecture;
        let scale = self.builder.scalar(((architecture.width / architecture.heads) as f32).sqrt().recip());
        let q = self.heads(q, queries)?; // [N, H, Q, d]
        let q = self.op("Mul", &[q, scale], [])?;
        let k = self.heads(k, tokens)?; // [N, H, T, d]
        let k = self.transpose(k, &[0, 1, 3, 2])?;
        self.op("MatMul", &[q, k], [])
    }

    pub(super) fn softmax(&mut self, scores: ValueId) -> Result<ValueId> {
        self.op("Softmax", &[scores], [("axis", (-1).into())])
    }

    pub(super) fn reshape(&mut self, x: ValueId, dims: &[i64]) -> Result<ValueId> {
        let dims = self.builder.ints(dims);
        self.op("Reshape", &[x, dims], [])
    }

    /// Patches as tokens: `[N, D, S', S'] → [N, L, D]`, in the order of the rows.
    pub(super) fn flatten(&mut self, patches: ValueId) -> Result<ValueId> {
        let architecture = self.network.architecture;
        let patches =
            self.reshape(patches, &[-1, architecture.width as i64, architecture.patches() as i64])?;
        self.transpose(patches, &[0, 2, 1])
    }

    pub(super) fn transpose(&mut self, x: ValueId, permutation: &[i64]) -> Result<ValueId> {
        self.op("Transpose", &[x], [("perm", permutation.to_vec().into())])
    }
}
