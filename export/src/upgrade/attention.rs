//! Decomposes Attention and RotaryEmbedding into MatMul, Softmax and elementwise operators.
//!
//! Newer exporters write attention as one operator, older ones as its parts. After this the simplifier and the gradient
//! rules see only the parts. The scale is applied to the queries, because they have fewer elements than the scores.
//! Axes in comments: `N` images, `H` heads, `S` queries, `T` keys, `d` width of a head. Operator pages: ONNX
//! `Attention-23`, `RotaryEmbedding-23`; Vaswani et al. 2017, Su et al. 2021 (RoFormer).

use super::decompose::identity;
use crate::error::{Error, Result};
use crate::graph::{Attribute, Attributes, Builder, Dim, Graph, Node, Shape, ValueId};
use crate::tensor::{DataType, Tensor};

/// Inputs of Attention for a key-value cache.
const CACHES: [usize; 3] = [4, 5, 6];

/// Attributes of opset 25 for attention within a window; -1 means no limit.
const WINDOWS: [&str; 2] = ["left_window_size", "right_window_size"];

/// `softmax(scale·Q·Kᵀ + mask)·V` for each head.
pub(super) fn attention(graph: &mut Graph, node: Node) -> Result<Vec<Node>> {
    if CACHES.iter().any(|index| node.optional_input(*index).is_some())
        || (1..node.outputs.len()).any(|index| node.optional_output(index).is_some())
    {
        return Err(Error::unsupported(
            "uses a cache of keys and values, or returns its scores, which is not supported; export the model \
             without a cache",
        ));
    }
    for window in WINDOWS {
        if node.attributes.int(window, -1)? != -1 {
            return Err(Error::unsupported(format!(
                "uses windowed attention ({window}), which is not supported; export the model with a mask instead"
            )));
        }
    }
    let mut builder = Builder::new(graph, node.name.clone());
    let builder = &mut builder;
    let [query_heads, key_heads] = ["q_num_heads", "kv_num_heads"].map(|name| node.attributes.int(name, 0));
    let query = split_heads(builder, node.input(0)?, query_heads?)?;
    let key = split_heads(builder, node.input(1)?, key_heads?)?;
    let value = split_heads(builder, node.input(2)?, node.attributes.int("kv_num_heads", 0)?)?;
    let heads_are_merged = builder.graph().shape(node.input(0)?)?.rank() == 3;

    let scale = query_scale(builder, &node, query)?;
    let scale = builder.scalar(scale);
    let query = builder.op("Mul", &[query, scale])?;
    let transposed = permuted(builder, key, [0, 1, 3, 2])?; // [N, H, d, T]
    let scores = grouped_product(builder, query, transposed)?; // [N, H, S, T]
    let scores = softcap(builder, &node, scores)?;
    let probabilities = masked_softmax(builder, &node, scores)?;
    let mut context = grouped_product(builder, probabilities, value)?; // [N, H, S, d]
    if heads_are_merged {
        let [batch, heads, tokens, width] = four_dims(builder.graph().shape(context)?)?;
        let columns = heads.times(width).ok_or_else(|| Error::shape("heads that depend on the batch"))?;
        context = permuted(builder, context, [0, 2, 1, 3])?;
        context = reshaped(builder, context, vec![batch, tokens, columns])?;
    }
    Ok(vec![identity(node, context)?])
}

/// `[N, S, H·d]` as `[N, H, S, d]`.
fn split_heads(builder: &mut Builder<'_>, value: ValueId, heads: i64) -> Result<ValueId> {
    let shape = builder.graph().shape(value)?.clone();
    let &[batch, tokens, columns] = &shape.0[..] else {
        four_dims(&shape)?;
        return Ok(value);
    };
    let heads = Dim::Fixed(usize::try_from(heads).unwrap_or(0));
    let width = columns.divided_by(heads);
    let width = width.ok_or_else(|| Error::shape(format!("{shape} does not divide into {heads} heads")))?;
    let split = reshaped(builder, value, vec![batch, tokens, heads, width])?;
    permuted(builder, split, [0, 2, 1, 3])
}

