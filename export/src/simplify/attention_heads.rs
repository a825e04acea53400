//! Multi-head attention with the head axis first: `[H, N, T, d]` in place of `[N, H, T, d]`.
//!
//! Axes: `N` images, `T` tokens, `D` width of a token, `H` heads, `d` width of a head. Exporters project the tokens by
//! one matrix, `[N, T, D] → [N, T, H·d]`, and then move the head axis with a Transpose of each of query, key and value,
//! which copies only `d` contiguous numbers at a time. A batched product with one matrix a head,
//! `[N·T, D] · [H, D, d] → [H, N·T, d]`, writes the heads first without a Transpose. All projections of the same tokens
//! are stacked into one product.
//!
//! The scale of the scores is folded into the weights of the query. Two of the three biases need no node before the
//! Softmax. A bias of the keys adds the same number to all scores of a query, and Softmax does not change under such a
//! shift. A bias of the values is added after the attention, because the probabilities of a query sum to one. Measured
//! on one block of 48 channels and three heads (ONNX Runtime 1.32, one thread, batch 32): 2.7 µs an image instead of
//! 3.1 on five tokens, 34 instead of 39 on 65.

use std::collections::HashMap;

use super::affine::{bias_addition, f32_tensor};
use super::attention::{Attention, AttentionForm, Projection, reshape};
use super::attention_kernel::attention_kernel;
use super::use_counts::use_counts;
use crate::error::Result;
use crate::facts::{Known, NodeView};
use crate::graph::{Attributes, Builder, Dim, Graph, Node, NodeId, ValueId};
use crate::operators::types::permutation;

/// `[N, T, H, d] → [N, H, T, d]`, and back.
const FORWARD: [usize; 4] = [0, 2, 1, 3];

/// `[N, T, H, d] → [N, H, d, T]`.
const FORWARD_TRANSPOSED: [usize; 4] = [0, 2, 3, 1];

/// Most elements of a bias that is repeated for all tokens of an image. Above that, a token is wide enough for a loop.
const LARGEST_BIAS: usize = 1 << 18;

/// Rewrites every multi-head attention that is recognised.
///
/// # Errors
/// As [`crate::shape::infer_node`].
pub(super) fn move_to_front(graph: &mut Graph, form: AttentionForm) -> Result<()> {
    let found: Vec<Attention> = {
        let pattern =
            Pattern { graph, producers: graph.producers(), readers: readers(graph), uses: use_counts(graph) };
        graph.nodes().iter().filter_map(|node| pattern.attention(node)).collect()
    };
    let mut replaced = HashMap::new();
    for attention in &found {
        let context = match form {
            AttentionForm::Standard => None,
            AttentionForm::Kernel => attention_kernel(graph, attention)?,
        };
        let context = context.map_or_else(|| rewritten(graph, attention), Ok)?;
        replaced.insert(attention.context, context);
    }
    graph.replace_all_uses(&replaced);
    graph.sort()?;
    graph.prune();
    Ok(())
}

/// The last node that reads each value.
fn readers(graph: &Graph) -> HashMap<ValueId, NodeId> {
    let inputs = |(index, node): (usize, &Node)| {
        node.inputs.iter().flatten().map(|id| (*id, NodeId(index as u32))).collect::<Vec<_>>()
    };
    graph.nodes().iter().enumerate().flat_map(inputs).collect()
}

struct Pattern<'g> {
    graph: &'g Graph,
    producers: HashMap<ValueId, NodeId>,
    readers: HashMap<ValueId, NodeId>,
    uses: HashMap<ValueId, usize>,
}

