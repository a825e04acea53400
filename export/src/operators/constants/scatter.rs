//! Gathers and scatters by coordinates, as exporters write assignments to slices and relative positions.

use super::movement::for_any;
use crate::facts::{Array, Content, NodeView, Symbol};

/// Applies one generic array function to two arrays of the same kind.
macro_rules! for_both {
    ($left:expr, $right:expr, ($a:ident, $b:ident) => $result:expr) => {
        match ($left, $right) {
            (Content::Int($a), Content::Int($b)) => $result.map(Content::Int),
            (Content::Float($a), Content::Float($b)) => $result.map(Content::Float),
            (Content::Bool($a), Content::Bool($b)) => $result.map(Content::Bool),
            _ => None,
        }
    };
}

/// `GatherElements`
pub(crate) fn gather_elements(view: &NodeView, dims: &[usize]) -> Option<Content> {
    let (content, indices) = (view.content(0)?, view.content(1)?);
    let places = along_axis(&content, &indices, view.axis(0, dims.len()).ok()?)?;
    for_any!(&*content, array => taken(array, &places, 1, dims))
}

/// `GatherND` without batch dimensions.
pub(crate) fn gather_nd(view: &NodeView, dims: &[usize]) -> Option<Content> {
    if view.int("batch_dims", 0).ok()? != 0 {
        return None;
    }
    let (content, indices) = (view.content(0)?, view.content(1)?);
    let (places, length) = by_coordinates(&content, &indices)?;
    for_any!(&*content, array => taken(array, &places, length, dims))
}

/// `ScatterElements` that replaces.
pub(crate) fn scatter_elements(view: &NodeView, _: &[usize]) -> Option<Content> {
    let (content, indices, updates) = (view.content(0)?, view.content(1)?, view.content(2)?);
    let places = along_axis(&content, &indices, view.axis(0, content.dims().len()).ok()?)?;
    replaces(view)?;
    for_both!(&*content, &*updates, (array, updates) => replaced(array, &places, 1, updates))
}

/// `ScatterND` that replaces.
pub(crate) fn scatter_nd(view: &NodeView, _: &[usize]) -> Option<Content> {
    let (content, indices, updates) = (view.content(0)?, view.content(1)?, view.content(2)?);
    let (places, length) = by_coordinates(&content, &indices)?;
    replaces(view)?;
    for_both!(&*content, &*updates, (array, updates) => replaced(array, &places, length, updates))
}

fn replaces(view: &NodeView) -> Option<()> {
    (view.node.attributes.text("reduction", "none").ok()? == "none").then_some(())
}

/// Flat places of the elements that indices along one axis name.
fn along_axis(content: &Content, indices: &Content, axis: usize) -> Option<Vec<usize>> {
    let (dims, index_dims) = (content.dims(), indices.dims());
    if dims.len() != index_dims.len() {
        return None;
    }
    let mut places = Vec::new();
    for (flat, symbol) in indices.symbols()?.iter().enumerate() {
        let (mut rest, mut place, mut stride) = (flat, 0, 1);
        for at in (0..dims.len()).rev() {
            let own = rest % index_dims[at];
            rest /= index_dims[at];
            let coordinate = if at == axis { from_begin(*symbol, dims[at])? } else { own };
            if coordinate >= dims[at] {
                return None;
            }
            place += coordinate * stride;
            stride *= dims[at];
        }
        places.push(place);
    }
    Some(places)
}

/// Flat places of the blocks that coordinates name, and the length of a block.
fn by_coordinates(content: &Content, indices: &Content) -> Option<(Vec<usize>, usize)> {
    let depth = *indices.dims().last()?;
    let (named, block) = (content.dims().get(..depth)?, content.dims().get(depth..)?);
    let length = block.iter().product();
    if depth == 0 {
        return None;
    }
    let place = |coordinates: &[Symbol]| {
        let mut place = 0;
        for (symbol, dim) in coordinates.iter().zip(named) {
            place = place * dim + from_begin(*symbol, *dim)?;
        }
        Some(place * length)
    };
    Some((indices.symbols()?.chunks(depth).map(place).collect::<Option<_>>()?, length))
}

fn from_begin(index: Symbol, size: usize) -> Option<usize> {
    let index = index.int()?;
    let counted = if index < 0 { index.checked_add(i64::try_from(size).ok()?)? } else { index };
    usize::try_from(counted).ok().filter(|counted| *counted < size)
}

fn taken<T: Clone>(array: &Array<T>, places: &[usize], length: usize, dims: &[usize]) -> Option<Array<T>> {
    let mut elements = Vec::new();
    for place in places {
        elements.extend_from_slice(array.elements().get(*place..place.checked_add(length)?)?);
    }
    Array::new(dims.to_vec(), elements)
}

fn replaced<T: Clone>(
    array: &Array<T>,
    places: &[usize],
    length: usize,
    updates: &Array<T>,
) -> Option<Array<T>> {
    let mut elements = array.elements().to_vec();
    if updates.elements().len() != places.len().checked_mul(length)? {
        return None;
    }
    for (number, place) in places.iter().enumerate() {
        let block = &updates.elements()[number * length..(number + 1) * length];
        elements.get_mut(*place..place.checked_add(length)?)?.clone_from_slice(block);
    }
    Array::new(array.dims().to_vec(), elements)
}
