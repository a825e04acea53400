//! One rule per operator: what a node does to cotangents.
//!
//! Every family has a file of the same inner order: the formula and its source, the rules, helpers, tests (central
//! differences through ONNX Runtime, and a snapshot of the subgraph). [`matmul`] is the one to copy.
//! In the formulas `x`, `a`, `b` are inputs, `y` is the output, `g` its cotangent, and `Σ` over broadcast axes is
//! [`unbroadcast`](super::broadcast::unbroadcast).

mod arithmetic;
mod average_pool;
mod batch_normalization;
mod blocks;
mod clip;
mod concat;
mod conv;
mod conv_transpose;
pub(super) mod dropout;
mod einsum;
mod entry;
mod expand;
mod gather;
mod gather_nd;
mod gelu;
mod gemm;
mod identity;
pub(super) mod layer_normalization;
mod lp_pool;
mod matmul;
mod max_pool;
mod pad;
mod patches;
mod phases;
mod pointwise;
mod reduce;
mod relu;
mod reshape;
mod resize;
mod scatter;
mod select;
mod separable;
mod slice;
mod softmax;
mod split;
mod tile;
mod transpose;
mod window;
mod zero;

use std::collections::BTreeSet;

use super::step::Step;
use crate::error::Result;
use entry::Entry;
pub use entry::GradientKind;

/// Sends the contribution of one node to the cotangents of its inputs.
pub(super) type Rule = fn(&mut Step<'_, '_>) -> Result<()>;

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
    dropout::RULES,
    einsum::RULES,
    expand::RULES,
    gather::RULES,
    gather_nd::RULES,
    gelu::RULES,
    gemm::RULES,
    identity::RULES,
    layer_normalization::RULES,
    lp_pool::RULES,
    matmul::RULES,
    max_pool::RULES,
    pad::RULES,
    pointwise::RULES,
    reduce::RULES,
    relu::RULES,
    reshape::RULES,
    resize::RULES,
    scatter::RULES,
    select::RULES,
    slice::RULES,
    softmax::RULES,
    split::RULES,
    tile::RULES,
    transpose::RULES,
    zero::RULES,
];

/// What is registered of an operator.
fn entry(op_type: &str) -> Option<&'static Entry> {
    entries().find(|entry| entry.op_type == op_type)
}

/// All that is registered, by family.
pub(super) fn entries() -> impl Iterator<Item = &'static Entry> {
    FAMILIES.iter().copied().flatten()
}

/// The rule of an operator.
pub(super) fn find(op_type: &str) -> Option<Rule> {
    entry(op_type)?.rule
}

/// The operators that have a rule, in alphabetical order.
pub(super) fn supported() -> BTreeSet<&'static str> {
    entries().filter(|entry| entry.rule.is_some()).map(|entry| entry.op_type).collect()
}

/// Whether no gradient passes the operator, although it is a function of its inputs.
pub(super) fn cuts(op_type: &str) -> bool {
    entry(op_type).is_some_and(|entry| entry.kind == GradientKind::Zero)
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
