//! Attention and RotaryEmbedding, written out as products and Softmax.
//!
//! The rewrites of attention and the gradient rules then see one form, whichever opset the exporter chose. The scale
//! multiplies the queries, which are fewer numbers than the scores. Operator pages: ONNX `Attention-23`,
//! `RotaryEmbedding-23`; Vaswani et al. 2017, Su et al. 2021 (RoFormer).

use super::written::result;
use crate::error::{Error, Result};
use crate::graph::{Attribute, Attributes, Builder, Dim, Graph, Node, Shape, ValueId};
use crate::tensor::{DataType, Tensor};

/// Inputs and outputs of Attention that hold a cache.
const CACHES: [usize; 3] = [4, 5, 6];

/// Attributes of opset 25; -1 means everything.
const WINDOWS: [&str; 2] = ["left_window_size", "right_window_size"];

/// `softmax(scale·Q·Kᵀ + mask)·V` for each head.
pub(super) fn attention(graph: &mut Graph, node: Node) -> Result<Vec<Node>> {
    if CACHES.iter().any(|index| node.optional_input(*index).is_some())
        || (1..node.outputs.len()).any(|index| node.optional_output(index).is_some())
    {
        return Err(Error::unsupported(
            "keeps keys and values of earlier tokens, or returns its scores, as no classifier of images does; export the \
             model without a cache",
        ));
    }
    for window in WINDOWS {
        if node.attributes.int(window, -1)? != -1 {
            return Err(Error::unsupported(format!(
                "lets each token look only at those near it ({window}), which is not supported; export the model with \
                 a mask for that"
            )));
        }
    }
    let mut builder = Builder::new(graph, node.name.clone());
    let builder = &mut builder;
    let [query_heads, key_heads] = ["q_num_heads", "kv_num_heads"].map(|name| node.attributes.int(name, 0));
    let query = in_heads(builder, node.input(0)?, query_heads?)?;
    let key = in_heads(builder, node.input(1)?, key_heads?)?;
    let value = in_heads(builder, node.input(2)?, node.attributes.int("kv_num_heads", 0)?)?;
    let joined = builder.graph().shape(node.input(0)?)?.rank() == 3;

    let scale = default_scale(builder, &node, query)?;
    let scale = builder.scalar(scale);
    let query = builder.op("Mul", &[query, scale])?;
    let transposed = permuted(builder, key, [0, 1, 3, 2])?; // [N, H, d, T]
    let scores = grouped_product(builder, query, transposed)?; // [N, H, S, T]
    let scores = capped(builder, &node, scores)?;
    let shares = shares(builder, &node, scores)?;
    let mut averages = grouped_product(builder, shares, value)?; // [N, H, S, d]
    if joined {
        let [batch, heads, tokens, width] = four(builder.graph().shape(averages)?)?;
        let columns = heads.times(width).ok_or_else(|| Error::shape("heads that depend on the batch"))?;
        averages = permuted(builder, averages, [0, 2, 1, 3])?;
        averages = reshaped(builder, averages, vec![batch, tokens, columns])?;
    }
    Ok(vec![result(node, averages)?])
}

/// `[N, S, H·d]` as `[N, H, S, d]`.
fn in_heads(builder: &mut Builder<'_>, value: ValueId, heads: i64) -> Result<ValueId> {
    let shape = builder.graph().shape(value)?.clone();
    let &[batch, tokens, columns] = &shape.0[..] else {
        four(&shape)?;
        return Ok(value);
    };
    let heads = Dim::Fixed(usize::try_from(heads).unwrap_or(0));
    let width = columns.divided_by(heads);
    let width = width.ok_or_else(|| Error::shape(format!("{shape} does not divide into {heads} heads")))?;
    let split = reshaped(builder, value, vec![batch, tokens, heads, width])?;
    permuted(builder, split, [0, 2, 1, 3])
}

fn default_scale(builder: &Builder<'_>, node: &Node, query: ValueId) -> Result<f32> {
    let [.., width] = four(builder.graph().shape(query)?)?;
    let width = width.fixed().ok_or_else(|| Error::shape("a head's width depends on the batch"))?;
    node.attributes.float("scale", (width as f64).sqrt().recip() as f32)
}

