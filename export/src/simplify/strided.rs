//! Views that an exporter writes as a Gather from a flat tensor, by indices that it computes: `as_strided`.
//!
//! The index of element `i` is `offset + Σ iₐ·strideₐ`. Where that counts through the whole tensor in order, the view is a
//! Reshape; PyTorch's dynamo exporter writes the pooled features of ConvNeXt so. Other views stay what they are.

use std::collections::HashMap;

use super::reshape_node;
use crate::evaluate::{Content, Symbol};
use crate::graph::{Dim, Graph, Node, NodeId, Shape, ValueId};

/// Indices are looked back on through at most this many nodes.
const DEEPEST: usize = 32;

/// Makes each such Gather a Reshape.
pub(super) fn as_reshape(graph: &mut Graph) {
    let producers = graph.producers();
    for index in 0..graph.nodes().len() {
        let id = NodeId(index as u32);
        let node = graph.node(id);
        let Some((name, data, output)) = whole_view(graph, &producers, node) else { continue };
        let Ok(shape) = graph.shape(output).cloned() else { continue };
        let Some(mut reshape) = reshape_node(graph, &name, data, &shape) else { continue };
        reshape.outputs = vec![Some(output)];
        reshape.name = name;
        *graph.node_mut(id) = reshape;
    }
}

/// Name, input and output of a Gather that takes all elements of a flat tensor in order.
fn whole_view(
    graph: &Graph,
    producers: &HashMap<ValueId, NodeId>,
    node: &Node,
) -> Option<(String, ValueId, ValueId)> {
    if node.op_type != "Gather" {
        return None;
    }
    let (data, indices) = (node.optional_input(0)?, node.optional_input(1)?);
    let &[size] = &graph.shape(data).ok()?.0[..] else { return None };
    // Constant indices have better rewrites.
    let computed = graph.constant(indices).is_none();
    let affine = Affine::of(graph, producers, indices, DEEPEST).filter(|_| computed)?;
    let counts = affine.counts_to(size);
    counts.then(|| Some((node.name.clone(), data, node.optional_output(0)?)))?
}

/// An integer tensor whose element `i` is `offset + Σ iₐ·strideₐ`.
struct Affine {
    shape: Shape,
    strides: Vec<Symbol>,
    offset: Symbol,
}

impl Affine {
    fn of(graph: &Graph, producers: &HashMap<ValueId, NodeId>, value: ValueId, depth: usize) -> Option<Self> {
        if graph.constant(value).is_some() {
            return Self::constant(graph, value);
        }
        let node = graph.node(*producers.get(&value)?);
        let depth = depth.checked_sub(1)?;
        let input = |index: usize| Self::of(graph, producers, node.optional_input(index)?, depth);
        let shape = graph.shape(value).ok()?.clone();
        match node.op_type.as_str() {
            "Range" => {
                let (start, step) = (input(0)?.single()?, input(2)?.single()?);
                Some(Self { shape, strides: vec![step], offset: start })
            }
            "Add" => input(0)?.plus(&input(1)?, shape),
            "Mul" => {
                let (left, right) = (input(0)?, input(1)?);
                match (left.single(), right.single()) {
                    (_, Some(factor)) => left.times(factor, shape),
                    (Some(factor), _) => right.times(factor, shape),
                    _ => None,
                }
            }
            "Identity" | "Cast" | "Reshape" | "Squeeze" | "Unsqueeze" => input(0)?.with_ones(shape),
            _ => None,
        }
    }

    /// A constant that follows the rule in all of its elements.
    fn constant(graph: &Graph, value: ValueId) -> Option<Self> {
        let tensor = graph.constant(value)?;
        let Content::Int(array) = Content::of(tensor)? else { return None };
        let numbers: Vec<i64> = array.elements().iter().map(|symbol| symbol.int()).collect::<Option<_>>()?;
        let offset = *numbers.first()?;
        let mut strides = vec![0; array.dims().len()];
        let mut distance = 1;
        for (stride, dim) in strides.iter_mut().zip(array.dims()).rev() {
            *stride = if *dim > 1 { numbers.get(distance)?.checked_sub(offset)? } else { 0 };
            distance *= dim;
        }
        let wanted = |flat: usize| {
            let mut rest = flat;
            let mut sum = offset;
            for (stride, dim) in strides.iter().zip(array.dims()).rev() {
                sum = sum.checked_add(stride.checked_mul((rest % dim) as i64)?)?;
                rest /= dim;
            }
            Some(sum)
        };
        let follows = numbers.iter().enumerate().all(|(flat, number)| wanted(flat) == Some(*number));
        follows.then(|| Self {
            shape: Shape::fixed(array.dims()),
            strides: strides.iter().map(|stride| Symbol::Int(*stride)).collect(),
            offset: Symbol::Int(offset),
        })
    }

    /// The number, where there is only one.
    fn single(&self) -> Option<Symbol> {
        (self.shape.elements() == Some(Dim::Fixed(1))).then_some(self.offset)
    }

    fn times(self, factor: Symbol, shape: Shape) -> Option<Self> {
        let strides = self.strides.iter().map(|stride| stride.times(factor)).collect();
        Self { strides, offset: self.offset.times(factor), ..self }.with_ones(shape)
    }

