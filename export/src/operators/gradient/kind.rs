//! What a gradient rule is, and what it computes.

use super::step::Step;
use crate::error::Result;

/// Sends the contribution of one node to the cotangents of its inputs.
pub(crate) type Rule = fn(&mut Step<'_, '_>) -> Result<()>;

/// What a gradient rule computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GradientKind {
    /// The derivative.
    Exact,
    /// The derivative wherever there is one; at a kink or a tie a choice, which the limits state.
    Subgradient,
    /// A stand-in for a derivative that is zero almost everywhere (backward pass differentiable approximation,
    /// Athalye et al. 2018). A report names the nodes.
    StraightThrough,
    /// Zero wherever there is a derivative: the operator cuts the path.
    Zero,
}