/// The attribute `scale`, or `1/√d`.
fn query_scale(builder: &Builder<'_>, node: &Node, query: ValueId) -> Result<f32> {
    let [.., width] = four_dims(builder.graph().shape(query)?)?;
    let width = width.fixed().ok_or_else(|| Error::shape("a head's width depends on the batch"))?;
    node.attributes.float("scale", (width as f64).sqrt().recip() as f32)
}

/// Grouped-query product `left·right` of `left` `[N, H, S, ·]` and `right` `[N, G, ·, ·]`: `H / G` heads of `left`
/// share one of `right`.
fn grouped_product(builder: &mut Builder<'_>, left: ValueId, right: ValueId) -> Result<ValueId> {
    let [batch, heads, tokens, inner] = four_dims(builder.graph().shape(left)?)?;
    let [_, groups, _, columns] = four_dims(builder.graph().shape(right)?)?;
    if heads == groups {
        return builder.op("MatMul", &[left, right]);
    }
    let misfit = || Error::shape(format!("{heads} heads of queries for {groups} of keys"));
    let rows = heads.divided_by(groups).and_then(|shared| shared.times(tokens)).ok_or_else(misfit)?;
    let left = reshaped(builder, left, vec![batch, groups, rows, inner])?;
    let product = builder.op("MatMul", &[left, right])?;
    reshaped(builder, product, vec![batch, heads, tokens, columns])
}

/// `c·tanh(scores / c)`, if the node has the attribute `softcap` `c`.
fn softcap(builder: &mut Builder<'_>, node: &Node, scores: ValueId) -> Result<ValueId> {
    let cap = node.attributes.float("softcap", 0.0)?;
    if cap <= 0.0 {
        return Ok(scores);
    }
    let cap = builder.scalar(cap);
    let scaled = builder.op("Div", &[scores, cap])?;
    let bounded = builder.op("Tanh", &[scaled])?;
    builder.op("Mul", &[bounded, cap])
}

/// The mask that is added to the scores: 0 where a query attends, −∞ where it must not, or the floats of the file.
/// `None` without a mask.
fn additive_mask(builder: &mut Builder<'_>, node: &Node, scores: ValueId) -> Result<Option<ValueId>> {
    let mut mask = None;
    if let Some(input) = node.optional_input(3) {
        mask = Some(match builder.graph().tensor_type(input)?.dtype {
            DataType::Bool => {
                let [visible, hidden] = [0.0, f32::NEG_INFINITY].map(|value| builder.scalar(value));
                builder.op("Where", &[input, visible, hidden])?
            }
            _ => input,
        });
    }
    let window = AttentionWindow::from_node(node)?;
    if window != AttentionWindow::default() {
        let window = window.mask(&four_dims(builder.graph().shape(scores)?)?)?;
        let window = builder.constant(window);
        mask = Some(match mask {
            Some(mask) => builder.op("Add", &[mask, window])?,
            None => window,
        });
    }
    Ok(mask)
}

/// `softmax(scores + mask)`. The probabilities of a query whose keys are all masked are zero, where Softmax alone gives
/// NaN.
fn masked_softmax(builder: &mut Builder<'_>, node: &Node, scores: ValueId) -> Result<ValueId> {
    let softmax =
        |builder: &mut Builder<'_>, scores| builder.op_with("Softmax", &[scores], [("axis", (-1).into())]);
    let Some(mask) = additive_mask(builder, node, scores)? else { return softmax(builder, scores) };
    let is_boolean = match node.optional_input(3) {
        Some(mask) => builder.graph().tensor_type(mask)?.dtype == DataType::Bool,
        None => false,
    };
    if !is_boolean {
        let masked = builder.op("Add", &[scores, mask])?;
        return softmax(builder, masked);
    }
    let (last, zero) = (builder.ints(&[-1]), builder.scalar(0.0));
    let lowest = builder.scalar(f32::MIN);
    let largest = builder.op("ReduceMax", &[mask, last])?;
    let attends = builder.op("Greater", &[largest, lowest])?;
    let mask = builder.op("Where", &[attends, mask, zero])?;
    let masked = builder.op("Add", &[scores, mask])?;
    let probabilities = softmax(builder, masked)?;
    builder.op("Where", &[attends, probabilities, zero])
}

