//! Preprocessing before the file's graph: from pixels in `[0, 1]` as `[N, C, H, W]` to the input of the file.
//!
//! Its nodes are valid in every opset from 7 on, so that the file's own operators do not change.

use mimir_bundle::{ChannelOrder, ImageShape, Layout, PixelType, tensor_names};

use super::input::{ImageInput, not_a_classifier};
use super::input_spec::InputSpec;
use crate::error::Result;
use crate::graph::{Attribute, Attributes, Dim, Graph, Node, Shape, TensorType, ValueId};
use crate::normalisation;
use crate::tensor::{DataType, Tensor};
use crate::working_copy::TO_LEVELS;

/// Refuses a normalisation in front of a model that takes levels as integers.
pub(super) fn check_levels(input: &ImageInput, spec: &InputSpec) -> Result<()> {
    match (input.pixel_type(), &spec.normalisation) {
        (PixelType::Uint8, Some(_)) => Err(not_a_classifier(
            "the model takes levels as uint8 and normalises them itself: leave out --mean and --std"
                .to_owned(),
        )),
        (PixelType::Uint8, None) | (PixelType::Float, _) => Ok(()),
    }
}

/// Refuses an order of colours that images without colours do not have.
pub(super) fn check_channels(order: ChannelOrder, image: ImageShape) -> Result<()> {
    match (order, image.channels) {
        (ChannelOrder::Rgb, _) | (ChannelOrder::Bgr, 3) => Ok(()),
        (ChannelOrder::Bgr, channels) => Err(not_a_classifier(format!(
            "the channels are said to be blue, green, red, but the model takes {channels}, wanted 3"
        ))),
    }
}

/// Prepends the nodes to `input`, whose batch is `batch`; the graph then has the one input `images`.
pub(super) fn prepend(graph: &mut Graph, input: &ImageInput, batch: Dim, spec: &InputSpec) -> Result<()> {
    let ImageShape { channels, height, width } = input.image;
    let shape = Shape(vec![batch, Dim::Fixed(channels), Dim::Fixed(height), Dim::Fixed(width)]);
    let mut preprocessing =
        Preprocessing { nodes: Vec::new(), end: graph.add_fresh_value(tensor_names::IMAGES, None) };
    let images = preprocessing.end;
    graph.set_type(images, TensorType { dtype: DataType::Float32, shape });
    if spec.channel_order == ChannelOrder::Bgr {
        let reversed = Tensor::vector_i64(&[2, 1, 0]);
        preprocessing.push(graph, "Gather", Some(reversed), [("axis", Attribute::Int(1))]);
    }
    for step in spec.normalisation.iter().flat_map(normalisation::steps) {
        preprocessing.push_channels(graph, step.operator, &step.values);
    }
    if input.pixel_type() == PixelType::Uint8 {
        // Exact for every level: k/255 in float32 times 255 is k.
        preprocessing.push_channels(graph, "Mul", &[255.0]);
    }
    match input.layout {
        Layout::Nchw => {}
        // [N, C, H, W] -> [N, H, W, C]
        Layout::Nhwc => {
            preprocessing.push(graph, "Transpose", None, [("perm", Attribute::Ints(vec![0, 2, 3, 1]))]);
        }
        Layout::Flat => {
            // [N, C, H, W] -> the file's shape
            let mut shape = input.shape.clone();
            shape.0[0] = batch;
            let target = Tensor::vector_i64(&shape.reshape_target()?);
            preprocessing.push(graph, "Reshape", Some(target), []);
        }
    }
    if input.dtype != DataType::Float32 {
        preprocessing.push(graph, "Cast", None, [("to", Attribute::Int(input.dtype as i64))]);
        if let (PixelType::Uint8, Some(node)) = (input.pixel_type(), preprocessing.nodes.last_mut()) {
            TO_LEVELS.clone_into(&mut node.name);
        }
    }
    preprocessing.finish(graph, images, input.id)
}

struct Preprocessing {
    nodes: Vec<Node>,
    end: ValueId,
}

impl Preprocessing {
    /// A node with one value a channel, `[1, C, 1, 1]`.
    fn push_channels(&mut self, graph: &mut Graph, op_type: &str, values: &[f32]) {
        self.push(graph, op_type, Some(Tensor::from_f32(&[1, values.len(), 1, 1], values)), []);
    }

    fn push<const COUNT: usize>(
        &mut self,
        graph: &mut Graph,
        op_type: &str,
        second: Option<Tensor>,
        attributes: [(&str, Attribute); COUNT],
    ) {
        let base = format!("{}/{op_type}", tensor_names::IMAGES);
        let second = second.map(|tensor| graph.add_constant(&format!("{base}/constant"), tensor));
        let output = graph.add_fresh_value(&base, None);
        self.nodes.push(Node {
            name: graph.value(output).name.clone(),
            op_type: op_type.to_owned(),
            inputs: std::iter::once(self.end).chain(second).map(Some).collect(),
            outputs: vec![Some(output)],
            attributes: Attributes::from_pairs(attributes),
        });
        self.end = output;
    }

    /// Makes the file's graph read the last preprocessed value instead of its input.
    fn finish(mut self, graph: &mut Graph, images: ValueId, file_input: ValueId) -> Result<()> {
        graph.replace_uses(file_input, self.end);
        self.nodes.extend_from_slice(graph.nodes());
        graph.set_nodes(self.nodes);
        graph.set_inputs(vec![images]);
        assign_name(graph, images, tensor_names::IMAGES)
    }
}

/// Gives a value that name; a value of the file that already has it is renamed.
pub(super) fn assign_name(graph: &mut Graph, id: ValueId, name: &str) -> Result<()> {
    if graph.find(name) != Some(id) {
        release_name(graph, name)?;
    }
    graph.rename(id, name)
}

/// Renames the value that has that name in the file, if any.
pub(super) fn release_name(graph: &mut Graph, name: &str) -> Result<()> {
    let Some(owner) = graph.find(name) else { return Ok(()) };
    let mut other = format!("{name}/of_the_file");
    while graph.find(&other).is_some() {
        other.push('_');
    }
    graph.rename(owner, &other)
}
