//! Concat, Split and Slice of an axis that holds the batch several times: `[k·N]`, as test-time flips and crops stack it.
//!
//! `Concat(x, flip(x))` along the batch has `2N` images. Its halves are taken by a Split, or by a Slice from `N` on. We
//! write all as a Reshape to `[k, N]`, a Concat or Slice of the `k`, and a Reshape back, so that shapes, gradients and
//! the search for images that influence each other need to know nothing of positions that are multiples of `N`. A Slice
//! in steps of `s`, of images that stand side by side, takes a column of `[k/s·N, s]`.

use super::decompose::identity;
use crate::error::Result;
use crate::facts::{Known, NodeView, Symbol};
use crate::graph::{Attributes, Builder, Dim, Graph, Node, Shape, ValueId};

/// A part of `[k·N]` along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Batches `start` up to `end`.
    Range { start: usize, end: usize },
    /// Every `step`-th image from `start` on.
    Column { start: usize, step: usize },
}

/// The nodes that compute what `node` computes, if it is a Split or Slice of stacked batches; `None` for other nodes.
pub(super) fn cut(graph: &mut Graph, known: &Known, node: &Node) -> Result<Option<Vec<Node>>> {
    if node.op_type == "Concat" {
        return stack(graph, node);
    }
    let view = NodeView { graph, node, known };
    let cut = match node.op_type.as_str() {
        "Split" => split_parts(&view).map(|(axis, times, parts)| (axis, times, None, parts)),
        "Slice" => slice_part(&view),
        _ => None,
    };
    let Some((axis, times, rest, parts)) = cut else { return Ok(None) };
    let mut builder = Builder::new(graph, node.name.clone());
    let mut x = node.input(0)?;
    if let Some(rest) = rest {
        let [starts, ends, axes, steps] = rest.map(|values| builder.ints(&values));
        x = builder.op("Slice", &[x, starts, ends, axes, steps])?;
    }
    let mut nodes = Vec::with_capacity(parts.len());
    for (index, (part, output)) in parts.into_iter().zip(&node.outputs).enumerate() {
        let Some(output) = *output else { continue };
        let value = take(&mut builder, x, axis, times, part)?;
        let name = format!("{}/part_{index}", node.name);
        nodes.push(identity(Node { name, outputs: vec![Some(output)], ..node.clone() }, value)?);
    }
    Ok(Some(nodes))
}

/// A Concat of batches, as one of `[k, N]` along the first of the two axes; `None` along other axes.
fn stack(graph: &mut Graph, node: &Node) -> Result<Option<Vec<Node>>> {
    let shapes: Vec<Shape> =
        node.inputs.iter().flatten().map(|id| graph.shape(*id).cloned()).collect::<Result<_>>()?;
    let Some(first) = shapes.first() else { return Ok(None) };
    let axis = first.axis(node.attributes.int("axis", 0)?)?;
    let times: Option<Vec<usize>> = shapes.iter().map(|shape| batches(*shape.0.get(axis)?)).collect();
    let Some(times) = times.filter(|times| times.len() > 1) else { return Ok(None) };
    let mut builder = Builder::new(graph, node.name.clone());
    let mut parts = Vec::with_capacity(times.len());
    for ((id, shape), times) in node.inputs.iter().flatten().zip(&shapes).zip(&times) {
        let unfolded = [&shape.0[..axis], &[Dim::Fixed(*times), Dim::N], &shape.0[axis + 1..]].concat();
        parts.push(reshaped(&mut builder, *id, &Shape(unfolded))?);
    }
    let stacked = builder.op_with("Concat", &parts, [("axis", (axis as i64).into())])?;
    let mut folded = first.clone();
    folded.0[axis] = Dim::Batch(times.iter().sum());
    let folded = reshaped(&mut builder, stacked, &folded)?;
    Ok(Some(vec![identity(node.clone(), folded)?]))
}

/// `k` of `k·N`.
fn batches(dim: Dim) -> Option<usize> {
    match dim {
        Dim::Batch(times) => Some(times),
        Dim::Fixed(_) => None,
    }
}