impl Pattern<'_> {
    /// The attention whose probabilities this Softmax computes.
    fn attention(&self, softmax: &Node) -> Option<Attention> {
        let axis = softmax.attributes.int("axis", -1).ok()?;
        if softmax.op_type != "Softmax" || !matches!(axis, -1 | 3) {
            return None;
        }
        let (scores, scale) = self.unscaled(softmax.optional_input(0)?)?;
        let product = self.read_once(scores).filter(|node| node.op_type == "MatMul")?;
        let query = self.projection(product.optional_input(0)?, FORWARD)?.scaled(scale);
        let key = self.projection(product.optional_input(1)?, FORWARD_TRANSPOSED)?;
        let probabilities = softmax.optional_output(0)?;
        let product = self.sole_reader(probabilities).filter(|node| node.op_type == "MatMul")?;
        if product.optional_input(0) != Some(probabilities) {
            return None;
        }
        let value = self.projection(product.optional_input(1)?, FORWARD)?;
        let back = self
            .sole_reader(product.optional_output(0)?)
            .filter(|node| self.transpose_axes(node) == Some(FORWARD))?;
        let context = self.sole_reader(back.optional_output(0)?)?.optional_output(0)?;
        let wanted = [Dim::Fixed(query.tokens), Dim::Fixed(value.heads * value.width)];
        let shape = self.graph.shape(context).ok()?;
        let batch = |projection: &Projection| Some(self.graph.shape(projection.x).ok()?.0[0]);
        let fits = query.heads == key.heads
            && key.heads == value.heads
            && query.width == key.width
            && batch(&query) == batch(&key)
            && batch(&key) == batch(&value)
            && shape.0 == [batch(&query)?, wanted[0], wanted[1]];
        fits.then(|| Attention { name: softmax.name.clone(), query, key, value, context })
    }

    /// The producer of a value that nothing else reads.
    fn read_once(&self, value: ValueId) -> Option<&Node> {
        self.producers
            .get(&value)
            .filter(|_| self.uses.get(&value) == Some(&1))
            .map(|id| self.graph.node(*id))
    }

    /// The reader of a value that only one node reads, once.
    fn sole_reader(&self, value: ValueId) -> Option<&Node> {
        self.readers.get(&value).filter(|_| self.uses.get(&value) == Some(&1)).map(|id| self.graph.node(*id))
    }

    /// Strips products with single numbers: the value that is scaled, and the scale.
    fn unscaled(&self, mut value: ValueId) -> Option<(ValueId, f64)> {
        let mut scale = 1.0;
        while let Some((input, factor)) = self.read_once(value).and_then(|node| self.scalar_multiple(node)) {
            (value, scale) = (input, scale * factor);
        }
        Some((value, scale))
    }

    /// Input and factor of a product with a single number that keeps the shape.
    fn scalar_multiple(&self, node: &Node) -> Option<(ValueId, f64)> {
        let number = |id: ValueId| match self.graph.constant(id)?.to_f32()?[..] {
            [value] => Some(f64::from(value)),
            _ => None,
        };
        let (left, right) = (node.optional_input(0)?, node.optional_input(1)?);
        let (input, factor) = match (node.op_type.as_str(), number(left), number(right)) {
            ("Mul", _, Some(factor)) => (left, factor),
            ("Mul", Some(factor), _) => (right, factor),
            ("Div", _, Some(divisor)) => (left, divisor.recip()),
            _ => return None,
        };
        // A constant with more axes would change the shape.
        let same = self.graph.shape(input).ok()? == self.graph.shape(node.optional_output(0)?).ok()?;
        same.then_some((input, factor))
    }

    /// The permutation of a Transpose of four axes.
    fn transpose_axes(&self, node: &Node) -> Option<[usize; 4]> {
        let view = NodeView { graph: self.graph, node, known: &Known::new(0) };
        (node.op_type == "Transpose").then(|| permutation(&view).ok())??.try_into().ok()
    }

    /// The projection that a value is, after a Reshape to heads and this permutation of `[N, T, H, d]`.
    fn projection(&self, value: ValueId, wanted: [usize; 4]) -> Option<Projection> {
        let mut axes = [0, 1, 2, 3];
        let (mut value, mut scale) = self.unscaled(value)?;
        while let Some(outer) = self.read_once(value).and_then(|node| self.transpose_axes(node)) {
            axes = axes.map(|axis| outer[axis]);
            let (input, factor) = self.unscaled(self.read_once(value)?.optional_input(0)?)?;
            (value, scale) = (input, scale * factor);
        }
        let reshape = self.read_once(value).filter(|node| node.op_type == "Reshape" && axes == wanted)?;
        let &[batch, Dim::Fixed(tokens), Dim::Fixed(heads), Dim::Fixed(width)] =
            &self.graph.shape(value).ok()?.0[..]
        else {
            return None;
        };
        let (projected, factor) = self.unscaled(reshape.optional_input(0)?)?;
        let columns = heads.checked_mul(width).filter(|columns| *columns > 0 && tokens > 0)?;
        if self.graph.shape(projected).ok()?.0 != [batch, Dim::Fixed(tokens), Dim::Fixed(columns)] {
            return None;
        }
        let (x, weights, bias) = self.linear(projected)?;
        Some(Projection { x, tokens, heads, width, weights, bias }.scaled(scale * factor))
    }

    /// Tokens, weights and bias of `x·weights + bias`.
    fn linear(&self, value: ValueId) -> Option<(ValueId, Vec<f64>, Vec<f64>)> {
        let last = self.read_once(value)?;
        let (product, bias) = match bias_addition(self.graph, last) {
            Some((product, bias)) => (self.read_once(product)?, Some(bias)),
            None => (last, None),
        };
        let x = product.optional_input(0).filter(|_| product.op_type == "MatMul")?;
        let weights = self.graph.constant(product.optional_input(1)?)?;
        let &[_, columns] = weights.dims() else { return None };
        let bias = bias.unwrap_or_else(|| vec![0.0; columns]);
        let fits = bias.len() == columns && self.graph.shape(x).ok()?.rank() == 3;
        let weights = weights.to_f32()?.into_iter().map(f64::from).collect();
        fits.then_some((x, weights, bias))
    }
}

