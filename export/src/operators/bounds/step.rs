//! What a rule sees of one node, and the intervals of its inputs.

use std::collections::HashMap;

use crate::error::Result;
use crate::graph::{Builder, Node, ValueId};

/// Two values of one shape, between whose elements those of a third lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) lower: ValueId,
    pub(crate) upper: ValueId,
}

/// The intervals of a node's outputs, in their order; `None` where they cannot be told.
pub(crate) type BoundsRule = fn(&mut BoundsStep<'_, '_>) -> Result<Option<Vec<Interval>>>;

/// One node, of whose inputs some are known by an interval and the others exactly.
pub(crate) struct BoundsStep<'a, 'g> {
    builder: &'a mut Builder<'g>,
    node: &'a Node,
    intervals: &'a HashMap<ValueId, Interval>,
}

impl<'a, 'g> BoundsStep<'a, 'g> {
    /// A step for `node`: what is not among `intervals` does not depend on the images.
    pub(crate) fn new(
        builder: &'a mut Builder<'g>,
        node: &'a Node,
        intervals: &'a HashMap<ValueId, Interval>,
    ) -> Self {
        Self { builder, node, intervals }
    }

    /// The node.
    pub(super) fn node(&self) -> &'a Node {
        self.node
    }

    /// Where the new nodes go.
    pub(super) fn builder(&mut self) -> &mut Builder<'g> {
        self.builder
    }

    /// The interval of input `index`; `None` where it is exact or absent.
    pub(super) fn interval(&self, index: usize) -> Option<Interval> {
        self.intervals.get(&self.node.optional_input(index)?).copied()
    }

    /// Both ends of input `index`, which are the same where it is exact.
    pub(super) fn ends(&self, index: usize) -> Result<Interval> {
        let exact = self.node.input(index)?;
        Ok(self.interval(index).unwrap_or(Interval { lower: exact, upper: exact }))
    }

    /// How many inputs are intervals.
    pub(super) fn bounded_inputs(&self) -> usize {
        (0..self.node.inputs.len()).filter(|index| self.interval(*index).is_some()).count()
    }

    /// The same operator on other inputs.
    pub(super) fn again(&mut self, inputs: Vec<Option<ValueId>>) -> Result<Vec<ValueId>> {
        let Node { op_type, attributes, outputs, .. } = self.node;
        self.builder.node(op_type, inputs, attributes.clone(), outputs.len())
    }

    /// A node with one output and no attributes.
    pub(super) fn op(&mut self, op_type: &str, inputs: &[ValueId]) -> Result<ValueId> {
        self.builder.op(op_type, inputs)
    }
}