    /// The sum, broadcast to `shape`.
    fn plus(&self, other: &Self, shape: Shape) -> Option<Self> {
        let (left, right) = (self.repeated(&shape)?, other.repeated(&shape)?);
        let strides = left.iter().zip(&right).map(|(left, right)| left.plus(*right)).collect();
        Some(Self { shape, strides, offset: self.offset.plus(other.offset) })
    }

    /// Strides after broadcasting: an axis that is repeated does not move the index.
    fn repeated(&self, shape: &Shape) -> Option<Vec<Symbol>> {
        let missing = shape.rank().checked_sub(self.shape.rank())?;
        let own = self.shape.0.iter().zip(&self.strides).zip(&shape.0[missing..]);
        let own = own.map(|((dim, stride), wanted)| if dim == wanted { *stride } else { Symbol::Int(0) });
        Some([Symbol::Int(0)].repeat(missing).into_iter().chain(own).collect())
    }

    /// The same elements in a shape that differs only in axes of 1.
    fn with_ones(self, shape: Shape) -> Option<Self> {
        let own = self.shape.0.iter().zip(&self.strides).filter(|(dim, _)| **dim != Dim::Fixed(1));
        let mut own: std::collections::VecDeque<(Dim, Symbol)> =
            own.map(|(dim, stride)| (*dim, *stride)).collect();
        let mut strides = Vec::with_capacity(shape.rank());
        for dim in &shape.0 {
            if *dim == Dim::Fixed(1) {
                strides.push(Symbol::Int(0));
            } else {
                let (_, stride) = own.pop_front().filter(|(own, _)| own == dim)?;
                strides.push(stride);
            }
        }
        own.is_empty().then_some(Self { shape, strides, offset: self.offset })
    }

    /// Whether the elements are `0, 1, …` up to `size`, in order.
    fn counts_to(&self, size: Dim) -> bool {
        let mut count = Dim::Fixed(1);
        for (dim, stride) in self.shape.0.iter().zip(&self.strides).rev() {
            let moves = *dim != Dim::Fixed(1);
            if moves && Symbol::from(count) != *stride {
                return false;
            }
            match count.times(*dim) {
                Some(longer) => count = longer,
                None => return false,
            }
        }
        self.offset == Symbol::Int(0) && count == size
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simplify::simplify;
    use crate::testing::{add, assert_equal_results, push};

    /// `x` `[N, 3, 4]` seen through `as_strided` with shape `[N, 4, 3]` and these strides of the last two axes.
    fn viewed(strides: [&str; 2], offset: &str) -> Graph {
        let mut graph = Graph::new("test", 20);
        let x = add(&mut graph, "f32[N,3,4]").unwrap();
        let constant = |graph: &mut Graph, text: &str| add(graph, text).unwrap();
        let all = constant(&mut graph, "=[-1]");
        let flat = push(&mut graph, "Reshape", &[x, all], "");
        let (zero, one) = (constant(&mut graph, "=0"), constant(&mut graph, "=1"));
        let shape = push(&mut graph, "Shape", &[x], "");
        let batch = push(&mut graph, "Gather", &[shape, zero], "");
        let mut indices = constant(&mut graph, offset);
        let sizes = [batch, constant(&mut graph, "=4"), constant(&mut graph, "=3")];
        for ((size, stride), axes) in
            sizes.iter().zip(["=12", strides[0], strides[1]]).zip(["=[1,2]", "=[0,2]", "=[0,1]"])
        {
            let numbers = push(&mut graph, "Range", &[zero, *size, one], "");
            let stride = constant(&mut graph, stride);
            let scaled = push(&mut graph, "Mul", &[numbers, stride], "");
            let axes = constant(&mut graph, axes);
            let part = push(&mut graph, "Unsqueeze", &[scaled, axes], "");
            indices = push(&mut graph, "Add", &[indices, part], "");
        }
        let y = push(&mut graph, "Gather", &[flat, indices], "axis=0");
        graph.set_outputs(vec![y]);
        graph
    }

    fn operators(graph: &Graph) -> Vec<&str> {
        graph.nodes().iter().map(|node| node.op_type.as_str()).collect()
    }

    #[test]
    fn a_view_of_everything_in_order_is_a_reshape() {
        let file = viewed(["=3", "=1"], "=[0]");
        let mut graph = crate::upgrade::upgrade(&file).unwrap();
        simplify(&mut graph).unwrap();
        assert_eq!(operators(&graph), ["Reshape"]);
        assert_equal_results(&file, &graph, 0.0);
    }

    #[test]
    fn other_views_stay() {
        // Transposed; and the same element of all rows.
        for strides in [["=1", "=4"], ["=3", "=0"]] {
            let file = viewed(strides, "=[0]");
            let mut graph = crate::upgrade::upgrade(&file).unwrap();
            simplify(&mut graph).unwrap();
            assert!(operators(&graph).contains(&"Gather"), "{strides:?}");
            assert_equal_results(&file, &graph, 0.0);
        }
    }
}