/// Appends the attention with the head axis first, and returns its output `[N, T, H·d]`.
fn rewritten(graph: &mut Graph, attention: &Attention) -> Result<ValueId> {
    let batch = graph.shape(attention.query.x)?.0[0];
    let mut builder = Builder::new(graph, format!("{}/heads", attention.name));
    let Attention { query, key, value, .. } = attention;
    let [q, k, v] = projections(&mut builder, [query, key, value])?; // [H, N·T, d]
    let q = add_bias(&mut builder, q, query, batch)?;
    let [q, k, v] = [(q, query), (k, key), (v, value)].map(|(x, projection)| {
        let Projection { tokens, heads, width, .. } = *projection;
        let dims = [Dim::Fixed(heads), batch, Dim::Fixed(tokens), Dim::Fixed(width)];
        reshape(&mut builder, x, dims.to_vec()) // [H, N, T, d]
    });
    let (q, k, v) = (q?, k?, v?);
    let k = builder.op_with("Transpose", &[k], [("perm", vec![0, 1, 3, 2].into())])?;
    let scores = builder.op("MatMul", &[q, k])?; // [H, N, T, T]
    let probabilities = builder.op_with("Softmax", &[scores], [("axis", (-1).into())])?;
    let context = builder.op("MatMul", &[probabilities, v])?; // [H, N, T, d]
    let context = builder.op_with("Transpose", &[context], [("perm", vec![1, 2, 0, 3].into())])?;
    let width = value.heads * value.width;
    let context = reshape(&mut builder, context, vec![batch, Dim::Fixed(query.tokens), Dim::Fixed(width)])?;
    if value.bias.iter().all(|bias| *bias == 0.0) {
        return Ok(context);
    }
    let bias = builder.constant(f32_tensor(&[width], &value.bias));
    builder.op("Add", &[context, bias])
}

