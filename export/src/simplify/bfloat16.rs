//! Products as our kernels compute them in bfloat16 ([`mimir_bundle::kernels::PRODUCT_BFLOAT16`], and `MATMUL_BFLOAT16` for those of two
//! activations), for searches in mixed precision: twice as many products in an instruction, and half of the memory for weights.

use std::collections::HashMap;

use mimir_bundle::kernels::{COLUMNS, PANEL, TRANSPOSED, bfloat16_weights};

use crate::graph::own_operators::{MATMUL_BFLOAT16, PRODUCT_BFLOAT16};
use crate::graph::{Attribute, Attributes, Dim, Graph, Node, NodeId, ValueId};
use crate::tensor::{DataType, Tensor};

/// Smallest number of products of a sum, of columns, and of rows of a matrix that is not constant: with fewer, rounding the rows takes the time that it saves, and the scores
/// of a few classes keep their last bits.
const FEWEST: usize = 16;

/// Rewrites a typed graph that is not differentiated any more. Afterwards only sessions with our operators can run it.
pub(crate) fn use_bfloat16(graph: &mut Graph) {
    let (producers, mut rounded) = (graph.producers(), HashMap::new());
    for id in (0..graph.nodes().len() as u32).map(NodeId) {
        if let Some(product) = product(graph, graph.node(id)) {
            rewrite(graph, id, &product, &mut rounded);
        } else if let Some([left, right]) = factors(graph, &producers, graph.node(id)) {
            let transposed = [left.is_transposed, right.is_transposed].map(i64::from).to_vec();
            let node = graph.node_mut(id);
            node.op_type = MATMUL_BFLOAT16.to_owned();
            node.inputs = vec![Some(left.matrix), Some(right.matrix)];
            node.attributes = Attributes::from_pairs([(TRANSPOSED, Attribute::Ints(transposed))]);
        }
    }
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

    /// The elements of the rows of `[K, N]`.
    fn elements(self, graph: &Graph) -> Option<Vec<f32>> {
        let elements = graph.constant(self.matrix)?.to_f32()?;
        let [inner, columns] = self.sizes(graph)?;
        if !self.is_transposed {
            return Some(elements);
        }
        let places = (0..inner).flat_map(|row| (0..columns).map(move |column| column * inner + row));
        Some(places.map(|place| elements[place]).collect())
    }
}

/// The product that a MatMul or a Gemm is.
fn product(graph: &Graph, node: &Node) -> Option<Product> {
    let (x, matrix) = (node.optional_input(0)?, node.optional_input(1)?);
    let is_transposed = match &*node.op_type {
        "MatMul" => false,
        "Gemm" if is_plain(node) => node.attributes.int("transB", 0) == Ok(1),
        _ => return None,
    };
    let product = Product { x, weights: Factor { matrix, is_transposed }, bias: node.optional_input(2) };
    let [inner, columns] = product.weights.sizes(graph)?;
    let is_large = inner >= FEWEST && columns >= FEWEST;
    let is_row = product.bias.is_none_or(|bias| {
        graph.constant(bias).is_some_and(|bias| bias.dims() == [columns] && bias.dtype() == DataType::Float32)
    });
    let has_rows = graph.constant(x).is_none() && graph.shape(x).ok()?.rank() >= 2;
    (is_large && is_row && has_rows && graph.constant(matrix)?.dtype() == DataType::Float32)
        .then_some(product)
}

/// The factors of a MatMul of two activations for each of some images, heads or windows.
fn factors(graph: &Graph, producers: &HashMap<ValueId, NodeId>, node: &Node) -> Option<[Factor; 2]> {
    if node.op_type != "MatMul" {
        return None;
    }
    let (left, right) = (node.optional_input(0)?, node.optional_input(1)?);
    let (a, b) = (graph.shape(left).ok()?, graph.shape(right).ok()?);
    let (leading, last) = a.0.split_last_chunk::<2>()?;
    let (same_leading, same_last) = b.0.split_last_chunk::<2>()?;
    let is_large = |dim: &Dim| dim.fixed().is_some_and(|size| size >= FEWEST);
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

/// Makes the node our operator; `rounded` knows the weights that other nodes read.
fn rewrite(graph: &mut Graph, id: NodeId, product: &Product, rounded: &mut HashMap<Factor, ValueId>) {
    let weights = product.weights;
    let Some([inner, columns]) = weights.sizes(graph) else { return };
    let panels = match rounded.get(&weights) {
        Some(known) => *known,
        None => {
            let Some(elements) = weights.elements(graph) else { return };
            let dims = [columns.div_ceil(PANEL), inner.div_ceil(2), PANEL];
            let tensor = Tensor::from_f32(&dims, &bfloat16_weights(&elements, inner, columns));
            let name = format!("{}/bfloat16", graph.node(id).name);
            let panels = graph.add_constant(&name, tensor);
            rounded.insert(weights, panels);
            panels
        }
    };
    let node = graph.node_mut(id);
    node.op_type = PRODUCT_BFLOAT16.to_owned();
    node.inputs = [Some(product.x), Some(panels)].into_iter().chain(product.bias.map(Some)).collect();
    node.attributes = Attributes::from_pairs([(COLUMNS, (columns as i64).into())]);
}
