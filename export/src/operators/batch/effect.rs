//! Input and result of a batch rule.

use std::collections::HashMap;

use crate::facts::NodeView;
use crate::graph::{Shape, ValueId};

/// Where the batch is in a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchAxis {
    /// The axis of size `outer · N · inner`.
    pub(crate) axis: usize,
    /// Elements of the axis between one image and the next.
    pub(crate) inner: usize,
}

/// The effect of one operator on the images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// They stay independent; this is the batch axis of the outputs.
    Independent(BatchAxis),
    /// They influence each other.
    Mixed,
}

/// The effect of a node; `None` where it cannot be told.
pub(crate) type BatchRule = fn(&BatchView<'_>) -> Option<Effect>;

/// One node, and where the batch is in the inputs that depend on the images.
pub(crate) struct BatchView<'a> {
    pub(crate) view: NodeView<'a>,
    pub(crate) batch_axes: &'a HashMap<ValueId, BatchAxis>,
}

impl BatchView<'_> {
    /// The batch axis of input `index`; `None` where it does not depend on the images.
    pub(super) fn batch(&self, index: usize) -> Option<BatchAxis> {
        self.batch_axes.get(&self.view.node.optional_input(index)?).copied()
    }

    /// The batch axis of the first input, if no other input depends on the images.
    pub(super) fn first_input_only(&self) -> Option<BatchAxis> {
        let others = (1..self.view.node.inputs.len()).any(|index| self.batch(index).is_some());
        self.batch(0).filter(|_| !others)
    }

    /// The batch axis of all inputs that depend on the images, if it is the same in all.
    pub(super) fn common_axis(&self) -> Option<BatchAxis> {
        let mut batch_axes = (0..self.view.node.inputs.len()).filter_map(|index| self.batch(index));
        let first = batch_axes.next()?;
        batch_axes.all(|batch| batch == first).then_some(first)
    }

    /// Shape of the first output.
    pub(super) fn output(&self) -> Option<&Shape> {
        self.view.graph.shape(self.view.node.optional_output(0)?).ok()
    }

    /// The attribute `axis`.
    pub(super) fn axis(&self, default: i64) -> Option<usize> {
        self.view.axis(default, self.view.shape(0).ok()?.rank()).ok()
    }

    /// An operator that computes along that axis of its first input.
    pub(super) fn along(&self, axis: usize) -> Option<Effect> {
        let batch = self.first_input_only()?;
        Some(if axis == batch.axis { Effect::Mixed } else { Effect::Independent(batch) })
    }
}

/// The axis that depends on the batch, where there is exactly one.
pub(crate) fn batch_axis(shape: &Shape) -> Option<usize> {
    let mut axes = (0..shape.rank()).filter(|axis| shape.0[*axis].fixed().is_none());
    axes.next().filter(|_| axes.next().is_none())
}
