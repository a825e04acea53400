//! Attention by our kernel ([`mimir_bundle::kernels::ATTENTION`]): one linear layer for query, key and value, and one
//! node.
//!
//! With few tokens the products of a head are so small that most of their time is the overhead of nodes: on five tokens
//! (three heads of 16, batch 16) the products, Softmax, Split and Transposes of a block take 50 µs in ONNX Runtime, and the
//! kernel 7.

use mimir_bundle::kernels::{HEADS, TOKENS};

use super::affine::f32_tensor;
use super::attention::{Attention, Projection, reshape};
use crate::error::Result;
use crate::graph::own_operators::ATTENTION;
use crate::graph::{Builder, Dim, Graph, ValueId};

/// Most tokens that an image has, for the kernel.
const MOST_TOKENS: usize = 80;

/// Appends the attention as one node and returns its output `[N, T, H·d]`; `None` where it has too many tokens, or query
/// and key do not come from where the operator takes them.
///
/// # Errors
/// As [`crate::shape::infer_node`].
pub(super) fn attention_kernel(graph: &mut Graph, attention: &Attention) -> Result<Option<ValueId>> {
    let Attention { query, key, value, .. } = attention;
    let is_packed = query.x == key.x && query.tokens == key.tokens;
    let fits = key.x == value.x && key.tokens == value.tokens && query.width == value.width;
    if !fits || key.tokens > MOST_TOKENS || query.tokens > MOST_TOKENS {
        return Ok(None);
    }
    let batch = graph.shape(query.x)?.0[0];
    let mut builder = Builder::new(graph, format!("{}/kernel", attention.name));
    let inputs = match is_packed {
        true => vec![layer(&mut builder, &[query, key, value])?],
        false => vec![layer(&mut builder, &[query])?, layer(&mut builder, &[key, value])?],
    };
    let tokens = vec![query.tokens as i64, key.tokens as i64];
    let attributes = [(HEADS, (query.heads as i64).into()), (TOKENS, tokens.into())];
    let context = builder.op_with(ATTENTION, &inputs, attributes)?;
    let dims = vec![batch, Dim::Fixed(query.tokens), Dim::Fixed(value.heads * value.width)];
    reshape(&mut builder, context, dims).map(Some)
}

/// The projections of the same tokens, one after the other in each row: `[N·T, …]`.
fn layer(builder: &mut Builder<'_>, parts: &[&Projection]) -> Result<ValueId> {
    let columns = parts[0].bias.len();
    let inputs = parts[0].weights.len() / columns;
    let row =
        |row: usize| parts.iter().flat_map(move |part| &part.weights[row * columns..(row + 1) * columns]);
    let weights: Vec<f64> = (0..inputs).flat_map(row).copied().collect();
    let bias: Vec<f64> = parts.iter().flat_map(|part| &part.bias).copied().collect();
    let target = builder.ints(&[-1, inputs as i64]);
    let rows = builder.op("Reshape", &[parts[0].x, target])?;
    let weights = builder.constant(f32_tensor(&[inputs, bias.len()], &weights));
    let bias = builder.constant(f32_tensor(&[bias.len()], &bias));
    builder.op("Gemm", &[rows, weights, bias])
}
