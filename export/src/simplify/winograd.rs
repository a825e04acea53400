//! Convolutions 3 × 3 of stride 1 as our kernel computes them ([`mimir_bundle::kernels::WINOGRAD_CONV`]): with a third to
//! a half of the time of ONNX Runtime's, and with what follows them in the same pass over memory.
//!
//! The kernel has the channels last. Where one such node reads another, no Transpose is left between them; at the ends of
//! a row of them the node transposes itself, in half the time of a node of its own.

use std::collections::HashMap;

use mimir_bundle::kernels::{
    CHANNELS_FIRST, MOST_ZEROS_AROUND, PANEL, POINTS, RELU, ZEROS_AROUND, winograd_weights,
};

use super::use_counts::{readers, use_counts};
use crate::error::Result;
use crate::graph::own_operators::WINOGRAD_CONV;
use crate::graph::{Attribute, Attributes, Dim, Graph, Node, NodeId, TensorType, ValueId};
use crate::tensor::Tensor;

/// Most pairs of channels: with more, reading the transformed weights takes as long as is spared.
const MOST_PAIRS: usize = 256 * 256;

/// Results with fewer rows or columns waste most of a tile.
const FEWEST_PIXELS: usize = 4;

/// Rewrites a typed graph, differentiated or not, in topological order.
///
/// # Errors
/// As [`Graph::sort`].
pub(crate) fn use_winograd(graph: &mut Graph) -> Result<()> {
    let found = Pattern::new(graph).convolutions();
    if found.is_empty() {
        return Ok(());
    }
    let mut channels_last = HashMap::new();
    for convolution in &found {
        rewrite(graph, convolution, &mut channels_last);
    }
    graph.sort()?;
    graph.prune();
    take_in_transposes(graph);
    graph.prune();
    Ok(())
}

/// Lets nodes take and give channels first where a Transpose serves nobody else.
fn take_in_transposes(graph: &mut Graph) {
    let (producers, readers, uses) = (graph.producers(), readers(graph), use_counts(graph));
    let ours = |graph: &Graph, id: NodeId| graph.node(id).op_type == WINOGRAD_CONV;
    for id in (0..graph.nodes().len() as u32).map(NodeId).filter(|id| ours(graph, *id)).collect::<Vec<_>>() {
        let mut first = vec![0; 4];
        for (place, input) in [(0, 0), (1, 3), (2, 4)] {
            let value = graph.node(id).optional_input(input).filter(|value| uses.get(value) == Some(&1));
            let transpose = value.and_then(|value| producers.get(&value)).map(|id| graph.node(*id));
            let Some(transpose) = transpose.filter(|node| node.op_type == "Transpose") else { continue };
            graph.node_mut(id).inputs[input] = transpose.optional_input(0);
            first[place] = 1;
        }
        let result = graph.node(id).optional_output(0).filter(|value| uses.get(value) == Some(&1));
        let reader =
            result.and_then(|value| readers.get(&value)).and_then(|readers| readers.first().copied());
        if let Some(reader) = reader.filter(|id| graph.node(*id).op_type == "Transpose") {
            let plain = graph.node(reader).outputs.clone();
            graph.node_mut(id).outputs = plain;
            // Nobody reads what is left of it.
            graph.node_mut(reader).outputs = result.map(|value| vec![Some(value)]).unwrap_or_default();
            graph.node_mut(reader).inputs.clear();
            first[3] = 1;
        }
        if first.contains(&1) {
            graph.node_mut(id).attributes.0.insert(CHANNELS_FIRST.to_owned(), Attribute::Ints(first));
        }
    }
}

/// A convolution, and what is done to its result.
struct Convolution {
    name: String,
    x: ValueId,
    /// `[Co, Ci, 3, 3]`
    weights: ValueId,
    bias: Option<ValueId>,
    residual: Option<ValueId>,
    relu: bool,
    /// Zero where the result becomes zero.
    mask: Option<ValueId>,
    /// Rows and columns of zeros on each side of the images.
    zeros: usize,
    /// The node whose place it takes, which gives the result.
    last: NodeId,
}

struct Pattern<'g> {
    graph: &'g Graph,
    producers: HashMap<ValueId, NodeId>,
    readers: HashMap<ValueId, Vec<NodeId>>,
    uses: HashMap<ValueId, usize>,
}

