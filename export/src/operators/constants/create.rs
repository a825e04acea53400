//! Operators that make tensors from attributes and shapes.

use crate::facts::{Array, Content, NodeView, Symbol};
use crate::graph::Dim;
use crate::operators::types::{constant_tensor, shape_slice};

/// `Constant`
pub(crate) fn constant(view: &NodeView, _: &[usize]) -> Option<Content> {
    Content::from_tensor(&constant_tensor(view.node).ok()?)
}

/// `Shape`
pub(crate) fn shape(view: &NodeView, _: &[usize]) -> Option<Content> {
    let dims: Vec<Symbol> = shape_slice(view).ok()?.into_iter().map(Symbol::from).collect();
    Array::new(vec![dims.len()], dims).map(Content::Int)
}

/// `Size`
pub(crate) fn size(view: &NodeView, _: &[usize]) -> Option<Content> {
    let elements: Dim = view.shape(0).ok()?.elements()?;
    Array::new(Vec::new(), vec![elements.into()]).map(Content::Int)
}

/// `ConstantOfShape`
pub(crate) fn constant_of_shape(view: &NodeView, dims: &[usize]) -> Option<Content> {
    match view.node.attributes.tensor("value").ok()? {
        Some(tensor) => match Content::from_tensor(&tensor.with_dims(Vec::new()).ok()?)? {
            Content::Int(array) => array.broadcast(dims).map(Content::Int),
            Content::Float(array) => array.broadcast(dims).map(Content::Float),
            Content::Bool(array) => array.broadcast(dims).map(Content::Bool),
        },
        None => Array::new(Vec::new(), vec![0.0])?.broadcast(dims).map(Content::Float),
    }
}

/// `Range(start, limit, delta)`
pub(crate) fn range(view: &NodeView, dims: &[usize]) -> Option<Content> {
    let count = *dims.first()?;
    match (&*view.content(0)?, &*view.content(2)?) {
        (Content::Int(start), Content::Int(delta)) => {
            let (start, delta) = (*start.elements().first()?, *delta.elements().first()?);
            let at = |index: usize| start.plus(delta.times(Symbol::Int(index as i64)));
            Array::new(dims.to_vec(), (0..count).map(at).collect()).map(Content::Int)
        }
        (Content::Float(start), Content::Float(delta)) => {
            let (start, delta) = (*start.elements().first()?, *delta.elements().first()?);
            Array::new(dims.to_vec(), (0..count).map(|index| start + index as f64 * delta).collect())
                .map(Content::Float)
        }
        _ => None,
    }
}

/// `NonZero`: one row per axis, one column per element that is not zero.
pub(crate) fn non_zero(view: &NodeView, dims: &[usize]) -> Option<Content> {
    let content = view.content(0)?;
    let (positions, own) = (content.non_zero()?, content.dims());
    let coordinate = |axis: usize, position: usize| {
        let inner: usize = own[axis + 1..].iter().product();
        Symbol::Int((position / inner % own[axis]) as i64)
    };
    let rows = (0..own.len()).flat_map(|axis| positions.iter().map(move |place| (axis, *place)));
    Array::new(dims.to_vec(), rows.map(|(axis, place)| coordinate(axis, place)).collect()).map(Content::Int)
}