/// The distances at which a query attends to keys; `None` for no bound. A causal mask is the bound 0 on keys after the
/// query.
#[derive(Debug, Default, PartialEq)]
struct AttentionWindow {
    /// Most positions that a key may come before the query.
    before: Option<usize>,
    /// Most positions that a key may come after the query.
    after: Option<usize>,
}

impl AttentionWindow {
    fn from_node(node: &Node) -> Result<Self> {
        // A negative size means no bound.
        let size = |name: &str| Ok(usize::try_from(node.attributes.int(name, -1)?).ok());
        let (before, after) = (size("left_window_size")?, size("right_window_size")?);
        let is_causal = node.attributes.int("is_causal", 0)? != 0;
        Ok(Self { before, after: if is_causal { Some(0) } else { after } })
    }

    /// The mask `[S, T]`: 0 within the window, −∞ outside.
    fn mask(&self, [.., queries, keys]: &[Dim; 4]) -> Result<Tensor> {
        let (Some(queries), Some(keys)) = (queries.fixed(), keys.fixed()) else {
            return Err(Error::shape("the number of tokens depends on the batch"));
        };
        let value = |index: usize| {
            let (query, key) = (index / keys, index % keys);
            let within = |bound: Option<usize>, distance: usize| bound.is_none_or(|bound| distance <= bound);
            let visible = within(self.before, query.saturating_sub(key))
                && within(self.after, key.saturating_sub(query));
            if visible { 0.0 } else { f32::NEG_INFINITY }
        };
        let values: Vec<f32> = (0..queries * keys).map(value).collect();
        Ok(Tensor::from_f32(&[queries, keys], &values))
    }
}

/// `RotaryEmbedding(x, cos, sin, position_ids)`: rotates pairs of elements of a token by an angle that depends on its
/// position.
pub(super) fn rotary_embedding(graph: &mut Graph, node: Node) -> Result<Vec<Node>> {
    let mut builder = Builder::new(graph, node.name.clone());
    let builder = &mut builder;
    let x = node.input(0)?;
    let shape = builder.graph().shape(x)?.clone();
    let heads = node.attributes.int("num_heads", 0)?;
    let split = split_heads(builder, x, heads)?; // [N, H, S, d]
    let [.., width] = four_dims(builder.graph().shape(split)?)?;
    let width = width.fixed().ok_or_else(|| Error::shape("a head's width depends on the batch"))?;
    let rotary_dim = match node.attributes.int("rotary_embedding_dim", 0)? {
        0 => width,
        stated => usize::try_from(stated)
            .ok()
            .filter(|rotary_dim| *rotary_dim <= width && rotary_dim % 2 == 0)
            .ok_or_else(|| {
                Error::format(format!("attribute `rotary_embedding_dim` is {stated} for heads of {width}"))
            })?,
    };
    let [cosine, sine] = [1, 2].map(|index| rotary_table(builder, &node, index));
    let (front, rest) = split_rotary(builder, split, rotary_dim, width)?;
    let interleaved = node.attributes.int("interleaved", 0)? != 0;
    let front = rotated(builder, front, [cosine?, sine?], interleaved)?;
    let mut y = match rest {
        Some(rest) => builder.op_with("Concat", &[front, rest], [("axis", (-1).into())])?,
        None => front,
    };
    if shape.rank() == 3 {
        y = permuted(builder, y, [0, 2, 1, 3])?;
        y = reshaped(builder, y, shape.0)?;
    }
    Ok(vec![identity(node, y)?])
}

