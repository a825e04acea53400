//! Gives each value of a network its turned form, and turns to and fro where a node needs the other.

use std::collections::{HashMap, HashSet};

use super::layer::Layer;
use crate::graph::own_operators::CONVOLUTION_BATCH_LAST;
use crate::graph::{Attribute, Attributes, Dim, Graph, Node, Shape, TensorType, ValueId};
use crate::tensor::Tensor;

/// Operators that compute each element from the same element of their inputs.
const ELEMENTWISE: [&str; 18] = [
    "Abs",
    "Add",
    "Clip",
    "Div",
    "Elu",
    "Erf",
    "Exp",
    "HardSigmoid",
    "LeakyRelu",
    "Max",
    "Min",
    "Mul",
    "Neg",
    "Relu",
    "Sigmoid",
    "Softplus",
    "Sub",
    "Tanh",
];

/// What was done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    /// Products of all layers for one image.
    pub(super) products: usize,
    /// Elements of one image that are turned, either way.
    pub(super) turned_elements: usize,
}

/// The rewrite under way.
pub(super) struct Turning<'g> {
    graph: &'g mut Graph,
    nodes: Vec<Node>,
    /// The turned form of a value.
    turned: HashMap<ValueId, ValueId>,
    /// Values that are computed in their own form.
    plain: HashSet<ValueId>,
    work: Work,
}

