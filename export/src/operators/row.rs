//! The columns of the table of operators.

use super::batch::effect::BatchRule;
use super::bounds::step::BoundsRule;
use super::constants::arithmetic::Elementwise;
use super::gradient::kind::{GradientKind, Rule};
use crate::error::Result;
use crate::facts::{Content, NodeView};
use crate::graph::{Builder, Graph, Neighbours, Node, NodeId, TensorType, ValueId};
use crate::tensor::DataType;

/// What is known of one operator, in the form that it has in the working opset.
#[derive(Debug)]
pub(crate) struct Row {
    /// `op_type` of its nodes.
    pub(crate) name: &'static str,
    /// The first opset that has it.
    pub(crate) since: u32,
    /// The types of all outputs that it may have, in their order.
    pub(crate) types: fn(&NodeView) -> Result<Vec<TensorType>>,
    /// What it computes of elements that are known before the graph runs.
    pub(crate) constants: Constants,
    /// What it does to the images of a batch.
    pub(crate) batch: Batch,
    /// How cotangents pass it.
    pub(crate) gradient: Gradient,
    /// What a node hands out for the gradient only.
    pub(crate) saves: Saves,
    /// Whether it may give another answer each time.
    pub(crate) random: Random,
    /// What it becomes for an engine that lacks it.
    pub(crate) portable: Portable,
    /// What is known of its outputs where its inputs lie between bounds.
    pub(crate) bounds: Bounds,
}

/// Evaluation of constants.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Constants {
    /// The one output, of these dimensions.
    Evaluated(fn(&NodeView, &[usize]) -> Option<Content>),
    /// The one output, of this type.
    Converted(fn(&NodeView, DataType) -> Option<Content>),
    /// All outputs.
    Parts(fn(&NodeView) -> Option<Vec<Content>>),
    /// The one output, element by element.
    Elements(Elementwise),
    /// Left to the run time, and why.
    NotEvaluated(&'static str),
}

/// What happens to the images of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Batch {
    /// As the function says.
    Followed(BatchRule),
    /// Nothing: the operator depends on the shape of its input only, not on pixels.
    SizesOnly,
    /// Not known, and why.
    NotFollowed(&'static str),
}

/// The gradient. The texts say what is refused, or what is chosen at a kink, in `docs/operators.md`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Gradient {
    /// The derivative.
    Exact(Rule, &'static str),
    /// The derivative; the Boolean first input only selects between the others, which cuts no gradient.
    Selects(Rule, &'static str),
    /// The derivative wherever there is one; at a kink or a tie a choice.
    Subgradient(Rule, &'static str),
    /// A stand-in for a derivative that is zero almost everywhere.
    StraightThrough(Rule, &'static str),
    /// Zero wherever there is a derivative: the operator cuts the path.
    Zero,
    /// Zero in all inputs but this one, for which there is no rule.
    ZeroExcept(usize),
    /// None, and why.
    Undifferentiated(&'static str),
}

impl Gradient {
    /// The rule, where there is one.
    pub(crate) fn rule(self) -> Option<Rule> {
        match self {
            Self::Exact(rule, _)
            | Self::Selects(rule, _)
            | Self::Subgradient(rule, _)
            | Self::StraightThrough(rule, _) => Some(rule),
            Self::Zero | Self::ZeroExcept(_) | Self::Undifferentiated(_) => None,
        }
    }

    /// What it is.
    pub(crate) fn kind(self) -> Option<GradientKind> {
        match self {
            Self::Exact(..) | Self::Selects(..) => Some(GradientKind::Exact),
            Self::Subgradient(..) => Some(GradientKind::Subgradient),
            Self::StraightThrough(..) => Some(GradientKind::StraightThrough),
            Self::Zero | Self::ZeroExcept(_) => Some(GradientKind::Zero),
            Self::Undifferentiated(_) => None,
        }
    }

    /// What is refused, what is chosen at a kink, or why there is none.
    pub(crate) fn limits(self) -> &'static str {
        match self {
            Self::Exact(_, limits)
            | Self::Selects(_, limits)
            | Self::Subgradient(_, limits)
            | Self::StraightThrough(_, limits)
            | Self::Undifferentiated(limits) => limits,
            Self::Zero | Self::ZeroExcept(_) => "",
        }
    }
}

/// Extra outputs of a node that only its gradient rule needs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Saves {
    /// Nothing.
    Nothing,
    /// Further outputs, which the function adds to the node before it is differentiated.
    Outputs(fn(&mut Graph, NodeId)),
}

/// Randomness. Nothing may compute a random operator ahead of the run, or take two of them for the same value: the
/// noise would be frozen, and an attack would see a model that nobody deploys.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Random {
    /// The same inputs give the same outputs.
    Never,
    /// Every run draws numbers.
    Always,
    /// Where the function says so of a node.
    If(fn(&Graph, &Node) -> bool),
}

/// What the results of an activation tend to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limits {
    /// Each to 0 or 1.
    ZeroAndOne,
    /// Each to -1 or 1.
    MinusOneAndOne,
    /// Of each row along `axis` one to 1, the others to 0.
    OneOfRow,
}

/// Bounds of the outputs from bounds of the inputs, by interval arithmetic.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bounds {
    /// As the function says.
    Known(BoundsRule),
    /// As the function says; and of one input the operator is an activation that is constant over stretches of it, where no
    /// gradient passes.
    Flat(BoundsRule),
    /// As the function says; and of one input the operator is an activation that tends to these limits, near which hardly any
    /// gradient passes.
    Saturating(BoundsRule, Limits),
    /// Not known: nor is anything that follows.
    Unknown,
}

/// What an operator becomes in a graph for any engine.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Portable {
    /// Every engine has it.
    Itself,
    /// Nodes that compute its first output: one of ours, or one that not every engine has.
    Nodes(fn(&mut Builder<'_>, &Node) -> Result<ValueId>),
    /// The same, where they depend on the nodes around it.
    NodesAmong(fn(&mut Builder<'_>, &Node, &Neighbours<'_>) -> Result<ValueId>),
    /// Itself with its first output; nodes compute the further ones, which not every engine hands out.
    ExtraOutputs(fn(&mut Builder<'_>, &Node) -> Result<Vec<ValueId>>),
    /// One of ours that is only put in where there is a kernel for it.
    KernelOnly,
}
