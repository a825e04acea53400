//! Rewrites a graph so that less is computed, and so that what is constant is seen to be constant.
//!
//! Exporters write the size of everything as arithmetic that runs with the model. [`simplify`] computes all of it that
//! does not depend on the images now: what remains needs the batch size or the pixels. Every rewrite keeps the
//! results of the graph for every batch size; those of layers change the last bits.
//!
//! In the order in which they are applied:
//! - shapes: `fold` what is known, `unexpand`, `noop`, `strided` views, `pairs`, and `sources` of sizes;
//! - layers: `gelu` recognised, `absorb`, `affine` and `layer_norm` move normalisation into weights (`layer`);
//! - transformers: `unbind` and `parts` separate projections, `tokens` computes what a token needs, `heads` brings heads to the
//!   front, `rows` makes linear layers Gemm.

mod absorb;
mod affine;
mod factor;
mod fold;
mod fuse;
mod gelu;
mod heads;
mod layer;
mod layer_norm;
mod layout;
mod noop;
mod open_gelu;
mod pairs;
mod parts;
mod rows;
mod sources;
mod strided;
#[cfg(test)]
mod tests;
mod tokens;
mod unbind;
mod unexpand;

use std::collections::HashMap;

use crate::error::Result;
use crate::graph::{Attributes, Graph, Node, Shape, TensorType, ValueId};
use crate::shape;
use crate::tensor::Tensor;
pub(crate) use factor::take_out as take_out_factors;
pub(crate) use fuse::fuse;
pub(crate) use layout::enter_blocks;
pub(crate) use open_gelu::open_gelus;

/// Rewrites a graph at the working opset (see [`upgrade`](crate::upgrade)); its types are inferred anew.
///
/// # Errors
/// As [`shape::infer`].
pub fn simplify(graph: &mut Graph) -> Result<()> {
    work_out_shapes(graph)?;
    tidy(graph);
    layers(graph)?;
    transformers(graph)?;
    pairs::channels_last(graph);
    tidy(graph);
    shape::infer(graph)
}

/// Computes what does not depend on the images, and lets views of a batch read each image by itself.
///
/// # Errors
/// As [`shape::infer`].
pub(crate) fn work_out_shapes(graph: &mut Graph) -> Result<()> {
    fold::constants(graph)?;
    fold::reshape_targets(graph);
    unexpand::skip_expansions(graph);
    noop::remove(graph);
    strided::by_image(graph)
}

/// Moves what is constant into the weights of layers.
fn layers(graph: &mut Graph) -> Result<()> {
    gelu::recognise(graph);
    sources::look_through(graph);
    absorb::flatten_first(graph);
    absorb::in_front(graph);
    absorb::behind(graph);
    affine::normalise_in_place(graph);
    layer_norm::fold_into_weights(graph);
    fold_affine(graph)
}

/// Computes less for tokens that few look at, and arranges products as the runtime likes them.
fn transformers(graph: &mut Graph) -> Result<()> {
    unbind::as_split(graph)?;
    tidy(graph);
    pairs::within_stacks(graph);
    graph.prune();
    tidy(graph);
    parts::separate(graph);
    tokens::pull_up(graph);
    shape::infer(graph)?;
    heads::in_front(graph)?;
    fold_affine(graph)?;
    rows::as_gemm(graph);
    rows::activate_first(graph);
    Ok(())
}

fn fold_affine(graph: &mut Graph) -> Result<()> {
    affine::fold_into_weights(graph);
    affine::merge_biases(graph);
    graph.prune();
    shape::infer(graph)
}

/// Merges transpositions, and changes of shape, that follow each other. Typed graphs stay typed.
pub(crate) fn tidy(graph: &mut Graph) {
    pairs::merge(graph);
    noop::remove(graph);
}

/// A Reshape of `input` to `shape`; its output is a new value of that type. `None` for an empty shape, or one with two
/// multiples of the batch.
fn reshape_node(graph: &mut Graph, name: &str, input: ValueId, shape: &Shape) -> Option<Node> {
    let dtype = graph.tensor_type(input).ok()?.dtype;
    let empty = shape.0.iter().any(|dim| dim.fixed() == Some(0));
    let target = shape.reshape_target().ok().filter(|_| !empty)?;
    let target = graph.add_constant(&format!("{name}/target"), Tensor::vector_i64(&target));
    let output = graph.add_fresh_value(name, Some(TensorType { dtype, shape: shape.clone() }));
    Some(Node {
        name: graph.value(output).name.clone(),
        op_type: "Reshape".to_owned(),
        inputs: vec![Some(input), Some(target)],
        outputs: vec![Some(output)],
        attributes: Attributes::default(),
    })
}

/// How often each value is used, by nodes and as an output of the graph.
fn uses(graph: &Graph) -> HashMap<ValueId, usize> {
    let mut uses = HashMap::new();
    let inputs = graph.nodes().iter().flat_map(|node| node.inputs.iter().flatten());
    for id in inputs.chain(graph.outputs()) {
        *uses.entry(*id).or_default() += 1;
    }
    uses
}