/// The cosines or sines of each position, `[N or 1, 1, S, d / 2]`.
fn rotary_table(builder: &mut Builder<'_>, node: &Node, index: usize) -> Result<ValueId> {
    let mut table = node.input(index)?;
    if let Some(positions) = node.optional_input(3) {
        table = builder.op_with("Gather", &[table, positions], [("axis", 0.into())])?;
    }
    let axes = builder.ints(&[1]);
    builder.op("Unsqueeze", &[table, axes])
}

/// The first `rotary_dim` elements of each head, which are rotated, and the others.
fn split_rotary(
    builder: &mut Builder<'_>,
    value: ValueId,
    rotary_dim: usize,
    width: usize,
) -> Result<(ValueId, Option<ValueId>)> {
    if rotary_dim == width {
        return Ok((value, None));
    }
    let sizes = builder.ints(&[rotary_dim as i64, (width - rotary_dim) as i64]);
    let parts = split_last_axis(builder, value, sizes)?;
    Ok((parts[0], Some(parts[1])))
}

fn split_last_axis(builder: &mut Builder<'_>, value: ValueId, sizes: ValueId) -> Result<Vec<ValueId>> {
    let attributes = Attributes::from_pairs([("axis", (-1).into())]);
    builder.node("Split", vec![Some(value), Some(sizes)], attributes, 2)
}

/// `(a·cos − b·sin, a·sin + b·cos)` of each pair `(a, b)`: adjacent elements if `interleaved`, else element `i` of each
/// half.
fn rotated(
    builder: &mut Builder<'_>,
    value: ValueId,
    [mut cosine, mut sine]: [ValueId; 2],
    interleaved: bool,
) -> Result<ValueId> {
    let shape = builder.graph().shape(value)?.clone();
    let [batch, heads, tokens, width] = four_dims(&shape)?;
    let half = width
        .divided_by(Dim::Fixed(2))
        .ok_or_else(|| Error::shape(format!("{width} numbers are no pairs")))?;
    let mut pairs = value;
    let mut part = half.fixed().unwrap_or(0) as i64;
    if interleaved {
        pairs = reshaped(builder, value, vec![batch, heads, tokens, half, Dim::Fixed(2)])?;
        let last = builder.ints(&[-1]);
        cosine = builder.op("Unsqueeze", &[cosine, last])?;
        sine = builder.op("Unsqueeze", &[sine, last])?;
        part = 1;
    }
    let sizes = builder.ints(&[part, part]);
    let parts = split_last_axis(builder, pairs, sizes)?;
    let products = |builder: &mut Builder<'_>, op_type: &str, [left, right]: [ValueId; 2]| {
        let (left, right) = (builder.op("Mul", &[parts[0], left])?, builder.op("Mul", &[parts[1], right])?);
        builder.op(op_type, &[left, right])
    };
    let real = products(builder, "Sub", [cosine, sine])?;
    let imaginary = products(builder, "Add", [sine, cosine])?;
    let rotated = builder.op_with("Concat", &[real, imaginary], [("axis", (-1).into())])?;
    reshaped(builder, rotated, shape.0)
}

fn four_dims(shape: &Shape) -> Result<[Dim; 4]> {
    shape.0.clone().try_into().map_err(|_| {
        Error::shape(format!("{shape}, wanted [N, tokens, columns] or [N, heads, tokens, width]"))
    })
}

fn permuted(builder: &mut Builder<'_>, value: ValueId, permutation: [i64; 4]) -> Result<ValueId> {
    builder.op_with("Transpose", &[value], [("perm", Attribute::Ints(permutation.to_vec()))])
}

fn reshaped(builder: &mut Builder<'_>, value: ValueId, dims: Vec<Dim>) -> Result<ValueId> {
    let shape = Shape(dims);
    if *builder.graph().shape(value)? == shape {
        return Ok(value);
    }
    let target = builder.ints(&shape.reshape_target()?);
    builder.op("Reshape", &[value, target])
}
