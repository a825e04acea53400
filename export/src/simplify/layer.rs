//! A Conv or Gemm with constant weights, as numbers that can be changed.

use super::affine::{Affine, rounded};
use crate::graph::{Attribute, Graph, Node, ValueId};

/// `y_o = bias_o + Σ weight·x_i`, where `place` says which `o` and `i` an element of the weights belongs to.
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
    /// The node as a layer; `None` where it is another operator, its weights or bias are computed, or it transposes
    /// its input.
    pub(super) fn of(graph: &Graph, node: &Node) -> Option<Self> {
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

    /// Whether it also reads zeros beyond the border of its input.
    pub(super) fn pads(&self) -> bool {
        matches!(self.kind, Kind::Conv { pads: true, .. })
    }

    /// Output and input channel of an element of the weights.
    fn place(&self, element: usize) -> (usize, usize) {
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

    /// The layer of `map(x)`.
    pub(super) fn after(mut self, map: &Affine) -> Self {
        let alpha = match self.kind {
            Kind::Gemm { alpha, .. } => alpha,
            Kind::Conv { .. } => 1.0,
        };
        for element in 0..self.weights.len() {
            let (output, input) = self.place(element);
            self.bias[output] += alpha * self.weights[element] * map.shift[input];
            self.weights[element] *= map.scale[input];
        }
        self
    }

    /// `map` of what the layer computes.
    pub(super) fn before(mut self, map: &Affine) -> Self {
        for element in 0..self.weights.len() {
            let (output, _) = self.place(element);
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
            graph.add_constant(&format!("{}/weights", node.name), rounded(&self.dims, &self.weights));
        let bias =
            graph.add_constant(&format!("{}/bias", node.name), rounded(&[self.bias.len()], &self.bias));
        let mut node = node.clone();
        node.inputs = vec![Some(input), Some(weights), Some(bias)];
        if matches!(self.kind, Kind::Gemm { .. }) {
            node.attributes.0.insert("beta".to_owned(), Attribute::Float(1.0));
        }
        node
    }
}

/// Whether a Conv pads: unless all pads are zero, or `auto_pad` says so.
fn pads(node: &Node) -> Option<bool> {
    let zero = node.attributes.ints("pads").ok()?.is_none_or(|pads| pads.iter().all(|pad| *pad == 0));
    match node.attributes.text("auto_pad", "NOTSET").ok()? {
        "NOTSET" => Some(!zero),
        "VALID" => Some(false),
        _ => Some(true),
    }
}

/// What is added to each output channel, `β` included.
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
