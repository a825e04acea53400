//! Rewrites a joint projection of query, key and value that is unbound along an axis of its own as a Split.
//!
//! timm and torchvision permute `[N, T, 3, H, d] → [3, N, H, T, d]` and unbind the first axis, which exporters write as
//! Gather, Slice or Split. As a Split of the projection, with one Transpose for each part, `split_qkv` and
//! `attention_heads` recognise it.

use std::collections::HashMap;

use super::affine::bias_addition;
use super::use_counts::{readers, use_counts};
use crate::error::Result;
use crate::facts::{Known, LARGEST_FOLLOWED, NodeView};
use crate::graph::{Attributes, Builder, Dim, Graph, Node, NodeId, Shape, ValueId};
use crate::operators::types::{axis_ranges, permutation, split_sizes};

/// Rewrites every such projection.
///
/// # Errors
/// As [`crate::shape::infer_node`].
pub(super) fn rewrite_as_split(graph: &mut Graph) -> Result<()> {
    let found: Vec<UnboundProjection> = {
        let around = (graph.producers(), use_counts(graph), readers(graph));
        graph.nodes().iter().filter_map(|node| unbound_projection(graph, &around, node)).collect()
    };
    let mut replaced = HashMap::new();
    for projection in &found {
        rewrite(graph, projection, &mut replaced)?;
    }
    graph.replace_all_uses(&replaced);
    if !found.is_empty() {
        graph.sort()?;
        graph.prune();
    }
    Ok(())
}

/// A projection `[N, T, S·H·d]`, and the values that its `S` parts become.
struct UnboundProjection {
    name: String,
    projected: ValueId,
    /// `N`.
    batch: Dim,
    /// `[T, S, H, d]`.
    sizes: [usize; 4],
    /// Values `[N, H, T, d]` or `[1, N, H, T, d]`, and the part that each is.
    picks: Vec<(ValueId, usize)>,
}

/// The producer of each value, how often it is used, and its readers.
type Around = (HashMap<ValueId, NodeId>, HashMap<ValueId, usize>, HashMap<ValueId, Vec<NodeId>>);

fn unbound_projection(
    graph: &Graph,
    (producers, uses, readers): &Around,
    transpose: &Node,
) -> Option<UnboundProjection> {
    let view = NodeView { graph, node: transpose, known: &Known::new(0) };
    if transpose.op_type != "Transpose" || permutation(&view).ok()? != [2, 0, 3, 1, 4] {
        return None;
    }
    let read_once =
        |id: ValueId| producers.get(&id).filter(|_| uses.get(&id) == Some(&1)).map(|id| graph.node(*id));
    let split = transpose.optional_input(0)?;
    let (batch, sizes) = graph.shape(split).ok()?.0.split_first()?;
    let sizes: Vec<usize> = sizes.iter().map(|dim| dim.fixed()).collect::<Option<_>>()?;
    let sizes: [usize; 4] = sizes.try_into().ok()?;
    let projected = read_once(split).filter(|node| node.op_type == "Reshape")?.optional_input(0)?;
    let is_layer = read_once(projected).is_some_and(|node| bias_addition(graph, node).is_some());
    let columns = sizes[1..].iter().try_fold(1_usize, |product, size| product.checked_mul(*size))?;
    let shape = [*batch, Dim::Fixed(sizes[0]), Dim::Fixed(columns)];
    if !is_layer || columns == 0 || graph.shape(projected).ok()?.0 != shape {
        return None;
    }
    let whole = transpose.optional_output(0)?;
    let readers = readers.get(&whole)?;
    let picks: Vec<Vec<(ValueId, usize)>> =
        readers.iter().map(|reader| picks(graph, graph.node(*reader))).collect::<Option<_>>()?;
    let complete = uses.get(&whole) == Some(&picks.len());
    complete.then(|| UnboundProjection {
        name: transpose.name.clone(),
        projected,
        batch: *batch,
        sizes,
        picks: picks.concat(),
    })
}

/// The values that a node picks from the first axis, one index each, and the index.
fn picks(graph: &Graph, reader: &Node) -> Option<Vec<(ValueId, usize)>> {
    let view = NodeView { graph, node: reader, known: &Known::new(LARGEST_FOLLOWED) };
    let output = reader.optional_output(0)?;
    match reader.op_type.as_str() {
        "Gather" if view.int("axis", 0).ok()? == 0 => match view.ints(1).ok()?[..] {
            [index] if graph.shape(output).ok()?.rank() <= 5 => {
                Some(vec![(output, usize::try_from(index).ok()?)])
            }
            _ => None,
        },
        "Slice" => {
            let (first, rest) =
                axis_ranges(&view).ok()?.split_first().map(|(first, rest)| (*first, rest.to_vec()))?;
            let lengths: Vec<Dim> = rest.iter().map(|range| range.length).collect();
            let is_one = first.length == Dim::Fixed(1) && lengths == view.shape(0).ok()?.0[1..];
            let forward = rest.iter().all(|range| range.step == 1);
            (is_one && forward).then_some(vec![(output, usize::try_from(first.start).ok()?)])
        }
        "Split" if view.int("axis", 0).ok()? == 0 => {
            let single = split_sizes(&view, 0).ok()?.iter().all(|size| *size == 1);
            let outputs = reader.outputs.iter().enumerate();
            single.then(|| outputs.filter_map(|(index, output)| Some(((*output)?, index))).collect())
        }
        _ => None,
    }
}

fn rewrite(
    graph: &mut Graph,
    projection: &UnboundProjection,
    replaced: &mut HashMap<ValueId, ValueId>,
) -> Result<()> {
    let [tokens, count, heads, width] = projection.sizes;
    let in_heads = [projection.batch, Dim::Fixed(tokens), Dim::Fixed(heads), Dim::Fixed(width)];
    let in_heads = Shape(in_heads.to_vec()).reshape_target()?;
    let mut builder = Builder::new(graph, format!("{}/parts", projection.name));
    let sizes = builder.ints(&vec![(heads * width) as i64; count]);
    let axis = Attributes::from_pairs([("axis", 2.into())]);
    let parts = builder.node("Split", vec![Some(projection.projected), Some(sizes)], axis, count)?;
    for (value, index) in &projection.picks {
        let Some(part) = parts.get(*index) else { continue };
        let target = builder.ints(&in_heads);
        let split = builder.op("Reshape", &[*part, target])?;
        let forward = builder.op_with("Transpose", &[split], [("perm", vec![0, 2, 1, 3].into())])?;
        let target = builder.graph().shape(*value)?.reshape_target()?;
        let target = builder.ints(&target);
        replaced.insert(*value, builder.op("Reshape", &[forward, target])?);
    }
    Ok(())
}