impl Turning<'_> {
    /// Rewrites the graph; `None` where it cannot be done, and the graph is then of no use.
    pub(super) fn of(graph: &mut Graph) -> Option<Work> {
        let waiting = graph.nodes().to_vec();
        let plain = graph.inputs().iter().copied().chain(graph.constants().map(|(id, _)| id)).collect();
        let mut turning =
            Turning { graph, nodes: Vec::new(), turned: HashMap::new(), plain, work: Work::default() };
        for node in waiting {
            turning.rewrite(node)?;
        }
        for output in turning.graph.outputs().to_vec() {
            turning.leave(output)?;
        }
        let Turning { graph, nodes, work, .. } = turning;
        graph.set_nodes(nodes);
        Some(work)
    }

    fn rewrite(&mut self, node: Node) -> Option<()> {
        let (Some(x), Some(y)) = (node.optional_input(0), node.optional_output(0)) else {
            return self.keep(node);
        };
        let is_turned = self.turned.contains_key(&x);
        match &*node.op_type {
            "Conv" | "ConvTranspose" => self.layer(&node, x, y),
            "Gemm" if self.is_worth_turning(&node, is_turned) => self.layer(&node, x, y),
            "Flatten" | "Identity" | "Reshape" if is_turned && self.keeps_images_apart(x, y) => {
                self.turned.insert(y, self.turned[&x]);
                Some(())
            }
            name if ELEMENTWISE.contains(&name) && self.is_elementwise(&node, y) => self.elementwise(node, y),
            _ => self.keep(node),
        }
    }

    /// Whether the kernel can compute a Gemm, and less is turned before it than would be behind it.
    fn is_worth_turning(&self, gemm: &Node, is_turned: bool) -> bool {
        let has_rows_of_images =
            |value: Option<ValueId>| value.is_some_and(|value| elements(self.graph, value).is_some());
        has_rows_of_images(gemm.optional_input(0))
            && has_rows_of_images(gemm.optional_output(0))
            && Layer::of(self.graph, gemm).is_some_and(|layer| is_turned || layer.inputs() < layer.outputs())
    }

    /// A layer, by the kernel.
    fn layer(&mut self, node: &Node, x: ValueId, y: ValueId) -> Option<()> {
        let layer = Layer::of(self.graph, node)?;
        let [weights, bias] = layer.packed(self.graph)?;
        let x = self.enter(x)?;
        let weights = self.graph.add_constant(&format!("{}/packed", node.name), weights);
        let bias = self.graph.add_constant(&format!("{}/bias", node.name), bias);
        let result = self.turned_value(y)?;
        self.work.products += layer.products();
        self.nodes.push(Node {
            name: node.name.clone(),
            op_type: CONVOLUTION_BATCH_LAST.to_owned(),
            inputs: vec![Some(x), Some(weights), Some(bias)],
            outputs: vec![Some(result)],
            attributes: layer.attributes(),
        });
        self.turned.insert(y, result);
        Some(())
    }

    /// The node as it is, on turned values.
    fn elementwise(&mut self, mut node: Node, y: ValueId) -> Option<()> {
        for input in node.inputs.iter_mut().flatten() {
            *input = if self.is_scalar(*input) { self.without_axes(*input)? } else { self.enter(*input)? };
        }
        let result = self.turned_value(y)?;
        node.outputs = vec![Some(result)];
        self.nodes.push(node);
        self.turned.insert(y, result);
        Some(())
    }

    /// The node as it is, on values in their own form.
    fn keep(&mut self, node: Node) -> Option<()> {
        for input in node.inputs.iter().flatten() {
            self.leave(*input)?;
        }
        self.plain.extend(node.outputs.iter().flatten().copied());
        self.nodes.push(node);
        Some(())
    }

    /// Whether an input is turned, and the others are scalars or of the shape of the result.
    fn is_elementwise(&self, node: &Node, y: ValueId) -> bool {
        let inputs = || node.inputs.iter().flatten();
        let fits = |value: &ValueId| self.is_scalar(*value) || self.same_shape(*value, y);
        node.outputs.len() == 1
            && inputs().any(|input| self.turned.contains_key(input))
            && inputs().all(fits)
            && elements(self.graph, y).is_some()
    }

    fn is_scalar(&self, value: ValueId) -> bool {
        self.graph.constant(value).is_some_and(|tensor| tensor.elements() == 1)
    }

    /// A scalar of no axes: one of four would give the result four.
    fn without_axes(&mut self, scalar: ValueId) -> Option<ValueId> {
        let tensor = self.graph.constant(scalar)?;
        if tensor.dims().is_empty() {
            return Some(scalar);
        }
        let (name, tensor) =
            (format!("{}/scalar", self.graph.value(scalar).name), tensor.with_dims(Vec::new()).ok()?);
        Some(self.graph.add_constant(&name, tensor))
    }

    fn same_shape(&self, left: ValueId, right: ValueId) -> bool {
        matches!((self.graph.shape(left), self.graph.shape(right)), (Ok(left), Ok(right)) if left == right)
    }

    /// Whether a view has the same elements of each image, in their order.
    fn keeps_images_apart(&self, x: ValueId, y: ValueId) -> bool {
        let batch = |value| self.graph.shape(value).ok().and_then(|shape| shape.0.first().copied());
        batch(x) == batch(y)
            && elements(self.graph, x).is_some_and(|count| Some(count) == elements(self.graph, y))
    }

    /// A new value for the turned form of a value.
    fn turned_value(&mut self, value: ValueId) -> Option<ValueId> {
        let (name, tensor_type) =
            (format!("{}/turned", self.graph.value(value).name), self.turned_type(value)?);
        Some(self.graph.add_fresh_value(&name, Some(tensor_type)))
    }

    fn turned_type(&self, value: ValueId) -> Option<TensorType> {
        let TensorType { dtype, shape } = self.graph.tensor_type(value).ok()?.clone();
        let dims = [Dim::Fixed(elements(self.graph, value)?), *shape.0.first()?];
        Some(TensorType { dtype, shape: Shape(dims.to_vec()) })
    }

    /// The turned form of a value, which is computed where it is not there yet.
    fn enter(&mut self, value: ValueId) -> Option<ValueId> {
        if let Some(turned) = self.turned.get(&value) {
            return Some(*turned);
        }
        let (count, batch) = (elements(self.graph, value)?, *self.graph.shape(value).ok()?.0.first()?);
        let dtype = self.graph.tensor_type(value).ok()?.dtype;
        let name = self.graph.value(value).name.clone();
        let rows = TensorType { dtype, shape: Shape(vec![batch, Dim::Fixed(count)]) };
        let rows = self.graph.add_fresh_value(&format!("{name}/rows"), Some(rows));
        let turned = self.turned_value(value)?;
        self.view(&format!("{name}/rows"), value, rows, &[0, count as i64]);
        self.transpose(&format!("{name}/turned"), rows, turned);
        self.work.turned_elements += count;
        self.turned.insert(value, turned);
        Some(turned)
    }

    /// Makes sure that a value is there in its own form.
    fn leave(&mut self, value: ValueId) -> Option<()> {
        let Some(turned) = self.turned.get(&value).copied().filter(|_| !self.plain.contains(&value)) else {
            return Some(());
        };
        let shape = self.graph.shape(value).ok()?.clone();
        let (count, batch) = (elements(self.graph, value)?, *shape.0.first()?);
        let dtype = self.graph.tensor_type(value).ok()?.dtype;
        let name = self.graph.value(value).name.clone();
        if shape.rank() == 2 {
            self.transpose(&format!("{name}/turned_back"), turned, value);
        } else {
            let rows = TensorType { dtype, shape: Shape(vec![batch, Dim::Fixed(count)]) };
            let rows = self.graph.add_fresh_value(&format!("{name}/turned_back"), Some(rows));
            self.transpose(&format!("{name}/turned_back"), turned, rows);
            let sizes = shape.0[1..].iter().map(|dim| dim.fixed().map(|size| size as i64));
            let target: Option<Vec<i64>> = std::iter::once(Some(0)).chain(sizes).collect();
            self.view(&format!("{name}/view"), rows, value, &target?);
        }
        self.work.turned_elements += count;
        self.plain.insert(value);
        Some(())
    }

    fn transpose(&mut self, name: &str, from: ValueId, to: ValueId) {
        self.nodes.push(Node {
            name: name.to_owned(),
            op_type: "Transpose".to_owned(),
            inputs: vec![Some(from)],
            outputs: vec![Some(to)],
            attributes: Attributes::from_pairs([("perm", Attribute::Ints(vec![1, 0]))]),
        });
    }

    fn view(&mut self, name: &str, from: ValueId, to: ValueId, target: &[i64]) {
        let target = self.graph.add_constant(&format!("{name}/target"), Tensor::vector_i64(target));
        self.nodes.push(Node {
            name: name.to_owned(),
            op_type: "Reshape".to_owned(),
            inputs: vec![Some(from), Some(target)],
            outputs: vec![Some(to)],
            attributes: Attributes::default(),
        });
    }
}

/// Elements of one image of `[N, …]`, where they are known.
fn elements(graph: &Graph, value: ValueId) -> Option<usize> {
    let shape = graph.shape(value).ok()?;
    let (batch, others) = shape.0.split_first()?;
    let batch_is_first = *batch == graph.shape(*graph.inputs().first()?).ok()?.0.first().copied()?;
    let product = || others.iter().try_fold(1_usize, |product, dim| product.checked_mul(dim.fixed()?));
    if batch_is_first { product() } else { None }
}
