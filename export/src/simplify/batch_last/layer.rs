//! Layers that the kernel computes: Conv, ConvTranspose and Gemm with constant weights, as windows over pixels.

use mimir_bundle::kernels::{BATCH_LAST_BLOCK, winograd_weights_batch_last};

use super::winograd;
use crate::graph::{Attribute, Attributes, Graph, Node, ValueId};
use crate::tensor::Tensor;

/// Outputs that the kernel may compute side by side, and what a product costs then, compared with the first: at many pixels
/// and at one.
const BLOCKS: [(usize, [f32; 2]); 4] = [(8, [1.0, 1.0]), (4, [1.05, 1.5]), (3, [1.1, 1.8]), (1, [2.0, 5.0])];

/// One layer.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    /// Channels of the input and of the output.
    pub(super) channels: [usize; 2],
    /// Height and width of the input.
    input: [usize; 2],
    /// Likewise of the output.
    output: [usize; 2],
    kernel: [usize; 2],
    strides: [usize; 2],
    dilations: [usize; 2],
    /// Rows above and columns to the left of the input.
    pads: [usize; 2],
    /// Whether an input pixel is spread over a window of outputs, as by ConvTranspose.
    is_transposed: bool,
    /// Where the weight of output `k`, input `c` and tap `t` lies: at `k·[0] + c·[1] + t`.
    weight_strides: [usize; 2],
    weights: ValueId,
    bias: Option<ValueId>,
}

impl Layer {
    /// The layer that a node is; `None` where the kernel cannot compute it.
    pub(super) fn of(graph: &Graph, node: &Node) -> Option<Self> {
        let layer = match &*node.op_type {
            "Conv" => Self::convolution(graph, node, false),
            "ConvTranspose" => Self::convolution(graph, node, true),
            "Gemm" => Self::gemm(graph, node),
            _ => None,
        }?;
        let is_filled =
            |value: ValueId| graph.constant(value).is_some_and(|tensor| tensor.to_f32().is_some());
        let bias_fits = layer.bias.is_none_or(|bias| {
            is_filled(bias) && graph.constant(bias).is_some_and(|tensor| tensor.dims() == [layer.channels[1]])
        });
        (is_filled(layer.weights) && bias_fits).then_some(layer)
    }

    fn convolution(graph: &Graph, node: &Node, is_transposed: bool) -> Option<Self> {
        let [channels, height, width] = image(graph, node.optional_input(0)?)?;
        let [outputs, output_height, output_width] = image(graph, node.optional_output(0)?)?;
        let weights = node.optional_input(1)?;
        let [first, second, rows, columns] = *graph.constant(weights)?.dims() else { return None };
        let attributes = &node.attributes;
        // The output shape would decide the padding of a ConvTranspose.
        let is_plain = attributes.int("group", 1) == Ok(1)
            && attributes.text("auto_pad", "NOTSET") == Ok("NOTSET")
            && !attributes.0.contains_key("output_shape");
        let pair = |name: &str, default: usize| {
            let stated = attributes.ints(name).ok()?;
            let Some(stated) = stated else { return Some([default; 2]) };
            let axis = |index: usize| usize::try_from(*stated.get(index)?).ok();
            Some([axis(0)?, axis(1)?])
        };
        let taps = rows * columns;
        let (expected, weight_strides) = if is_transposed {
            ([channels, outputs], [taps, outputs * taps])
        } else {
            ([outputs, channels], [channels * taps, taps])
        };
        (is_plain && [first, second] == expected && taps > 0).then_some(Self {
            channels: [channels, outputs],
            input: [height, width],
            output: [output_height, output_width],
            kernel: [rows, columns],
            strides: pair("strides", 1)?,
            dilations: pair("dilations", 1)?,
            pads: pair("pads", 0)?,
            is_transposed,
            weight_strides,
            weights,
            bias: node.optional_input(2),
        })
    }

    /// `x·B + c` of rows: every output is a window over the one pixel.
    fn gemm(graph: &Graph, node: &Node) -> Option<Self> {
        let attributes = &node.attributes;
        let is_plain = attributes.int("transA", 0) == Ok(0)
            && attributes.float("alpha", 1.0) == Ok(1.0)
            && (attributes.float("beta", 1.0) == Ok(1.0) || node.optional_input(2).is_none());
        let weights = node.optional_input(1)?;
        let [first, second] = *graph.constant(weights)?.dims() else { return None };
        let is_row_of_outputs = attributes.int("transB", 0) == Ok(1);
        let (channels, weight_strides) =
            if is_row_of_outputs { ([second, first], [second, 1]) } else { ([first, second], [1, second]) };
        is_plain.then_some(Self {
            channels,
            input: [1; 2],
            output: [1; 2],
            kernel: [1; 2],
            strides: [1; 2],
            dilations: [1; 2],
            pads: [0; 2],
            is_transposed: false,
            weight_strides,
            weights,
            bias: node.optional_input(2),
        })
    }