/// Adds the bias to all tokens of an image at once: ONNX Runtime starts one loop for each repetition of a broadcast
/// bias.
fn add_bias(builder: &mut Builder<'_>, x: ValueId, projection: &Projection, batch: Dim) -> Result<ValueId> {
    if projection.bias.iter().all(|bias| *bias == 0.0) {
        return Ok(x);
    }
    let elements = projection.bias.len().saturating_mul(projection.tokens);
    let (tokens, rows) = match elements <= LARGEST_BIAS {
        true => {
            let dims =
                vec![Dim::Fixed(projection.heads), batch, Dim::Fixed(projection.tokens * projection.width)];
            (projection.tokens, reshape(builder, x, dims)?) // [H, N, T·d]
        }
        false => (1, x), // [H, N·T, d]
    };
    let width = tokens * projection.width;
    let repeated = projection
        .bias
        .chunks_exact(projection.width)
        .flat_map(|head| head.iter().cycle().take(width).copied());
    let repeated: Vec<f64> = repeated.collect();
    let bias = builder.constant(f32_tensor(&[projection.heads, 1, width], &repeated));
    builder.op("Add", &[rows, bias])
}

/// The three products, one MatMul for all that read the same tokens.
fn projections(builder: &mut Builder<'_>, wanted: [&Projection; 3]) -> Result<[ValueId; 3]> {
    let mut products = [None; 3];
    for first in 0..wanted.len() {
        if products[first].is_some() {
            continue;
        }
        let joins = |index: &usize| {
            wanted[*index].x == wanted[first].x && wanted[*index].width == wanted[first].width
        };
        let group: Vec<usize> = (first..wanted.len()).filter(joins).collect();
        let members: Vec<&Projection> = group.iter().map(|index| wanted[*index]).collect();
        for (index, product) in group.into_iter().zip(stacked(builder, &members)?) {
            products[index] = Some(product);
        }
    }
    Ok(products.map(|product| product.expect("each projection is in the group of the first that it joins")))
}

/// `[H, N·T, d]` for each of several projections of the same tokens.
fn stacked(builder: &mut Builder<'_>, members: &[&Projection]) -> Result<Vec<ValueId>> {
    let first = members[0];
    let inputs = first.weights.len() / (first.heads * first.width);
    let target = builder.ints(&[-1, inputs as i64]);
    let rows = builder.op("Reshape", &[first.x, target])?; // [N·T, D]
    if first.tokens == 1 {
        return members.iter().map(|member| single_token_projection(builder, rows, member)).collect();
    }
    let counts: Vec<i64> = members.iter().map(|member| member.heads as i64).collect();
    let weights: Vec<f64> = members.iter().flat_map(|member| member.stack()).collect();
    let heads = members.iter().map(|member| member.heads).sum();
    let weights = builder.constant(f32_tensor(&[heads, inputs, first.width], &weights));
    let product = builder.op("MatMul", &[rows, weights])?;
    if members.len() == 1 {
        return Ok(vec![product]);
    }
    let counts = builder.ints(&counts);
    let axis = Attributes::from_pairs([("axis", 0.into())]);
    builder.node("Split", vec![Some(product), Some(counts)], axis, members.len())
}

/// `[H, N, d]`, if there is one token an image.
///
/// A batch of one image then has a single row. For a single row ONNX Runtime uses another algorithm for a batched
/// product, with another rounding, but not for a product with one matrix. Results must not depend on the batch size.
fn single_token_projection(
    builder: &mut Builder<'_>,
    rows: ValueId,
    projection: &Projection,
) -> Result<ValueId> {
    let columns = projection.heads * projection.width;
    let weights =
        builder.constant(f32_tensor(&[projection.weights.len() / columns, columns], &projection.weights));
    let product = builder.op("MatMul", &[rows, weights])?; // [N, H·d]
    let batch = builder.graph().shape(product)?.0[0];
    let heads =
        reshape(builder, product, vec![batch, Dim::Fixed(projection.heads), Dim::Fixed(projection.width)])?;
    builder.op_with("Transpose", &[heads], [("perm", vec![1, 0, 2].into())])
}
