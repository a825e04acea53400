//! Operators that move elements, for elements of any type.

use crate::facts::{Array, Content, NodeView, Symbol};
use crate::operators::dropout::dropout_is_active;
use crate::operators::types::{axis_ranges, permutation, split_sizes};

/// Applies one generic array function, whatever the elements are.
macro_rules! for_any {
    ($content:expr, $array:ident => $result:expr) => {
        match $content {
            Content::Int($array) => $result.map(Content::Int),
            Content::Float($array) => $result.map(Content::Float),
            Content::Bool($array) => $result.map(Content::Bool),
        }
    };
}

pub(crate) use for_any;

/// `Identity`
pub(crate) fn identity(view: &NodeView, _: &[usize]) -> Option<Content> {
    Some(view.content(0)?.into_owned())
}

/// `Dropout` that drops nothing.
pub(crate) fn dropout(view: &NodeView, dims: &[usize]) -> Option<Content> {
    if dropout_is_active(view.graph, view.node) == Some(false) { identity(view, dims) } else { None }
}

pub(crate) fn reshape(view: &NodeView, dims: &[usize]) -> Option<Content> {
    for_any!(&*view.content(0)?, array => array.reshaped(dims))
}

pub(crate) fn expand(view: &NodeView, dims: &[usize]) -> Option<Content> {
    for_any!(&*view.content(0)?, array => array.broadcast(dims))
}

pub(crate) fn tile(view: &NodeView, dims: &[usize]) -> Option<Content> {
    let content = view.content(0)?;
    let own = content.dims().to_vec();
    let source = |index: &[usize], from: &mut [usize]| {
        from.iter_mut().zip(index).zip(&own).for_each(|((from, at), dim)| *from = at % dim);
    };
    for_any!(&*content, array => array.picked(dims, source))
}

pub(crate) fn transpose(view: &NodeView, dims: &[usize]) -> Option<Content> {
    let permutation = permutation(view).ok()?;
    let source = |index: &[usize], from: &mut [usize]| {
        permutation.iter().zip(index).for_each(|(axis, at)| from[*axis] = *at);
    };
    for_any!(&*view.content(0)?, array => array.picked(dims, source))
}

pub(crate) fn slice(view: &NodeView, dims: &[usize]) -> Option<Content> {
    let content = view.content(0)?;
    let ranges = axis_ranges(view).ok()?;
    let source = |index: &[usize], from: &mut [usize]| {
        for ((from, at), range) in from.iter_mut().zip(index).zip(&ranges) {
            *from = (range.start + *at as i64 * range.step) as usize;
        }
    };
    for_any!(&*content, array => array.picked(dims, source))
}

pub(crate) fn gather(view: &NodeView, dims: &[usize]) -> Option<Content> {
    let (content, indices) = (view.content(0)?, view.content(1)?);
    let own = content.dims().to_vec();
    let axis = view.axis(0, own.len()).ok()?;
    let length = own[axis] as i64;
    let from_end = |at: i64| if at < 0 { at.checked_add(length) } else { Some(at) };
    let chosen = |symbol: &Symbol| symbol.int().and_then(from_end).and_then(|at| usize::try_from(at).ok());
    let positions: Vec<usize> = indices.symbols()?.iter().map(chosen).collect::<Option<_>>()?;
    let inner = own.len() - axis - 1;
    let index_dims = indices.dims().to_vec();
    let source = |index: &[usize], from: &mut [usize]| {
        let (outer, rest) = index.split_at(axis);
        let (at, tail) = rest.split_at(rest.len() - inner);
        let position = at.iter().zip(&index_dims).fold(0, |position, (at, dim)| position * dim + at);
        from[..axis].copy_from_slice(outer);
        from[axis] = positions[position];
        from[axis + 1..].copy_from_slice(tail);
    };
    for_any!(&*content, array => array.picked(dims, source))
}

pub(crate) fn concat(view: &NodeView, dims: &[usize]) -> Option<Content> {
    let contents: Vec<_> =
        (0..view.node.inputs.len()).map(|index| view.content(index)).collect::<Option<_>>()?;
    let axis = view.axis(0, dims.len()).ok()?;
    macro_rules! joined {
        ($kind:path) => {{
            let parts: Option<Vec<_>> = contents
                .iter()
                .map(|content| match &**content {
                    $kind(array) => Some(array.clone()),
                    _ => None,
                })
                .collect();
            Array::concatenated(&parts?, axis, dims).map($kind)
        }};
    }
    match &**contents.first()? {
        Content::Int(_) => joined!(Content::Int),
        Content::Float(_) => joined!(Content::Float),
        Content::Bool(_) => joined!(Content::Bool),
    }
}

pub(crate) fn split(view: &NodeView) -> Option<Vec<Content>> {
    let content = view.content(0)?;
    let axis = view.axis(0, content.dims().len()).ok()?;
    let mut start = 0;
    let mut part = |size: usize| {
        let begin = start;
        start += size;
        let mut dims = content.dims().to_vec();
        dims[axis] = size;
        let source = |index: &[usize], from: &mut [usize]| {
            from.copy_from_slice(index);
            from[axis] += begin;
        };
        for_any!(&*content, array => array.picked(&dims, source))
    };
    split_sizes(view, axis).ok()?.into_iter().map(&mut part).collect()
}

pub(crate) fn where_(view: &NodeView, dims: &[usize]) -> Option<Content> {
    let (condition, then, otherwise) = (view.content(0)?, view.content(1)?, view.content(2)?);
    let Content::Bool(condition) = &*condition else { return None };
    macro_rules! chosen {
        ($kind:path, $then:expr, $otherwise:expr) => {{
            let both = $then.zip($otherwise, dims, |then, otherwise| (*then, *otherwise))?;
            condition.zip(&both, dims, |condition, both| if *condition { both.0 } else { both.1 }).map($kind)
        }};
    }
    match (&*then, &*otherwise) {
        (Content::Int(then), Content::Int(otherwise)) => chosen!(Content::Int, then, otherwise),
        (Content::Float(then), Content::Float(otherwise)) => chosen!(Content::Float, then, otherwise),
        (Content::Bool(then), Content::Bool(otherwise)) => chosen!(Content::Bool, then, otherwise),
        _ => None,
    }
}