/// `left·right` for `left` `[N, H, S, ·]` and `right` `[N, G, ·, ·]`, where `H / G` heads of `left` share one of `right`.
fn grouped_product(builder: &mut Builder<'_>, left: ValueId, right: ValueId) -> Result<ValueId> {
    let [batch, heads, tokens, inner] = four(builder.graph().shape(left)?)?;
    let [_, groups, _, columns] = four(builder.graph().shape(right)?)?;
    if heads == groups {
        return builder.op("MatMul", &[left, right]);
    }
    let misfit = || Error::shape(format!("{heads} heads of queries for {groups} of keys"));
    let rows = heads.divided_by(groups).and_then(|shared| shared.times(tokens)).ok_or_else(misfit)?;
    let left = reshaped(builder, left, vec![batch, groups, rows, inner])?;
    let product = builder.op("MatMul", &[left, right])?;
    reshaped(builder, product, vec![batch, heads, tokens, columns])
}

/// `c·tanh(scores / c)`, where the node has a `softcap` `c`.
fn capped(builder: &mut Builder<'_>, node: &Node, scores: ValueId) -> Result<ValueId> {
    let cap = node.attributes.float("softcap", 0.0)?;
    if cap <= 0.0 {
        return Ok(scores);
    }
    let cap = builder.scalar(cap);
    let scaled = builder.op("Div", &[scores, cap])?;
    let bounded = builder.op("Tanh", &[scaled])?;
    builder.op("Mul", &[bounded, cap])
}

/// What is added to the scores: 0, −∞ where a query must not look, or what the file says; `None` for nothing.
fn added_mask(builder: &mut Builder<'_>, node: &Node, scores: ValueId) -> Result<Option<ValueId>> {
    let mut added = None;
    if let Some(mask) = node.optional_input(3) {
        added = Some(match builder.graph().tensor_type(mask)?.dtype {
            DataType::Bool => {
                let [open, closed] = [0.0, f32::NEG_INFINITY].map(|value| builder.scalar(value));
                builder.op("Where", &[mask, open, closed])?
            }
            _ => mask,
        });
    }
    let window = Window::of(node)?;
    if window != Window::default() {
        let mask = window.mask(&four(builder.graph().shape(scores)?)?)?;
        let mask = builder.constant(mask);
        added = Some(match added {
            Some(other) => builder.op("Add", &[other, mask])?,
            None => mask,
        });
    }
    Ok(added)
}

/// `softmax(scores + mask)`; zeros for a query that may look at no key, whose Softmax would be no number.
fn shares(builder: &mut Builder<'_>, node: &Node, scores: ValueId) -> Result<ValueId> {
    let softmax =
        |builder: &mut Builder<'_>, scores| builder.op_with("Softmax", &[scores], [("axis", (-1).into())]);
    let Some(mask) = added_mask(builder, node, scores)? else { return softmax(builder, scores) };
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
    let looks = builder.op("Greater", &[largest, lowest])?;
    let mask = builder.op("Where", &[looks, mask, zero])?;
    let masked = builder.op("Add", &[scores, mask])?;
    let shares = softmax(builder, masked)?;
    builder.op("Where", &[looks, shares, zero])
}

/// The keys that a query looks at, by their distance; all where there is no bound.
#[derive(Debug, Default, PartialEq)]
struct Window {
    /// Keys before the query.
    before: Option<usize>,
    /// Keys after the query.
    after: Option<usize>,
}

impl Window {
    fn of(node: &Node) -> Result<Self> {
        // A negative size is none.
        let size = |name: &str| Ok(usize::try_from(node.attributes.int(name, -1)?).ok());
        let (before, after) = (size("left_window_size")?, size("right_window_size")?);
        let is_causal = node.attributes.int("is_causal", 0)? != 0;
        Ok(Self { before, after: if is_causal { Some(0) } else { after } })
    }

