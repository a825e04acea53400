//! Products as our kernels compute them ([`mimir_bundle::kernels::PRODUCT`]): with constant matrices in panels, in 32-bit floats or in
//! bfloat16 for searches in mixed precision. Bfloat16 makes twice as many products in an instruction, and halves the memory for
//! weights; there products of two activations are ours as well (`MATMUL_BFLOAT16`).

use std::collections::HashMap;

use mimir_bundle::kernels::{COLUMNS, PANEL, TRANSPOSED, bfloat16_panels, float32_panels};

use super::use_counts::use_counts;
use crate::graph::own_operators::{MATMUL_BFLOAT16, PRODUCT, PRODUCT_BFLOAT16};
use crate::graph::{Attribute, Attributes, Dim, Graph, Node, NodeId, ValueId};
use crate::tensor::{DataType, Tensor};

/// In which numbers products are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Factors {
    Float32,
    Bfloat16,
}

impl Factors {
    fn operator(self) -> &'static str {
        match self {
            Self::Float32 => PRODUCT,
            Self::Bfloat16 => PRODUCT_BFLOAT16,
        }
    }

    /// Smallest number of products of a sum, of columns, and of rows of a matrix that is not constant. With fewer in bfloat16,
    /// rounding the rows takes the time that it saves, and the scores of a few classes keep their last bits; in 32 bits the
    /// engine's products are as fast.
    fn fewest(self) -> usize {
        match self {
            Self::Float32 => 96,
            Self::Bfloat16 => 16,
        }
    }

    /// A constant matrix in panels.
    fn panels(self, graph: &Graph, weights: Factor) -> Option<Tensor> {
        let [inner, columns] = weights.sizes(graph)?;
        let elements = graph.constant(weights.matrix)?.to_f32()?;
        let strides = if weights.is_transposed { [1, inner] } else { [columns, 1] };
        let number = |row: usize, column: usize| elements[row * strides[0] + column * strides[1]];
        let (depth, panels) = match self {
            Self::Float32 => (inner, float32_panels(inner, columns, number)),
            Self::Bfloat16 => (inner.div_ceil(2), bfloat16_panels(inner, columns, number)),
        };
        Some(Tensor::from_f32(&[columns.div_ceil(PANEL), depth, PANEL], &panels))
    }
}

/// Rewrites a typed graph that is not differentiated any more. Afterwards only sessions with our operators can run it.
pub(crate) fn use_products(graph: &mut Graph, factors: Factors) {
    let (producers, mut panels) = (graph.producers(), HashMap::new());
    for id in (0..graph.nodes().len() as u32).map(NodeId) {
        if let Some(product) = product(graph, graph.node(id), factors.fewest()) {
            rewrite(graph, id, &product, factors, &mut panels);
        } else if factors == Factors::Bfloat16
            && let Some([left, right]) = activations(graph, &producers, graph.node(id), factors.fewest())
        {
            let transposed = [left.is_transposed, right.is_transposed].map(i64::from).to_vec();
            let node = graph.node_mut(id);
            node.op_type = MATMUL_BFLOAT16.to_owned();
            node.inputs = vec![Some(left.matrix), Some(right.matrix)];
            node.attributes = Attributes::from_pairs([(TRANSPOSED, Attribute::Ints(transposed))]);
        }
    }
    multiply_by_factors(graph);
    graph.prune();
}

/// `x·w + bias`.
struct Product {
    x: ValueId,
    weights: Factor,
    bias: Option<ValueId>,
}

/// A matrix, or many, as they are once they are transposed where it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Factor {
    matrix: ValueId,
    is_transposed: bool,
}

impl Factor {
    /// `[K, N]` of a constant matrix.
    fn sizes(self, graph: &Graph) -> Option<[usize; 2]> {
        let &[rows, columns] = graph.constant(self.matrix)?.dims() else { return None };
        Some(if self.is_transposed { [columns, rows] } else { [rows, columns] })
    }
}

/// The product that a MatMul or a Gemm is.
fn product(graph: &Graph, node: &Node, fewest: usize) -> Option<Product> {
    let (x, matrix) = (node.optional_input(0)?, node.optional_input(1)?);
    let is_transposed = match &*node.op_type {
        "MatMul" => false,
        "Gemm" if is_plain(node) => node.attributes.int("transB", 0) == Ok(1),
        _ => return None,
    };
    let product = Product { x, weights: Factor { matrix, is_transposed }, bias: node.optional_input(2) };
    let [inner, columns] = product.weights.sizes(graph)?;
    let is_large = inner >= fewest && columns >= fewest;
    let is_row = product.bias.is_none_or(|bias| {
        graph.constant(bias).is_some_and(|bias| bias.dims() == [columns] && bias.dtype() == DataType::Float32)
    });
    let has_rows = graph.constant(x).is_none() && graph.shape(x).ok()?.rank() >= 2;
    (is_large && is_row && has_rows && graph.constant(matrix)?.dtype() == DataType::Float32)
        .then_some(product)
}