/// Axis, `k` of `k·N`, and a part for each output.
fn split_parts(view: &NodeView<'_>) -> Option<(usize, usize, Vec<Part>)> {
    let shape = view.shape(0).ok()?;
    let axis = view.axis(0, shape.rank()).ok()?;
    let (times, outputs) = (stacked(shape.0[axis])?, view.node.outputs.len());
    let sizes: Vec<usize> = match view.has(1) {
        true => view.symbols(1).ok()?.into_iter().map(multiple).collect::<Option<_>>()?,
        false => vec![times.checked_div(outputs)?; outputs],
    };
    if sizes.len() != outputs || sizes.iter().sum::<usize>() != times {
        return None;
    }
    let mut start = 0;
    let part = |size: usize| {
        start += size;
        Part::Range { start: start - size, end: start }
    };
    Some((axis, times, sizes.into_iter().map(part).collect()))
}

/// Starts, ends, axes and steps of a Slice.
type Bounds = [Vec<i64>; 4];

/// The same for the one output of a Slice, and what it takes of the other axes.
fn slice_part(view: &NodeView<'_>) -> Option<(usize, usize, Option<Bounds>, Vec<Part>)> {
    let shape = view.shape(0).ok()?;
    let (starts, ends) = (view.symbols(1).ok()?, view.symbols(2).ok()?);
    let axes = view.optional_ints(3).ok()?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = view.optional_ints(4).ok()?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()].iter().any(|count| *count != starts.len()) {
        return None;
    }
    let (mut found, mut rest) = (None, [(); 4].map(|()| Vec::new()));
    for (index, axis) in axes.iter().enumerate() {
        let axis = shape.axis(*axis).ok()?;
        match stacked(shape.0[axis]) {
            Some(times) => {
                found = Some((axis, times, part(times, starts[index], ends[index], steps[index])?));
            }
            None => {
                let bounds = [starts[index].int()?, ends[index].int()?, axis as i64, steps[index]];
                rest.iter_mut().zip(bounds).for_each(|(values, value)| values.push(value));
            }
        }
    }
    let (axis, times, part) = found?;
    let is_whole = part == Part::Range { start: 0, end: times };
    let others = (!rest[0].is_empty()).then_some(rest);
    (!is_whole).then_some((axis, times, others, vec![part]))
}

fn part(times: usize, start: Symbol, end: Symbol, step: i64) -> Option<Part> {
    let whole = |symbol: Symbol| match symbol {
        Symbol::Int(at) => at >= i64::from(i32::MAX),
        Symbol::Batch(at) => usize::try_from(at) == Ok(times),
        Symbol::Unknown => false,
    };
    if step == 1 {
        let end = if whole(end) { times } else { position(end, times)? };
        let start = position(start, times)?;
        return (start < end && end <= times).then_some(Part::Range { start, end });
    }
    let (start, step) = (usize::try_from(start.int()?).ok()?, usize::try_from(step).ok()?);
    let fits = step > 1 && times.is_multiple_of(step) && start < step && whole(end);
    fits.then_some(Part::Column { start, step })
}

/// A position as a number of batches, counted from the begin.
fn position(symbol: Symbol, times: usize) -> Option<usize> {
    match symbol {
        Symbol::Int(0) => Some(0),
        Symbol::Batch(at) if at < 0 => times.checked_sub(usize::try_from(at.unsigned_abs()).ok()?),
        Symbol::Batch(at) => usize::try_from(at).ok(),
        Symbol::Int(_) | Symbol::Unknown => None,
    }
}

fn multiple(symbol: Symbol) -> Option<usize> {
    match symbol {
        Symbol::Batch(times) => usize::try_from(times).ok().filter(|times| *times > 0),
        Symbol::Int(_) | Symbol::Unknown => None,
    }
}

/// `k`, if the axis is `k·N` with `k ≥ 2`.
fn stacked(dim: Dim) -> Option<usize> {
    match dim {
        Dim::Batch(times) if times > 1 => Some(times),
        Dim::Batch(_) | Dim::Fixed(_) => None,
    }
}

/// Reshape, Slice, Reshape.
fn take(builder: &mut Builder<'_>, x: ValueId, axis: usize, times: usize, part: Part) -> Result<ValueId> {
    let shape = builder.graph().shape(x)?.clone();
    let (before, after) = (&shape.0[..axis], &shape.0[axis + 1..]);
    let (unfolded, sliced, bounds, taken) = match part {
        Part::Range { start, end } => {
            ([Dim::Fixed(times), Dim::N], axis, [start, end], Dim::Batch(end - start))
        }
        Part::Column { start, step } => {
            let images = Dim::Batch(times / step);
            ([images, Dim::Fixed(step)], axis + 1, [start, start + 1], images)
        }
    };
    let unfolded = reshaped(builder, x, &Shape([before, &unfolded, after].concat()))?;
    let [start, end] = bounds.map(|at| builder.ints(&[at as i64]));
    let sliced = builder.ints(&[sliced as i64]);
    let cut = builder.op("Slice", &[unfolded, start, end, sliced])?;
    reshaped(builder, cut, &Shape([before, &[taken], after].concat()))
}