impl<'g> Pattern<'g> {
    fn new(graph: &'g Graph) -> Self {
        Self { graph, producers: graph.producers(), readers: readers(graph), uses: use_counts(graph) }
    }

    /// All that fit, none of which takes the place of a node that another has taken.
    fn convolutions(&self) -> Vec<Convolution> {
        let mut taken = Vec::new();
        let mut found = Vec::new();
        for index in 0..self.graph.nodes().len() {
            let Some(mut convolution) = self.convolution(NodeId(index as u32)) else { continue };
            self.follow(&mut convolution);
            if !taken.contains(&convolution.last) {
                taken.push(convolution.last);
                found.push(convolution);
            }
        }
        found
    }

    fn convolution(&self, id: NodeId) -> Option<Convolution> {
        let node = self.graph.node(id);
        if node.op_type != "Conv" {
            return None;
        }
        let zeros = zeros_around(node)?;
        let (x, weights) = (node.optional_input(0)?, node.optional_input(1)?);
        let &[outputs, inputs, 3, 3] = self.graph.constant(weights)?.dims() else { return None };
        let &[_, Dim::Fixed(channels), Dim::Fixed(height), Dim::Fixed(width)] =
            &self.graph.shape(x).ok()?.0[..]
        else {
            return None;
        };
        let fits = |channels: usize| channels > 0 && channels.is_multiple_of(PANEL);
        let bias = node.optional_input(2);
        let is_whole = channels == inputs && fits(inputs) && fits(outputs) && inputs * outputs <= MOST_PAIRS;
        let is_large = height.min(width) + 2 * zeros >= FEWEST_PIXELS + 2;
        let is_constant = bias.is_none_or(|bias| self.graph.constant(bias).is_some());
        (is_whole && is_large && is_constant).then(|| Convolution {
            name: node.name.clone(),
            x,
            weights,
            bias,
            residual: None,
            relu: false,
            mask: None,
            zeros,
            last: id,
        })
    }

    /// Takes in a sum with another value, and then a Relu or the mask of the gradient of one.
    fn follow(&self, convolution: &mut Convolution) {
        if let Some((add, other)) = self.sum(convolution.last) {
            (convolution.last, convolution.residual) = (add, Some(other));
        }
        if let Some(relu) =
            self.sole_reader(convolution.last).filter(|id| self.graph.node(*id).op_type == "Relu")
        {
            (convolution.last, convolution.relu) = (relu, true);
        } else if let Some((product, mask)) = self.masked(convolution.last) {
            (convolution.last, convolution.mask) = (product, Some(mask));
        }
    }

    /// The only node that reads the output of another, once.
    fn sole_reader(&self, id: NodeId) -> Option<NodeId> {
        let output = self.graph.node(id).optional_output(0)?;
        match self.readers.get(&output)?[..] {
            [reader] if self.uses.get(&output) == Some(&1) => Some(reader),
            _ => None,
        }
    }

    /// The sum of a node's output with a value of the same shape, and that value.
    fn sum(&self, id: NodeId) -> Option<(NodeId, ValueId)> {
        self.combined(id, "Add")
    }

    /// The product of a node's output with the mask of positive numbers, and these numbers.
    fn masked(&self, id: NodeId) -> Option<(NodeId, ValueId)> {
        let (product, mask) = self.combined(id, "Mul")?;
        let mask = self.graph.node(*self.producers.get(&mask)?);
        let is_step = mask.op_type == "HardSigmoid"
            && mask.attributes.float("alpha", 0.2) == Ok(f32::MAX)
            && mask.attributes.float("beta", 0.5) == Ok(0.0);
        Some((product, mask.optional_input(0).filter(|_| is_step)?))
    }

    fn combined(&self, id: NodeId, op_type: &str) -> Option<(NodeId, ValueId)> {
        let output = self.graph.node(id).optional_output(0)?;
        let reader = self.sole_reader(id)?;
        let node = self.graph.node(reader);
        let other = node.inputs.iter().flatten().copied().find(|input| *input != output)?;
        let is_same = self.graph.shape(other).ok() == self.graph.shape(output).ok();
        (node.op_type == op_type && is_same && self.graph.constant(other).is_none())
            .then_some((reader, other))
    }
}