    /// Elements of the input of one image.
    pub(super) fn inputs(&self) -> usize {
        self.channels[0] * self.input[0] * self.input[1]
    }

    /// Elements of the output of one image.
    pub(super) fn outputs(&self) -> usize {
        self.channels[1] * self.output[0] * self.output[1]
    }

    fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Products of one image, windows beyond the edge counted too.
    pub(super) fn products(&self) -> usize {
        let pixels = if self.is_transposed { self.input } else { self.output };
        pixels[0] * pixels[1] * self.taps() * self.channels[0] * self.channels[1]
    }

    /// Whether products of transformed tiles are fewer, and enough to pay for the transforms.
    fn is_by_winograd(&self) -> bool {
        !self.is_transposed
            && (self.kernel, self.strides, self.dilations) == ([3; 2], [1; 2], [1; 2])
            && self.channels[0] >= winograd::FEWEST_CHANNELS
            && self.channels[1].is_multiple_of(BATCH_LAST_BLOCK)
            && self.output.iter().all(|size| *size >= winograd::TILE)
    }

    /// Weights and bias in the order of the kernel.
    pub(super) fn packed(&self, graph: &Graph) -> Option<[Tensor; 2]> {
        let [channels, outputs] = self.channels;
        if self.is_by_winograd() {
            let weights = graph.constant(self.weights)?.to_f32()?;
            let bias =
                self.bias.map_or_else(|| Some(vec![0.0; outputs]), |bias| graph.constant(bias)?.to_f32())?;
            let packed = winograd_weights_batch_last(&weights, [outputs, channels]);
            let dims = winograd::dims(channels, outputs);
            return Some([Tensor::from_f32(&dims, &packed), Tensor::from_f32(&[outputs], &bias)]);
        }
        self.packed_windows(graph)
    }

    /// Weights `[blocks, channels, taps, outputs of a block]` and bias, filled up with zeros.
    fn packed_windows(&self, graph: &Graph) -> Option<[Tensor; 2]> {
        let [channels, outputs] = self.channels;
        let (weights, taps) = (graph.constant(self.weights)?.to_f32()?, self.taps());
        let is_one_pixel = self.output == [1; 2];
        let cost = |(block, factors): (usize, [f32; 2])| {
            outputs.next_multiple_of(block) as f32 * factors[usize::from(is_one_pixel)]
        };
        let (block, _) = BLOCKS.into_iter().min_by(|left, right| cost(*left).total_cmp(&cost(*right)))?;
        let blocks = outputs.div_ceil(block);
        let mut packed = Vec::with_capacity(blocks * channels * taps * block);
        for first in (0..outputs).step_by(block) {
            for channel in 0..channels {
                for tap in 0..taps {
                    packed.extend((first..first + block).map(|output| {
                        let index = output * self.weight_strides[0] + channel * self.weight_strides[1] + tap;
                        if output < outputs { weights[index] } else { 0.0 }
                    }));
                }
            }
        }
        let mut bias = match self.bias {
            Some(bias) => graph.constant(bias)?.to_f32()?,
            None => vec![0.0; outputs],
        };
        bias.resize(blocks * block, 0.0);
        let dims = [blocks, channels, taps, block];
        Some([Tensor::from_f32(&dims, &packed), Tensor::from_f32(&[bias.len()], &bias)])
    }

    /// Attributes of the node.
    pub(super) fn attributes(&self) -> Attributes {
        let ints = |sizes: &[usize]| Attribute::Ints(sizes.iter().map(|size| *size as i64).collect());
        let [height, width] = self.output;
        Attributes::from_pairs([
            ("input_shape", ints(&[self.channels[0], self.input[0], self.input[1]])),
            ("output_shape", ints(&[self.channels[1], height, width])),
            ("kernel_shape", ints(&self.kernel)),
            ("strides", ints(&self.strides)),
            ("dilations", ints(&self.dilations)),
            ("pads", ints(&self.pads)),
            ("transposed", Attribute::Int(self.is_transposed.into())),
            ("relu", Attribute::Int(0)),
            ("winograd", Attribute::Int(self.is_by_winograd().into())),
        ])
    }
}

/// The fixed sizes of `[N, C, H, W]`.
fn image(graph: &Graph, value: ValueId) -> Option<[usize; 3]> {
    let shape = graph.shape(value).ok()?;
    let [_, channels, height, width] = *shape.0 else { return None };
    Some([channels.fixed()?, height.fixed()?, width.fixed()?])
}
