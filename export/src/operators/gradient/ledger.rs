//! Contributions to the cotangents of values, and their sum.
//!
//! A value that several nodes read gets one contribution from each. Contributions of Slice, Split and Gather are
//! [`Piece`]s that cover a part of one axis: siblings that tile the axis become one Concat instead of a padded sum
//! (0.330 s against 0.384 s on a ViT-T).

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::graph::{Builder, Shape, ValueId};

/// A cotangent for the elements `start .. start + length` of one axis; zero elsewhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece {
    /// The axis, non-negative.
    pub axis: usize,
    /// First element on the axis.
    pub start: usize,
    /// Number of elements on the axis, at least one.
    pub length: usize,
    /// The cotangent, of the value's shape except for `length` elements on `axis`.
    pub cotangent: ValueId,
}

impl Piece {
    fn end(&self) -> usize {
        self.start + self.length
    }
}

/// All contributions so far, by value.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    wholes: BTreeMap<ValueId, Vec<ValueId>>,
    pieces: BTreeMap<ValueId, Vec<Piece>>,
}

impl Ledger {
    /// Adds a cotangent of the value's own shape.
    pub(crate) fn add_whole(&mut self, value: ValueId, cotangent: ValueId) {
        self.wholes.entry(value).or_default().push(cotangent);
    }

    /// Adds a cotangent of a part of the value.
    pub(crate) fn add_piece(&mut self, value: ValueId, piece: Piece) {
        self.pieces.entry(value).or_default().push(piece);
    }

    /// Sums all contributions to `value`; `None` when there are none.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::ErrorKind::Shape) when a rule produced a cotangent of another shape.
    pub(crate) fn sum(&mut self, builder: &mut Builder<'_>, value: ValueId) -> Result<Option<ValueId>> {
        let mut terms = self.wholes.remove(&value).unwrap_or_default();
        let shape = builder.graph().shape(value)?.clone();
        for layer in layers(self.pieces.remove(&value).unwrap_or_default()) {
            terms.push(assemble(builder, &shape, &layer)?);
        }
        for term in &terms {
            check_shape(builder, value, *term)?;
        }
        let Some((first, rest)) = terms.split_first() else { return Ok(None) };
        rest.iter().try_fold(*first, |sum, term| builder.op("Add", &[sum, *term])).map(Some)
    }
}

/// Layers that a piece is offered to: of more, which all overlap, each becomes one of its own.
const MOST_LAYERS: usize = 64;

/// Groups pieces so that within a group they lie on one axis, in order, without overlap.
fn layers(mut pieces: Vec<Piece>) -> Vec<Vec<Piece>> {
    pieces.sort_by_key(|piece| (piece.axis, piece.start));
    let mut layers: Vec<Vec<Piece>> = Vec::new();
    for piece in pieces {
        let fits = |layer: &&mut Vec<Piece>| {
            layer.last().is_some_and(|last| last.axis == piece.axis && last.end() <= piece.start)
        };
        match layers.iter_mut().take(MOST_LAYERS).find(fits) {
            Some(layer) => layer.push(piece),
            None => layers.push(vec![piece]),
        }
    }
    layers
}

/// One Concat of the pieces of a layer, with zeros in the gaps.
fn assemble(builder: &mut Builder<'_>, shape: &Shape, layer: &[Piece]) -> Result<ValueId> {
    let axis = layer[0].axis;
    let size = shape.0[axis]
        .fixed()
        .ok_or_else(|| Error::unsupported(format!("a part of axis {axis} of {shape}, which is the batch")))?;
    let mut parts = Vec::with_capacity(layer.len());
    for (index, piece) in layer.iter().enumerate() {
        let before = if index == 0 { piece.start } else { 0 };
        let next = layer.get(index + 1).map_or(size, |next| next.start);
        let after =
            next.checked_sub(piece.end()).ok_or_else(|| Error::shape("a part lies outside its axis"))?;
        parts.push(pad(builder, piece.cotangent, shape.rank(), axis, [before, after])?);
    }
    match parts[..] {
        [part] => Ok(part),
        _ => builder.op_with("Concat", &parts, [("axis", (axis as i64).into())]),
    }
}

/// Zeros before and after the elements of one axis.
pub(crate) fn pad(
    builder: &mut Builder<'_>,
    value: ValueId,
    rank: usize,
    axis: usize,
    [before, after]: [usize; 2],
) -> Result<ValueId> {
    if before == 0 && after == 0 {
        return Ok(value);
    }
    let mut pads = vec![0; 2 * rank];
    pads[axis] = before as i64;
    pads[rank + axis] = after as i64;
    let pads = builder.ints(&pads);
    builder.op("Pad", &[value, pads])
}

fn check_shape(builder: &Builder<'_>, value: ValueId, cotangent: ValueId) -> Result<()> {
    let graph = builder.graph();
    let (wanted, found) = (graph.shape(value)?, graph.shape(cotangent)?);
    if wanted == found {
        return Ok(());
    }
    Err(Error::shape(format!("its cotangent has shape {found}, wanted {wanted}: a gradient rule is wrong"))
        .at_tensor(&graph.value(value).name))
}