/// The factors of a MatMul of two activations for each of some images, heads or windows.
fn activations(
    graph: &Graph,
    producers: &HashMap<ValueId, NodeId>,
    node: &Node,
    fewest: usize,
) -> Option<[Factor; 2]> {
    if node.op_type != "MatMul" {
        return None;
    }
    let (left, right) = (node.optional_input(0)?, node.optional_input(1)?);
    let (a, b) = (graph.shape(left).ok()?, graph.shape(right).ok()?);
    let (leading, last) = a.0.split_last_chunk::<2>()?;
    let (same_leading, same_last) = b.0.split_last_chunk::<2>()?;
    let is_large = |dim: &Dim| dim.fixed().is_some_and(|size| size >= fewest);
    let fits = !leading.is_empty() && leading == same_leading && last.iter().chain(same_last).all(is_large);
    let is_float32 = graph.tensor_type(left).ok()?.dtype == DataType::Float32;
    let varies = [left, right].iter().all(|factor| graph.constant(*factor).is_none());
    (fits && is_float32 && varies).then(|| [left, right].map(|factor| as_stored(graph, producers, factor)))
}

/// What a factor was before its last two axes changed places, if they did.
fn as_stored(graph: &Graph, producers: &HashMap<ValueId, NodeId>, factor: ValueId) -> Factor {
    let stored = || {
        let transpose = graph.node(*producers.get(&factor)?);
        let axes = transpose.attributes.ints("perm").ok()??;
        let (last, leading) = (axes.len().checked_sub(2)?, axes.get(..axes.len() - 2)?);
        let exchanges = axes[last..] == [last as i64 + 1, last as i64]
            && leading.iter().enumerate().all(|(axis, from)| axis as i64 == *from);
        transpose.optional_input(0).filter(|_| exchanges && transpose.op_type == "Transpose")
    };
    match stored() {
        Some(matrix) => Factor { matrix, is_transposed: true },
        None => Factor { matrix: factor, is_transposed: false },
    }
}

/// Whether a Gemm neither transposes its rows nor scales anything.
fn is_plain(node: &Node) -> bool {
    let scales = ["alpha", "beta"];
    node.attributes.int("transA", 0) == Ok(0)
        && scales.iter().all(|name| node.attributes.float(name, 1.0) == Ok(1.0))
}

/// Makes the node our operator; `panels` knows the weights that other nodes read.
fn rewrite(
    graph: &mut Graph,
    id: NodeId,
    product: &Product,
    factors: Factors,
    panels: &mut HashMap<Factor, ValueId>,
) {
    let weights = product.weights;
    let Some([_, columns]) = weights.sizes(graph) else { return };
    let in_panels = match panels.get(&weights) {
        Some(known) => *known,
        None => {
            let Some(tensor) = factors.panels(graph, weights) else { return };
            let name = format!("{}/panels", graph.node(id).name);
            let made = graph.add_constant(&name, tensor);
            panels.insert(weights, made);
            made
        }
    };
    let node = graph.node_mut(id);
    node.op_type = factors.operator().to_owned();
    node.inputs = vec![Some(product.x), Some(in_panels), product.bias];
    node.attributes = Attributes::from_pairs([(COLUMNS, (columns as i64).into())]);
}

/// Makes a product and its factor one node: where nobody else reads the product, it moves to where it is multiplied.
fn multiply_by_factors(graph: &mut Graph) {
    let (producers, uses) = (graph.producers(), use_counts(graph));
    let takes_a_factor = |node: &Node| {
        [PRODUCT, PRODUCT_BFLOAT16].contains(&&*node.op_type) && node.optional_input(3).is_none()
    };
    for id in (0..graph.nodes().len() as u32).map(NodeId) {
        let node = graph.node(id);
        let (Some(left), Some(right)) = (node.optional_input(0), node.optional_input(1)) else { continue };
        let is_alike = graph.shape(left).ok() == graph.shape(right).ok();
        if node.op_type != "Mul" || !is_alike {
            continue;
        }
        let product = [(left, right), (right, left)].into_iter().find_map(|(product, factor)| {
            let inner = graph.node(*producers.get(&product)?);
            (takes_a_factor(inner) && uses.get(&product) == Some(&1)).then(|| (inner.clone(), factor))
        });
        if let Some((product, factor)) = product {
            let node = graph.node_mut(id);
            node.op_type = product.op_type;
            node.attributes = product.attributes;
            node.inputs = product.inputs;
            node.inputs.push(Some(factor));
        }
    }
}
