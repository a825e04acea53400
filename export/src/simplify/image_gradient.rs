//! Gradients of a network's first convolution, with one or three channels, as our kernel computes them
//! ([`mimir_bundle::kernels::CONV_IMAGE_GRADIENT`]): engines fill a register with sixteen output channels.

use crate::graph::own_operators::CONV_IMAGE_GRADIENT;
use crate::graph::{Attributes, Dim, Graph, Node, NodeId, ValueId};
use crate::operators::gradient::weights::flipped;
use crate::tensor::Tensor;

/// With fewer, there is little to sum up.
const FEWEST_CHANNELS: usize = 8;

/// Results of a row that a stride leaves side by side, at least: with fewer, most of a register is empty.
const FEWEST_NEIGHBOURS: usize = 8;

/// Channels of images.
const IMAGE_CHANNELS: [usize; 2] = [1, 3];

/// Rewrites a typed graph, differentiated or not. Afterwards only sessions with our operators can run it.
pub(crate) fn use_image_gradients(graph: &mut Graph) {
    for id in (0..graph.nodes().len() as u32).map(NodeId) {
        let Some(found) = ImageGradient::of(graph, graph.node(id)) else { continue };
        let name = format!("{}/image_gradient/weights", graph.node(id).name);
        let weights = graph.add_constant(&name, found.weights);
        let pair = |numbers: [usize; 2]| numbers.map(|number| number as i64).to_vec().into();
        let node = graph.node_mut(id);
        node.op_type = CONV_IMAGE_GRADIENT.to_owned();
        node.inputs = vec![Some(found.g), Some(weights)];
        node.attributes = Attributes::from_pairs([
            ("output_shape", pair(found.output)),
            ("pads", pair(found.begins)),
            ("strides", pair(found.strides)),
        ]);
    }
}

/// A transposed convolution to few channels.
struct ImageGradient {
    g: ValueId,
    /// `[C, O, rows, columns]`
    weights: Tensor,
    strides: [usize; 2],
    begins: [usize; 2],
    output: [usize; 2],
}

impl ImageGradient {
    fn of(graph: &Graph, node: &Node) -> Option<Self> {
        let is_transposed = match node.op_type.as_str() {
            "Conv" => false,
            "ConvTranspose" => true,
            _ => return None,
        };
        let is_plain = node.optional_input(2).is_none()
            && node.attributes.int("group", 1) == Ok(1)
            && node.attributes.text("auto_pad", "NOTSET") == Ok("NOTSET")
            // It would decide the padding of a ConvTranspose.
            && !node.attributes.0.contains_key("output_shape")
            && pair(node, "dilations", 1)? == [1, 1];
        let (g, constant) = (node.optional_input(0)?, graph.constant(node.optional_input(1)?)?);
        let (strides, begins) = (pair(node, "strides", 1)?, pair(node, "pads", 0)?);
        let (weights, begins) = match is_transposed {
            true => (constant.clone(), begins),
            false => as_transposed(constant, strides, begins)?,
        };
        let &[channels, outputs, rows, columns] = weights.dims() else { return None };
        let &[_, _, Dim::Fixed(height), Dim::Fixed(width)] =
            &graph.shape(node.optional_output(0)?).ok()?.0[..]
        else {
            return None;
        };
        let pays = IMAGE_CHANNELS.contains(&outputs)
            && channels >= FEWEST_CHANNELS
            && width / strides[1].max(1) >= FEWEST_NEIGHBOURS;
        let lies_inside = begins[0] < rows && begins[1] < columns;
        (is_plain && pays && lies_inside).then_some(Self {
            g,
            weights,
            strides,
            begins,
            output: [height, width],
        })
    }
}

/// Weights and paddings with which a transposed convolution gives what this convolution gives. Its windows move by one pixel.
fn as_transposed(weights: &Tensor, strides: [usize; 2], begins: [usize; 2]) -> Option<(Tensor, [usize; 2])> {
    let &[_, _, rows, columns] = weights.dims() else { return None };
    let begin = |size: usize, begin: usize| size.checked_sub(1)?.checked_sub(begin);
    let begins = [begin(rows, begins[0])?, begin(columns, begins[1])?];
    Some((flipped(weights, 1).ok()?, begins)).filter(|_| strides == [1, 1])
}

/// The first two numbers of an attribute of windows over two axes.
fn pair(node: &Node, name: &str, default: usize) -> Option<[usize; 2]> {
    let Some(numbers) = node.attributes.ints(name).ok()? else { return Some([default; 2]) };
    let &[first, second, ..] = numbers else { return None };
    Some([usize::try_from(first).ok()?, usize::try_from(second).ok()?])
}
