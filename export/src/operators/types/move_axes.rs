//! Operators that permute, repeat or pad axes.

use super::broadcast::broadcast;
use crate::error::{Error, Result};
use crate::facts::Symbol;
use crate::facts::{NodeView, fixed, typed};
use crate::graph::{Dim, Shape, TensorType};

/// `Transpose`: by default the axes in reverse.
pub(crate) fn transpose(view: &NodeView) -> Result<Vec<TensorType>> {
    let input = view.input(0)?;
    let dims = permutation(view)?.into_iter().map(|axis| input.shape.0[axis]).collect();
    Ok(vec![typed(input.dtype, dims)])
}

/// `perm` of a Transpose, checked to be a permutation of the input's axes.
pub(crate) fn permutation(view: &NodeView) -> Result<Vec<usize>> {
    let rank = view.shape(0)?.rank();
    let Some(stated) = view.node.attributes.ints("perm")? else { return Ok((0..rank).rev().collect()) };
    let mut sorted = stated.to_vec();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..rank as i64) {
        return Err(Error::format(format!(
            "attribute `perm` is {stated:?}, wanted a permutation of {rank} axes"
        )));
    }
    Ok(stated.iter().map(|axis| *axis as usize).collect())
}

/// `Expand(x, shape)`: both broadcast.
pub(crate) fn expand(view: &NodeView) -> Result<Vec<TensorType>> {
    let input = view.input(0)?;
    let target: Option<Vec<Dim>> = view.symbols(1)?.into_iter().map(Symbol::dim).collect();
    let target = target.ok_or_else(|| view.undetermined(1))?;
    Ok(vec![TensorType { dtype: input.dtype, shape: broadcast(&input.shape, &Shape(target))? }])
}

/// `Tile(x, repeats)`
pub(crate) fn tile(view: &NodeView) -> Result<Vec<TensorType>> {
    let input = view.input(0)?;
    let repeats = view.symbols(1)?;
    if repeats.len() != input.shape.rank() {
        return Err(Error::shape(format!("{} repeats for an input of shape {}", repeats.len(), input.shape)));
    }
    let tiled = |(dim, repeat): (&Dim, &Symbol)| repeat.dim().and_then(|repeat| dim.times(repeat));
    let dims: Option<Vec<Dim>> = input.shape.0.iter().zip(&repeats).map(tiled).collect();
    Ok(vec![typed(input.dtype, dims.ok_or_else(|| view.undetermined(1))?)])
}

/// `Pad(x, pads, value, axes)`: negative pads cut.
pub(crate) fn pad(view: &NodeView) -> Result<Vec<TensorType>> {
    let input = view.input(0)?;
    let (pads, mut dims) = (view.ints(1)?, input.shape.0.clone());
    let axes: Vec<usize> = match view.optional_ints(3)? {
        Some(axes) => axes.into_iter().map(|axis| input.shape.axis(axis)).collect::<Result<_>>()?,
        None => (0..input.shape.rank()).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(Error::shape(format!("{} pads for {} axes of {}", pads.len(), axes.len(), input.shape)));
    }
    if let Some(twice) = axes.iter().enumerate().find(|(index, axis)| axes[..*index].contains(axis)) {
        return Err(Error::shape(format!("axis {} stands twice in `axes`", twice.1)));
    }
    let copies = view.node.attributes.text("mode", "constant")? != "constant";
    for (index, axis) in axes.iter().enumerate() {
        let (begin, end) = (pads[index], pads[index + axes.len()]);
        if (begin, end) != (0, 0) {
            dims[*axis] = padded(dims[*axis], begin, end, copies).ok_or_else(|| {
                Error::shape(format!("pads {begin} and {end} do not fit axis {axis} of {}", input.shape))
            })?;
        }
    }
    Ok(vec![typed(input.dtype, dims)])
}

/// The size of a padded axis; none where negative pads cut more than there is, or leave nothing to copy.
fn padded(dim: Dim, begin: i64, end: i64, copies: bool) -> Option<Dim> {
    let size = i64::try_from(dim.fixed()?).ok()?;
    let kept = size.checked_add(begin.min(0))?.checked_add(end.min(0))?;
    let least = i64::from(copies && (begin > 0 || end > 0));
    let size = kept.checked_add(begin.max(0))?.checked_add(end.max(0))?;
    usize::try_from(size).ok().filter(|_| kept >= least).map(Dim::Fixed)
}

/// `DepthToSpace`: channels become pixels.
pub(crate) fn depth_to_space(view: &NodeView) -> Result<Vec<TensorType>> {
    let (input, block, [batch, channels, height, width]) = blocks(view)?;
    let area = block.checked_mul(block).map(Dim::Fixed);
    let dims = [
        Some(batch),
        area.and_then(|area| channels.divided_by(area)),
        height.times(Dim::Fixed(block)),
        width.times(Dim::Fixed(block)),
    ];
    all_or_misfit(input, block, dims)
}

/// `SpaceToDepth`: pixels become channels.
pub(crate) fn space_to_depth(view: &NodeView) -> Result<Vec<TensorType>> {
    let (input, block, [batch, channels, height, width]) = blocks(view)?;
    let area = block.checked_mul(block).map(Dim::Fixed);
    let dims = [
        Some(batch),
        area.and_then(|area| channels.times(area)),
        height.divided_by(Dim::Fixed(block)),
        width.divided_by(Dim::Fixed(block)),
    ];
    all_or_misfit(input, block, dims)
}

fn blocks<'a>(view: &NodeView<'a>) -> Result<(&'a TensorType, usize, [Dim; 4])> {
    let input = view.input(0)?;
    let misfit = || Error::shape(format!("the input is {}, wanted [N, C, H, W]", input.shape));
    let dims: [Dim; 4] = input.shape.0.clone().try_into().map_err(|_| misfit())?;
    dims[1..].iter().try_for_each(|dim| fixed(*dim, "a size").map(drop))?;
    let block = view.int("blocksize", 0)?;
    let block = usize::try_from(block).ok().filter(|block| *block > 0);
    Ok((input, block.ok_or_else(|| Error::format("attribute `blocksize` must be positive"))?, dims))
}

fn all_or_misfit(input: &TensorType, block: usize, dims: [Option<Dim>; 4]) -> Result<Vec<TensorType>> {
    let dims: Option<Vec<Dim>> = dims.into_iter().collect();
    let dims =
        dims.ok_or_else(|| Error::shape(format!("blocks of {block} do not divide {}", input.shape)))?;
    Ok(vec![typed(input.dtype, dims)])
}
