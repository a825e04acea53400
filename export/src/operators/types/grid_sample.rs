//! GridSample.

use crate::error::{Error, Result};
use crate::facts::{NodeView, typed};
use crate::graph::{Dim, TensorType};

/// `GridSample(x, grid)`: `[N, C, H, W]` at places `[N, h, w, 2]` is `[N, C, h, w]`, and likewise with a depth.
pub(crate) fn grid_sample(view: &NodeView) -> Result<Vec<TensorType>> {
    let (x, grid) = (view.input(0)?, view.shape(1)?);
    let rank = x.shape.rank();
    let axes = rank.saturating_sub(2);
    let fits = (4..=5).contains(&rank)
        && grid.rank() == rank
        && grid.0[0] == x.shape.0[0]
        && grid.0[rank - 1] == Dim::Fixed(axes);
    if !fits {
        return Err(Error::shape(format!("a grid {grid} of places in {}", x.shape)));
    }
    Ok(vec![typed(x.dtype, [&x.shape.0[..2], &grid.0[1..rank - 1]].concat())])
}
