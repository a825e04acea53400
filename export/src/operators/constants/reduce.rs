//! Sums and products of integers along axes, which exporters write to count elements.

use crate::facts::{Array, Content, NodeView, Symbol};
use crate::operators::types::reduced_axes;

/// `ReduceSum` of integers, into an array of `dims`.
pub(crate) fn sum(view: &NodeView, dims: &[usize]) -> Option<Content> {
    reduce(view, dims, Symbol::plus, 0)
}

/// `ReduceProd` of integers, into an array of `dims`.
pub(crate) fn product(view: &NodeView, dims: &[usize]) -> Option<Content> {
    reduce(view, dims, Symbol::times, 1)
}

fn reduce(
    view: &NodeView,
    dims: &[usize],
    combine: fn(Symbol, Symbol) -> Symbol,
    nothing: i64,
) -> Option<Content> {
    let content = view.content(0)?;
    let Content::Int(array) = &*content else { return None };
    let axes = reduced_axes(view).ok()?;
    let own = array.dims();
    // The place that an element is reduced to, as if the reduced axes were not there.
    let target = |position: usize| {
        let (mut rest, mut place, mut stride) = (position, 0, 1);
        for axis in (0..own.len()).rev() {
            if !axes.contains(&axis) {
                place += rest % own[axis] * stride;
                stride *= own[axis];
            }
            rest /= own[axis];
        }
        place
    };
    let mut totals = vec![Symbol::Int(nothing); dims.iter().product()];
    for (position, symbol) in array.elements().iter().enumerate() {
        let total = totals.get_mut(target(position))?;
        *total = combine(*total, *symbol);
    }
    Array::new(dims.to_vec(), totals).map(Content::Int)
}