fn reshaped(builder: &mut Builder<'_>, x: ValueId, shape: &Shape) -> Result<ValueId> {
    let target = builder.ints(&shape.reshape_target()?);
    builder.node("Reshape", vec![Some(x), Some(target)], Attributes::default(), 1).map(|ids| ids[0])
}

#[cfg(test)]
mod tests {
    use crate::graph::{Graph, ValueId};
    use crate::testing::{add, assert_equal_results, push, push_all};
    use crate::upgrade::upgrade;

    type Build = fn(&mut Graph, ValueId) -> Vec<ValueId>;

    /// `N`, `k·N` or the like, as a vector of one.
    fn size(graph: &mut Graph, value: ValueId) -> ValueId {
        push(graph, "Shape", &[value], "start=0 end=1")
    }

    fn slice(graph: &mut Graph, x: ValueId, [start, end, step]: [ValueId; 3]) -> ValueId {
        let axes = add(graph, "=[0]").unwrap();
        push(graph, "Slice", &[x, start, end, axes, step], "")
    }

    #[test]
    fn parts_of_stacked_batches() {
        let cases: [(&str, Build); 6] = [
            ("halves", |graph, both| push_all(graph, "Split", &[Some(both)], "axis=0 num_outputs=2", 2)),
            ("sizes that are computed", |graph, both| {
                let half = size(graph, both);
                let two = add(graph, "=[2]").unwrap();
                let half = push(graph, "Div", &[half, two], "");
                let sizes = push(graph, "Concat", &[half, half], "axis=0");
                push_all(graph, "Split", &[Some(both), Some(sizes)], "axis=0", 2)
            }),
            ("from N on", |graph, both| {
                let (two, end, one) =
                    (add(graph, "=[2]"), add(graph, "=[9223372036854775807]"), add(graph, "=[1]"));
                let all = size(graph, both);
                let half = push(graph, "Div", &[all, two.unwrap()], "");
                vec![slice(graph, both, [half, end.unwrap(), one.unwrap()])]
            }),
            ("the last N", |graph, both| {
                let (two, end, one) =
                    (add(graph, "=[-2]"), add(graph, "=[9223372036854775807]"), add(graph, "=[1]"));
                let all = size(graph, both);
                let half = push(graph, "Div", &[all, two.unwrap()], "");
                vec![slice(graph, both, [half, end.unwrap(), one.unwrap()])]
            }),
            ("up to N, and of other axes", |graph, both| {
                let (two, zero, one) = (add(graph, "=[2]"), add(graph, "=[1]"), add(graph, "=[4]"));
                let all = size(graph, both);
                let half = push(graph, "Div", &[all, two.unwrap()], "");
                let starts = add(graph, "=[0]").unwrap();
                let starts = push(graph, "Concat", &[starts, zero.unwrap()], "axis=0");
                let ends = push(graph, "Concat", &[half, one.unwrap()], "axis=0");
                let axes = add(graph, "=[0,1]").unwrap();
                vec![push(graph, "Slice", &[both, starts, ends, axes], "")]
            }),
            ("every second", |graph, both| {
                let [start, end, step] =
                    ["=[1]", "=[9223372036854775807]", "=[2]"].map(|text| add(graph, text).unwrap());
                vec![slice(graph, both, [start, end, step])]
            }),
        ];
        for (case, build) in cases {
            let mut graph = Graph::new("test", 18);
            let x = add(&mut graph, "f32[N,6]").unwrap();
            let negative = push(&mut graph, "Neg", &[x], "");
            let both = push(&mut graph, "Concat", &[x, negative], "axis=0");
            let outputs = build(&mut graph, both);
            graph.set_outputs(outputs);
            let upgraded = upgrade(&graph).unwrap_or_else(|error| panic!("{case}: {error}"));
            assert!(!upgraded.nodes().iter().any(|node| node.op_type == "Split"), "{case}");
            assert_equal_results(&graph, &upgraded, 0.0);
        }
    }
}
