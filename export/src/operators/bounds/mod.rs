//! Interval arithmetic: from bounds of a node's inputs to bounds of its outputs, as nodes of a graph.
//!
//! A function returns `None` where it cannot tell. The bounds hold up to the rounding of float32: they choose a warning
//! and the direction of a search, and prove nothing.

pub(crate) mod arithmetic;
pub(crate) mod ends;
pub(crate) mod product;
pub(crate) mod slope;
pub(crate) mod step;
