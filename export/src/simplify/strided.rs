//! Rewrites a strided view of the batch, PyTorch's `as_strided`, as a Gather within each image.
//!
//! The dynamo exporter writes some views as `Gather(flat, i)` with `flat` `[k·N]` and `i[n, …] = k·n + c[…]`, the `k·n`
//! as `Range(0, N, 1)·k`. Image `n` then reads only its own elements, but a Gather along an axis with the batch looks
//! as if it could read those of another image. Here it becomes a Gather with the constant indices `c` along axis 1 of
//! `[N, k]`.

use std::cell::Cell;
use std::collections::HashMap;

use crate::error::Result;
use crate::facts::{Array, Content, Symbol};
use crate::graph::{Builder, Dim, Graph, Node, NodeId, Shape, ValueId};
use crate::tensor::Tensor;

/// Nodes that are looked at for the indices of one Gather; a view that PyTorch exports has some twenty.
const MOST_STEPS: usize = 256;

/// Rewrites every such Gather.
///
/// # Errors
/// As [`crate::shape::infer_node`].
pub(super) fn gather_per_image(graph: &mut Graph) -> Result<()> {
    let found: Vec<Strided> = {
        let search = Search { graph, producers: graph.producers() };
        graph.nodes().iter().filter_map(|node| search.strided(node)).collect()
    };
    let mut replaced = HashMap::new();
    for strided in &found {
        replaced.insert(strided.output, rewritten(graph, strided)?);
    }
    graph.replace_all_uses(&replaced);
    graph.sort()
}

/// A Gather of elements of each image.
struct Strided {
    name: String,
    /// `[k·N]`
    flat: ValueId,
    /// `k`
    elements: usize,
    /// `c`, without the axis of the images.
    offsets: Array<i64>,
    output: ValueId,
}

/// Indices `slope·n + offsets` for image `n`; in `offsets` the batch axis, if there is one, has size 1.
struct AffineIndices {
    slope: i64,
    offsets: Array<i64>,
}

struct Search<'a> {
    graph: &'a Graph,
    producers: HashMap<ValueId, NodeId>,
}

impl Search<'_> {
    fn strided(&self, node: &Node) -> Option<Strided> {
        if node.op_type != "Gather" {
            return None;
        }
        let (flat, indices) = (node.optional_input(0)?, node.optional_input(1)?);
        let [Dim::Batch(elements)] = self.graph.shape(flat).ok()?.0[..] else { return None };
        let (&Dim::N, _) = self.graph.shape(indices).ok()?.0.split_first()? else { return None };
        let affine = self.indices_of(indices, &Cell::new(MOST_STEPS))?;
        let inside = |offset: &i64| usize::try_from(*offset).is_ok_and(|offset| offset < elements);
        if affine.slope != i64::try_from(elements).ok()? || !affine.offsets.elements().iter().all(inside) {
            return None;
        }
        let offsets = affine.offsets.reshaped(&affine.offsets.dims()[1..])?;
        Some(Strided { name: node.name.clone(), flat, elements, offsets, output: node.optional_output(0)? })
    }

    /// The value as an affine function of the number of the image, if it is one that is found in so many steps: a value
    /// that is added to itself again and again is reached in twice as many ways each time.
    fn indices_of(&self, id: ValueId, steps: &Cell<usize>) -> Option<AffineIndices> {
        steps.set(steps.get().checked_sub(1)?);
        let dims = per_image(self.graph.shape(id).ok()?)?;
        if let Some(constant) = self.graph.constant(id) {
            let offsets = integers(&Content::from_tensor(constant)?)?;
            return Some(AffineIndices { slope: 0, offsets });
        }
        let node = self.graph.node(*self.producers.get(&id)?);
        let input = |index: usize| self.indices_of(node.optional_input(index)?, steps);
        match node.op_type.as_str() {
            "Range" => self
                .counts_images(node)
                .then_some(AffineIndices { slope: 1, offsets: Array::new(dims, vec![0])? }),
            "Unsqueeze" | "Reshape" | "Squeeze" => {
                let affine = input(0)?;
                let kept = affine.slope == 0 || self.begins_with_images(node);
                kept.then_some(AffineIndices { offsets: affine.offsets.reshaped(&dims)?, ..affine })
            }
            "Expand" => {
                let affine = input(0)?;
                Some(AffineIndices { offsets: affine.offsets.broadcast(&dims)?, ..affine })
            }
            "Add" => {
                let (a, b) = (input(0)?, input(1)?);
                let offsets = a.offsets.zip(&b.offsets, &dims, |a, b| a.checked_add(*b))?;
                Some(AffineIndices {
                    slope: a.slope.checked_add(b.slope)?,
                    offsets: collect_known(&offsets)?,
                })
            }
            "Mul" => product(&input(0)?, &input(1)?, &dims),
            _ => None,
        }
    }

    /// `Range(0, N, 1)`
    fn counts_images(&self, node: &Node) -> bool {
        let is = |index: usize, wanted: i64| {
            let constant = node.optional_input(index).and_then(|id| self.graph.constant(id)?.to_i64());
            constant.as_deref() == Some(&[wanted])
        };
        let images = node.optional_output(0).and_then(|id| self.graph.shape(id).ok());
        is(0, 0) && is(2, 1) && images.is_some_and(|shape| shape.0 == [Dim::N])
    }

    /// Whether the batch is the first axis before and after a change of shape.
    fn begins_with_images(&self, node: &Node) -> bool {
        [node.optional_input(0), node.optional_output(0)].iter().all(|id| {
            id.is_some_and(|id| self.graph.shape(id).is_ok_and(|shape| shape.0.first() == Some(&Dim::N)))
        })
    }
}

