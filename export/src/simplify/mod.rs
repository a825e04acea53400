//! Rewrites a graph so that less is computed, and so that what is constant is seen to be constant.
//!
//! Exporters write the size of everything as arithmetic that runs with the model. [`simplify`] computes all of it that
//! does not depend on the images now: what remains needs the batch size or the pixels. Every rewrite keeps the
//! results of the graph for every batch size; those of layers change the last bits.
//!
//! The passes, in the order in which they run:
//! - shapes: constant folding (`fold`), `redundant_expand`, `noop`, `strided` views, `merge_adjacent`, and
//!   `shape_source`;
//! - layers: `gelu` is recognised; `fold_affine`, `affine` and `layer_norm` fold normalisation into weights (`layer`);
//! - transformers: `unbind` and `split_qkv` separate the projections, `select_tokens` computes only the tokens that are
//!   used, `attention_heads` moves the head axis to the front, or
//!   `attention_kernel` makes one node of it, `linear_to_gemm` makes linear layers Gemm.
//!
//! Three passes run on gradient graphs only: `expand_gelu` before differentiation, `factor` and `blocked_layout` after
//! it. `fuse`, `image_gradient`, `winograd`, `batch_last` and `products` replace operators by those that our kernels implement.

mod affine;
mod attention;
mod attention_heads;
mod attention_kernel;
mod batch_last;
mod blocked_layout;
mod expand_gelu;
mod factor;
mod fold;
mod fold_affine;
mod fuse;
mod gelu;
mod image_gradient;
mod layer;
mod layer_norm;
mod linear_to_gemm;
mod merge_adjacent;
mod noop;
mod products;
mod redundant_expand;
mod reshape_node;
mod select_tokens;
mod shape_source;
mod split_qkv;
mod strided;
#[cfg(test)]
mod tests;
mod unbind;
mod use_counts;
mod winograd;

use crate::error::Result;
use crate::graph::Graph;
use crate::shape;
use attention::AttentionForm;
pub(crate) use batch_last::turn as turn_batch_last;
pub(crate) use blocked_layout::enter_blocked_layout;
pub(crate) use expand_gelu::expand_gelu;
pub(crate) use factor::factor_out_common;
pub(crate) use fuse::fuse;
pub(crate) use image_gradient::use_image_gradients;
use linear_to_gemm::Biasless;
pub(crate) use products::{Factors, use_products};
pub(crate) use winograd::use_winograd;

/// Rewrites a graph at the working opset (see [`upgrade`](crate::upgrade)); its types are inferred anew.
///
/// # Errors
/// As [`shape::infer`].
pub fn simplify(graph: &mut Graph) -> Result<()> {
    simplify_to(graph, AttentionForm::Standard)
}

/// As [`simplify`], with attention as our kernel computes it: only sessions with our operators can run what comes out.
///
/// # Errors
/// As [`shape::infer`].
pub(crate) fn simplify_for_kernels(graph: &mut Graph) -> Result<()> {
    simplify_to(graph, AttentionForm::Kernel)
}

fn simplify_to(graph: &mut Graph, form: AttentionForm) -> Result<()> {
    fold_shape_arithmetic(graph)?;
    clean_up(graph);
    fold_into_layers(graph)?;
    rewrite_transformers(graph, form)?;
    merge_adjacent::transpose_before_flatten(graph);
    clean_up(graph);
    shape::infer(graph)
}

/// As [`simplify`], without the rewrites that make new weights of those of the file: for graphs that are stored beside it and share
/// its weights.
///
/// # Errors
/// As [`shape::infer`].
pub(crate) fn simplify_keeping_weights(graph: &mut Graph) -> Result<()> {
    fold_shape_arithmetic(graph)?;
    clean_up(graph);
    gelu::recognise(graph);
    // The gradient of a MatMul reads the transpose, a second copy of the weights; that of a Gemm the weights themselves.
    linear_to_gemm::rewrite(graph, Biasless::ToGemm);
    linear_to_gemm::activation_before_reshape(graph);
    merge_adjacent::transpose_before_flatten(graph);
    clean_up(graph);
    shape::infer(graph)
}

/// Computes what does not depend on the images, and makes strided views of the batch read each image by itself.
///
/// # Errors
/// As [`shape::infer`].
pub(crate) fn fold_shape_arithmetic(graph: &mut Graph) -> Result<()> {
    fold::constants(graph)?;
    fold::reshape_targets(graph);
    redundant_expand::bypass(graph);
    noop::remove(graph);
    strided::gather_per_image(graph)
}

/// Folds constant scales, shifts and normalisation into the weights of layers.
fn fold_into_layers(graph: &mut Graph) -> Result<()> {
    gelu::recognise(graph);
    shape_source::read_earliest(graph);
    fold_affine::flatten_before(graph);
    fold_affine::fold_preceding(graph);
    fold_affine::fold_following(graph);
    affine::normalise_channels_last(graph);
    layer_norm::fold_into_weights(graph);
    fold_into_matmul(graph)
}

/// Computes only the tokens that are used, and arranges matrix products as the runtime runs them fastest.
fn rewrite_transformers(graph: &mut Graph, form: AttentionForm) -> Result<()> {
    unbind::rewrite_as_split(graph)?;
    clean_up(graph);
    merge_adjacent::stacked_transposes(graph);
    graph.prune();
    clean_up(graph);
    split_qkv::split_projections(graph);
    select_tokens::hoist(graph);
    shape::infer(graph)?;
    attention_heads::move_to_front(graph, form)?;
    fold_into_matmul(graph)?;
    linear_to_gemm::rewrite(graph, Biasless::Leave);
    linear_to_gemm::activation_before_reshape(graph);
    Ok(())
}

/// Folds affine maps into the MatMul that reads them, and merges the biases that this leaves.
fn fold_into_matmul(graph: &mut Graph) -> Result<()> {
    affine::fold_into_weights(graph);
    affine::merge_biases(graph);
    graph.prune();
    shape::infer(graph)
}

/// Merges adjacent Transposes and adjacent Reshapes, and removes no-ops. Typed graphs stay typed.
pub(crate) fn clean_up(graph: &mut Graph) {
    merge_adjacent::merge(graph);
    noop::remove(graph);
}
