//! What the registry says of one operator.

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
    Kinked,
    /// A stand-in for a derivative that is zero almost everywhere (backward pass differentiable approximation,
    /// Athalye et al. 2018). A report names the nodes.
    StraightThrough,
    /// Zero wherever there is a derivative: the operator cuts the path.
    Zero,
}

/// One operator of the default domain: which opset brought it, what its rule computes, and what the rule refuses.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) op_type: &'static str,
    /// The first opset that has the operator.
    pub(crate) since: u32,
    pub(crate) kind: GradientKind,
    /// `None` for an operator that cuts the path.
    pub(crate) rule: Option<Rule>,
    /// What is refused, or what is chosen at a kink: a phrase for `docs/operators.md`, empty where there is nothing.
    pub(crate) limits: &'static str,
}

impl Entry {
    /// A rule that gives the derivative.
    pub(super) const fn exact(op_type: &'static str, since: u32, rule: Rule) -> Self {
        Self { op_type, since, kind: GradientKind::Exact, rule: Some(rule), limits: "" }
    }

    /// A rule for a function with kinks or ties; `choice` says what passes there.
    pub(super) const fn kinked(op_type: &'static str, since: u32, rule: Rule, choice: &'static str) -> Self {
        Self { op_type, since, kind: GradientKind::Kinked, rule: Some(rule), limits: choice }
    }

    /// An operator with float outputs whose derivative is zero wherever it exists.
    pub(super) const fn zero(op_type: &'static str, since: u32) -> Self {
        Self { op_type, since, kind: GradientKind::Zero, rule: None, limits: "" }
    }

    /// The same with a phrase that says what is refused.
    pub(super) const fn limited(self, limits: &'static str) -> Self {
        Self { limits, ..self }
    }
}