/// The dimensions with 1 for the batch; `None` if more than one dimension depends on the batch.
fn per_image(shape: &Shape) -> Option<Vec<usize>> {
    let mut images = 0;
    let size = |dim: &Dim| match *dim {
        Dim::N => {
            images += 1;
            Some(1)
        }
        dim => dim.fixed(),
    };
    let dims: Vec<usize> = shape.0.iter().map(size).collect::<Option<_>>()?;
    (images <= 1).then_some(dims)
}

fn integers(content: &Content) -> Option<Array<i64>> {
    let Content::Int(array) = content else { return None };
    collect_known(&array.map(|symbol: &Symbol| symbol.int()))
}

fn collect_known(array: &Array<Option<i64>>) -> Option<Array<i64>> {
    Array::new(array.dims().to_vec(), array.elements().iter().copied().collect::<Option<_>>()?)
}

/// The product, if at most one factor depends on the image, and the other is then a single number.
fn product(a: &AffineIndices, b: &AffineIndices, dims: &[usize]) -> Option<AffineIndices> {
    let (varying, constant) = if a.slope == 0 { (b, a) } else { (a, b) };
    let slope = match constant.offsets.elements() {
        _ if constant.slope != 0 => return None,
        _ if varying.slope == 0 => 0,
        [factor] => varying.slope.checked_mul(*factor)?,
        _ => return None,
    };
    let offsets = varying.offsets.zip(&constant.offsets, dims, |a, b| a.checked_mul(*b))?;
    Some(AffineIndices { slope, offsets: collect_known(&offsets)? })
}

/// `Gather(Reshape(flat, [N, k]), c, axis=1)`
fn rewritten(graph: &mut Graph, strided: &Strided) -> Result<ValueId> {
    let mut builder = Builder::new(graph, format!("{}/by_image", strided.name));
    let target = builder.ints(&[-1, strided.elements as i64]);
    let images = builder.op("Reshape", &[strided.flat, target])?; // [N, k]
    let offsets = Tensor::from_i64(strided.offsets.dims(), strided.offsets.elements());
    let offsets = builder.constant(offsets);
    builder.op_with("Gather", &[images, offsets], [("axis", 1_i64.into())])
}