    /// `[S, T]`: 0 where the query may look, else −∞.
    fn mask(&self, [.., queries, keys]: &[Dim; 4]) -> Result<Tensor> {
        let (Some(queries), Some(keys)) = (queries.fixed(), keys.fixed()) else {
            return Err(Error::shape("the number of tokens depends on the batch"));
        };
        let value = |index: usize| {
            let (query, key) = (index / keys, index % keys);
            let near = |bound: Option<usize>, distance: usize| bound.is_none_or(|bound| distance <= bound);
            let open =
                near(self.before, query.saturating_sub(key)) && near(self.after, key.saturating_sub(query));
            if open { 0.0 } else { f32::NEG_INFINITY }
        };
        let values: Vec<f32> = (0..queries * keys).map(value).collect();
        Ok(Tensor::from_f32(&[queries, keys], &values))
    }
}

/// `RotaryEmbedding(x, cos, sin, position_ids)`: pairs of numbers turned by the angle of their position.
pub(super) fn rotary_embedding(graph: &mut Graph, node: Node) -> Result<Vec<Node>> {
    let mut builder = Builder::new(graph, node.name.clone());
    let builder = &mut builder;
    let x = node.input(0)?;
    let shape = builder.graph().shape(x)?.clone();
    let heads = node.attributes.int("num_heads", 0)?;
    let split = in_heads(builder, x, heads)?; // [N, H, S, d]
    let [.., width] = four(builder.graph().shape(split)?)?;
    let width = width.fixed().ok_or_else(|| Error::shape("a head's width depends on the batch"))?;
    let turned = match node.attributes.int("rotary_embedding_dim", 0)? {
        0 => width,
        stated => usize::try_from(stated)
            .ok()
            .filter(|turned| *turned <= width && turned % 2 == 0)
            .ok_or_else(|| {
                Error::format(format!("attribute `rotary_embedding_dim` is {stated} for heads of {width}"))
            })?,
    };
    let angles = [1, 2].map(|index| angles(builder, &node, index));
    let [cosine, sine] = angles;
    let (front, rest) = parted(builder, split, turned, width)?;
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
    Ok(vec![result(node, y)?])
}

/// Cosines or sines by position, `[N or 1, 1, S, d / 2]`.
fn angles(builder: &mut Builder<'_>, node: &Node, index: usize) -> Result<ValueId> {
    let mut table = node.input(index)?;
    if let Some(positions) = node.optional_input(3) {
        table = builder.op_with("Gather", &[table, positions], [("axis", 0.into())])?;
    }
    let axes = builder.ints(&[1]);
    builder.op("Unsqueeze", &[table, axes])
}

/// The first `turned` numbers of each head, and the others.
fn parted(
    builder: &mut Builder<'_>,
    value: ValueId,
    turned: usize,
    width: usize,
) -> Result<(ValueId, Option<ValueId>)> {
    if turned == width {
        return Ok((value, None));
    }
    let sizes = builder.ints(&[turned as i64, (width - turned) as i64]);
    let parts = last_axis_split(builder, value, sizes)?;
    Ok((parts[0], Some(parts[1])))
}

fn last_axis_split(builder: &mut Builder<'_>, value: ValueId, sizes: ValueId) -> Result<Vec<ValueId>> {
    let attributes = Attributes::from_pairs([("axis", (-1).into())]);
    builder.node("Split", vec![Some(value), Some(sizes)], attributes, 2)
}

/// `(a·cos − b·sin, a·sin + b·cos)` of each pair `(a, b)`: neighbours, or number `i` of both halves.
fn rotated(
    builder: &mut Builder<'_>,
    value: ValueId,
    [mut cosine, mut sine]: [ValueId; 2],
    interleaved: bool,
) -> Result<ValueId> {
    let shape = builder.graph().shape(value)?.clone();
    let [batch, heads, tokens, width] = four(&shape)?;
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
    let parts = last_axis_split(builder, pairs, sizes)?;
    let products = |builder: &mut Builder<'_>, op_type: &str, [left, right]: [ValueId; 2]| {
        let (left, right) = (builder.op("Mul", &[parts[0], left])?, builder.op("Mul", &[parts[1], right])?);
        builder.op(op_type, &[left, right])
    };
    let real = products(builder, "Sub", [cosine, sine])?;
    let imaginary = products(builder, "Add", [sine, cosine])?;
    let turned = builder.op_with("Concat", &[real, imaginary], [("axis", (-1).into())])?;
    reshaped(builder, turned, shape.0)
}

fn four(shape: &Shape) -> Result<[Dim; 4]> {
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
