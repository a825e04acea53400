//! One rule per operator: what a node does to cotangents.
//!
//! Every family has a file of the same inner order: the formula and its source, the rules, helpers, tests (central
//! differences through ONNX Runtime, and a snapshot of the subgraph). [`matmul`] is the one to copy.
//! In the formulas `x`, `a`, `b` are inputs, `y` is the output, `g` its cotangent, and `Σ` over broadcast axes is
//! [`unbroadcast`](unbroadcast::unbroadcast).

mod arithmetic;
mod average_pool;
mod batch_normalization;
pub(crate) mod blocks;
mod broadcast;
mod clip;
mod concat;
mod conv;
mod conv_transpose;
mod cum_sum;
pub(crate) mod dropout;
mod einsum;
mod elu;
mod entry;
mod expand;
mod gather;
mod gather_nd;
pub(crate) mod gelu;
mod gemm;
mod hard_sigmoid;
mod identity;
mod instance_normalization;
pub(crate) mod layer_normalization;
pub(crate) mod ledger;
mod lp_normalization;
mod lp_pool;
mod lrn;
mod matmul;
pub(crate) mod max_pool;
mod mean_variance_normalization;
mod pad;
mod patches;
mod phases;
mod piecewise;
mod pointwise;
mod quantize;
mod reduce;
mod reduce_extrema;
mod reduce_norm;
mod reduce_prod;
mod reduction;
mod relu;
mod reshape;
mod resize;
mod rms_normalization;
mod scatter;
mod select;
mod separable;
mod slice;
pub(crate) mod softmax;
mod softplus;
mod split;
mod standardise;
pub(crate) mod step;
mod sums;
mod tile;
mod top_k;
mod transpose;
mod trigonometry;
mod trilu;
mod unbroadcast;
mod variadic;
mod weights;
mod window;
mod zero;

use std::collections::BTreeSet;

use entry::Entry;
pub use entry::GradientKind;
pub(crate) use entry::Rule;

/// What each family registers.
const FAMILIES: &[&[Entry]] = &[
    arithmetic::RULES,
    average_pool::RULES,
    batch_normalization::RULES,
    blocks::RULES,
    clip::RULES,
    concat::RULES,
    conv::RULES,
    conv_transpose::RULES,
    cum_sum::RULES,
    dropout::RULES,
    einsum::RULES,
    elu::RULES,
    expand::RULES,
    gather::RULES,
    gather_nd::RULES,
    gelu::RULES,
    gemm::RULES,
    hard_sigmoid::RULES,
    identity::RULES,
    instance_normalization::RULES,
    layer_normalization::RULES,
    lp_normalization::RULES,
    lp_pool::RULES,
    lrn::RULES,
    matmul::RULES,
    max_pool::RULES,
    mean_variance_normalization::RULES,
    pad::RULES,
    piecewise::RULES,
    pointwise::RULES,
    quantize::RULES,
    reduce::RULES,
    reduce_extrema::RULES,
    reduce_norm::RULES,
    reduce_prod::RULES,
    relu::RULES,
    reshape::RULES,
    resize::RULES,
    rms_normalization::RULES,
    scatter::RULES,
    select::RULES,
    slice::RULES,
    softmax::RULES,
    softplus::RULES,
    split::RULES,
    tile::RULES,
    top_k::RULES,
    transpose::RULES,
    trigonometry::RULES,
    trilu::RULES,
    variadic::RULES,
    zero::RULES,
];

/// What is registered of an operator.
fn registered(op_type: &str) -> Option<&'static Entry> {
    entries().find(|entry| entry.op_type == op_type)
}

/// All that is registered, by family.
pub(crate) fn entries() -> impl Iterator<Item = &'static Entry> {
    FAMILIES.iter().copied().flatten()
}

/// The rule of an operator.
pub(crate) fn find(op_type: &str) -> Option<Rule> {
    registered(op_type)?.rule
}

/// The operators that have a rule, in alphabetical order.
pub(crate) fn supported() -> BTreeSet<&'static str> {
    entries().filter(|entry| entry.rule.is_some()).map(|entry| entry.op_type).collect()
}

/// Whether no gradient passes the operator, although it is a function of its inputs.
pub(crate) fn cuts(op_type: &str) -> bool {
    registered(op_type).is_some_and(|entry| entry.kind == GradientKind::Zero)
}

/// Whether the rule of the operator is a stand-in for a derivative that is zero almost everywhere.
pub(crate) fn is_straight_through(op_type: &str) -> bool {
    registered(op_type).is_some_and(|entry| entry.kind == GradientKind::StraightThrough)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_is_registered_once() {
        let mut seen = BTreeSet::new();
        let twice: Vec<&str> =
            entries().map(|entry| entry.op_type).filter(|op_type| !seen.insert(*op_type)).collect();
        assert!(twice.is_empty(), "registered twice: {twice:?}");
    }
}
