//! What a rule sees of one node, and where it sends what it computes.

use std::collections::HashSet;

use super::ledger::{Ledger, Piece};
use super::mend::mend;
use super::unbroadcast::unbroadcast;
use crate::error::{Error, Result};
use crate::graph::{Builder, Node, Shape, ValueId};
use crate::tensor::{DataType, Tensor};

/// One node of the reverse walk.
///
/// A rule reads [`Step::cotangent`] and [`Step::send`]s a contribution to each input that it differentiates. What it
/// sends is only computed for inputs that carry gradient, so rules list all inputs without asking.
pub(crate) struct Step<'a, 'g> {
    builder: &'a mut Builder<'g>,
    ledger: &'a mut Ledger,
    node: &'a Node,
    cotangents: Vec<Option<ValueId>>,
    wanted: Vec<bool>,
    /// Whether contributions may hold numbers that are not finite.
    mends: bool,
}

impl<'a, 'g> Step<'a, 'g> {
    /// A step for `node`, whose outputs have these `cotangents`.
    pub(crate) fn new(
        builder: &'a mut Builder<'g>,
        ledger: &'a mut Ledger,
        node: &'a Node,
        cotangents: Vec<Option<ValueId>>,
        active: &HashSet<ValueId>,
        mends: bool,
    ) -> Self {
        let wanted = node.inputs.iter().map(|id| id.is_some_and(|id| active.contains(&id))).collect();
        Self { builder, ledger, node, cotangents, wanted, mends }
    }

    /// The node, for its attributes.
    pub(crate) fn node(&self) -> &'a Node {
        self.node
    }

    /// Input number `index` of the node.
    pub(crate) fn input(&self, index: usize) -> Result<ValueId> {
        self.node.input(index)
    }

    /// The one output of the node.
    pub(crate) fn output(&self) -> Result<ValueId> {
        self.node.output(0)
    }

    /// The cotangent of the node's first output, `g` in the formulas of the rules.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) when another output carries gradient: most rules know
    /// only the first.
    pub(crate) fn cotangent(&self) -> Result<ValueId> {
        match self.cotangents[..] {
            [Some(cotangent), ref others @ ..] if others.iter().all(Option::is_none) => Ok(cotangent),
            _ => Err(Error::unsupported("the logits depend on an output of it other than the first")),
        }
    }

    /// The cotangent of each output; `None` where the logits do not depend on it.
    pub(crate) fn cotangents(&self) -> &[Option<ValueId>] {
        &self.cotangents
    }

    /// Shape of a value.
    pub(crate) fn shape(&self, value: ValueId) -> Result<Shape> {
        self.builder.graph().shape(value).cloned()
    }

    /// Element type of a value.
    pub(crate) fn dtype(&self, value: ValueId) -> Result<DataType> {
        self.builder.graph().tensor_type(value).map(|tensor_type| tensor_type.dtype)
    }

    /// The constant behind a value, where it is one.
    pub(crate) fn constant(&self, value: ValueId) -> Option<&Tensor> {
        self.builder.graph().constant(value)
    }

    /// The constant `int64` elements of input `index`, or `None` where the input is left out.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) when the input is computed at run time.
    pub(crate) fn ints(&self, index: usize) -> Result<Option<Vec<i64>>> {
        let Some(id) = self.node.optional_input(index) else { return Ok(None) };
        let values = self.constant(id).and_then(Tensor::to_i64).ok_or_else(|| {
            Error::unsupported(format!(
                "its input `{}` is not a constant int64 tensor after folding",
                self.builder.graph().value(id).name
            ))
        })?;
        Ok(Some(values))
    }

    /// The builder, for nodes that several inputs share.
    pub(crate) fn builder(&mut self) -> &mut Builder<'g> {
        self.builder
    }

    /// Whether input `index` carries gradient.
    pub(crate) fn wants(&self, index: usize) -> bool {
        self.wanted.get(index).copied().unwrap_or(false)
    }

    /// Sends input `index` its contribution, if it wants one.
    pub(crate) fn send(
        &mut self,
        index: usize,
        contribution: impl FnOnce(&mut Builder<'g>) -> Result<ValueId>,
    ) -> Result<()> {
        if self.wants(index) {
            let cotangent = contribution(self.builder)?;
            let cotangent = self.mended(cotangent)?;
            self.ledger.add_whole(self.node.input(index)?, cotangent);
        }
        Ok(())
    }

    fn mended(&mut self, contribution: ValueId) -> Result<ValueId> {
        if self.mends { mend(self.builder, contribution) } else { Ok(contribution) }
    }

    /// As [`Step::send`], for a contribution that still has axes along which the input was broadcast.
    pub(crate) fn send_summed(
        &mut self,
        index: usize,
        contribution: impl FnOnce(&mut Builder<'g>) -> Result<ValueId>,
    ) -> Result<()> {
        if !self.wants(index) {
            return Ok(());
        }
        let (input, shape) = (self.input(index)?, self.shape(self.input(index)?)?);
        let broadcast = contribution(self.builder)?;
        // Before the sum, which one NaN would spoil.
        let broadcast = self.mended(broadcast)?;
        let cotangent = unbroadcast(self.builder, broadcast, &shape)?;
        self.ledger.add_whole(input, cotangent);
        Ok(())
    }

    /// Sends input `index` a contribution to a part of one axis, if it wants one.
    pub(crate) fn send_piece(&mut self, index: usize, piece: Piece) -> Result<()> {
        if self.wants(index) {
            self.ledger.add_piece(self.node.input(index)?, piece);
        }
        Ok(())
    }

    /// Refuses a node whose input `index` carries gradient, because the rule takes it for a constant.
    pub(crate) fn refuse(&self, index: usize, role: &str) -> Result<()> {
        if self.wants(index) {
            return Err(Error::unsupported(format!(
                "its {role} depends on the images; no gradient rule for that"
            )));
        }
        Ok(())
    }
}
