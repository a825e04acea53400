//! A Conv or Gemm with constant weights, in double precision, for the passes that change its weights.

use super::affine::{Affine, f32_tensor};
use crate::graph::{Attribute, Graph, Node, ValueId};

/// `y_o = bias_o + Σ weight·x_i`; `channels_of` gives `o` and `i` of an element of the weights.
pub(super) struct Layer {
    dims: Vec<usize>,
    weights: Vec<f64>,
    bias: Vec<f64>,
    kind: Kind,
}

enum Kind {
    /// Weights `[outputs, inputs / groups, k…]`.
    Conv { groups: usize, pads: bool },
    /// Weights `[inputs, outputs]`, or the other way round where `transposed`; products are multiplied by `alpha`.
    Gemm { transposed: bool, alpha: f64 },
}

impl Layer {
    /// The node as a layer; `None` if it is another operator, its weights or bias are computed, or it transposes its
    /// input.
    pub(super) fn from_node(graph: &Graph, node: &Node) -> Option<Self> {
        let kind = match node.op_type.as_str() {
            "Conv" => Kind::Conv {
                groups: usize::try_from(node.attributes.int("group", 1).ok()?)
                    .ok()
                    .filter(|count| *count > 0)?,
                pads: pads(node)?,
            },
            "Gemm" if node.attributes.int("transA", 0).ok()? == 0 => Kind::Gemm {
                transposed: node.attributes.int("transB", 0).ok()? != 0,
                alpha: f64::from(node.attributes.float("alpha", 1.0).ok()?),
            },
            _ => return None,
        };
        let constant = graph.constant(node.optional_input(1)?)?;
        let weights = constant.to_f32()?.into_iter().map(f64::from).collect();
        let mut layer = Self { dims: constant.dims().to_vec(), weights, bias: Vec::new(), kind };
        if layer.weights.is_empty() || layer.dims.len() < 2 {
            return None;
        }
        layer.bias = bias(graph, node, layer.outputs())?;
        Some(layer)
    }

    /// Number of input channels.
    pub(super) fn inputs(&self) -> usize {
        match self.kind {
            Kind::Conv { groups, .. } => self.dims[1] * groups,
            Kind::Gemm { transposed, .. } => self.dims[usize::from(transposed)],
        }
    }

    /// Number of output channels.
    pub(super) fn outputs(&self) -> usize {
        match self.kind {
            Kind::Conv { .. } => self.dims[0],
            Kind::Gemm { transposed, .. } => self.dims[usize::from(!transposed)],
        }
    }

    /// Whether it is a Conv with zero padding.
    pub(super) fn pads(&self) -> bool {
        matches!(self.kind, Kind::Conv { pads: true, .. })
    }

    /// Output and input channel of an element of the weights.
    fn channels_of(&self, element: usize) -> (usize, usize) {
        match self.kind {
            Kind::Conv { groups, .. } => {
                let (per_output, kernel) =
                    (self.weights.len() / self.dims[0], self.dims[2..].iter().product::<usize>());
                let output = element / per_output;
                let group = output * groups / self.dims[0];
                (output, group * self.dims[1] + element % per_output / kernel)
            }
            Kind::Gemm { transposed: false, .. } => (element % self.dims[1], element / self.dims[1]),
            Kind::Gemm { transposed: true, .. } => (element / self.dims[1], element % self.dims[1]),
        }
    }

    /// The composition `layer ∘ map`.
    pub(super) fn after(mut self, map: &Affine) -> Self {
        let alpha = match self.kind {
            Kind::Gemm { alpha, .. } => alpha,
            Kind::Conv { .. } => 1.0,
        };
        for element in 0..self.weights.len() {
            let (output, input) = self.channels_of(element);
            self.bias[output] += alpha * self.weights[element] * map.shift[input];
            self.weights[element] *= map.scale[input];
        }
        self
    }

    /// The composition `map ∘ layer`.
    pub(super) fn before(mut self, map: &Affine) -> Self {
        for element in 0..self.weights.len() {
            let (output, _) = self.channels_of(element);
            self.weights[element] *= map.scale[output];
        }
        for ((bias, scale), shift) in self.bias.iter_mut().zip(&map.scale).zip(&map.shift) {
            *bias = *bias * scale + shift;
        }
        self
    }

    /// The node with these weights, reading `input`.
    pub(super) fn write(&self, graph: &mut Graph, node: &Node, input: ValueId) -> Node {
        let weights =
            graph.add_constant(&format!("{}/weights", node.name), f32_tensor(&self.dims, &self.weights));
        let bias =
            graph.add_constant(&format!("{}/bias", node.name), f32_tensor(&[self.bias.len()], &self.bias));
        let mut node = node.clone();
        node.inputs = vec![Some(input), Some(weights), Some(bias)];
        if matches!(self.kind, Kind::Gemm { .. }) {
            node.attributes.0.insert("beta".to_owned(), Attribute::Float(1.0));
        }
        node
    }
}

/// Whether a Conv pads its input, by `pads` or by `auto_pad`.
fn pads(node: &Node) -> Option<bool> {
    let zero = node.attributes.ints("pads").ok()?.is_none_or(|pads| pads.iter().all(|pad| *pad == 0));
    match node.attributes.text("auto_pad", "NOTSET").ok()? {
        "NOTSET" => Some(!zero),
        "VALID" => Some(false),
        _ => Some(true),
    }
}

/// The bias of each output channel, multiplied by `beta`.
fn bias(graph: &Graph, node: &Node, outputs: usize) -> Option<Vec<f64>> {
    let Some(id) = node.optional_input(2) else { return Some(vec![0.0; outputs]) };
    let beta = match node.op_type.as_str() {
        "Gemm" => f64::from(node.attributes.float("beta", 1.0).ok()?),
        _ => 1.0,
    };
    let constant = graph.constant(id)?;
    let values: Vec<f64> = constant.to_f32()?.into_iter().map(|value| beta * f64::from(value)).collect();
    match (constant.dims(), &values[..]) {
        (_, [value]) => Some(vec![*value; outputs]),
        ([columns] | [1, columns], _) if *columns == outputs => Some(values),
        _ => None,
    }
}