/// Rows and columns of zeros on each side, where windows move by one pixel and these are as many on all sides.
fn zeros_around(node: &Node) -> Option<usize> {
    let is_one = |name: &str| match node.attributes.ints(name) {
        Ok(numbers) => numbers.is_none_or(|numbers| numbers.iter().all(|number| *number == 1)),
        Err(_) => false,
    };
    let zeros = match node.attributes.text("auto_pad", "NOTSET").ok()? {
        "NOTSET" => match node.attributes.ints("pads").ok()? {
            None => 0,
            Some(pads) => {
                let (first, others) = pads.split_first()?;
                usize::try_from(*first).ok().filter(|_| others.iter().all(|pad| pad == first))?
            }
        },
        "VALID" => 0,
        _ => 1,
    };
    let is_plain = is_one("strides") && is_one("dilations") && node.attributes.int("group", 1) == Ok(1);
    (is_plain && zeros <= MOST_ZEROS_AROUND).then_some(zeros)
}

/// Puts the node in the place of the last one, between Transposes; `channels_last` knows what is transposed already.
fn rewrite(graph: &mut Graph, convolution: &Convolution, channels_last: &mut HashMap<ValueId, ValueId>) {
    let Some(weights) = graph.constant(convolution.weights) else { return };
    let (dims, Some(numbers)) = (weights.dims().to_vec(), weights.to_f32()) else { return };
    let transformed = Tensor::from_f32(
        &[POINTS, dims[0] / PANEL, dims[1], PANEL],
        &winograd_weights(&numbers, [dims[0], dims[1]]),
    );
    let Some(output) = graph.node(convolution.last).optional_output(0) else { return };
    let name = &convolution.name;
    let weights = graph.add_constant(&format!("{name}/winograd/weights"), transformed);
    let mut read = |graph: &mut Graph, value: ValueId| transposed(graph, value, channels_last);
    let x = read(graph, convolution.x);
    let [residual, mask] =
        [convolution.residual, convolution.mask].map(|value| value.map(|value| read(graph, value)));
    let mut inputs = vec![Some(x), Some(weights), convolution.bias, residual, mask];
    while inputs.last() == Some(&None) {
        inputs.pop();
    }
    let result = graph.add_fresh_value(&format!("{name}/winograd"), moved(graph, output));
    channels_last.insert(output, result);
    *graph.node_mut(convolution.last) = Node {
        name: format!("{name}/winograd/channels_first"),
        op_type: "Transpose".to_owned(),
        inputs: vec![Some(result)],
        outputs: vec![Some(output)],
        attributes: Attributes::from_pairs([("perm", Attribute::Ints(vec![0, 3, 1, 2]))]),
    };
    graph.push_node(Node {
        name: format!("{name}/winograd"),
        op_type: WINOGRAD_CONV.to_owned(),
        inputs,
        outputs: vec![Some(result)],
        attributes: Attributes::from_pairs([
            (RELU, i64::from(convolution.relu).into()),
            (ZEROS_AROUND, (convolution.zeros as i64).into()),
        ]),
    });
}

/// A value with its channels last.
fn transposed(graph: &mut Graph, value: ValueId, known: &mut HashMap<ValueId, ValueId>) -> ValueId {
    if let Some(result) = known.get(&value) {
        return *result;
    }
    let name = format!("{}/channels_last", graph.value(value).name);
    let result = graph.add_fresh_value(&name, moved(graph, value));
    known.insert(value, result);
    graph.push_node(Node {
        name: graph.value(result).name.clone(),
        op_type: "Transpose".to_owned(),
        inputs: vec![Some(value)],
        outputs: vec![Some(result)],
        attributes: Attributes::from_pairs([("perm", Attribute::Ints(vec![0, 2, 3, 1]))]),
    });
    result
}

/// The type of a value with its channels last.
fn moved(graph: &Graph, value: ValueId) -> Option<TensorType> {
    let mut tensor_type = graph.tensor_type(value).ok()?.clone();
    tensor_type.shape.0.get_mut(1..)?.rotate_left(1);
    Some(tensor_type)
}
