//! Type inference: one rule per operator family, which computes the types of a node's outputs.
//!
//! A rule sees the types of the inputs, the attributes, and those input elements that decide shapes (the target of a
//! Reshape, the axes of a reduction). Dimensions are integers or multiples of the batch; anything else is an error.

pub(crate) mod attention;
pub(crate) mod broadcast;
pub(crate) mod constant;
pub(crate) mod convolution;
pub(crate) mod einsum;
pub(crate) mod elementwise;
pub(crate) mod gather;
pub(crate) mod grid_sample;
pub(crate) mod join;
pub(crate) mod matmul;
pub(crate) mod move_axes;
pub(crate) mod normalise;
pub(crate) mod pool;
pub(crate) mod quantize;
pub(crate) mod random;
pub(crate) mod reduce;
pub(crate) mod reshape;
pub(crate) mod resize;
pub(crate) mod select;
pub(crate) mod slice;
pub(crate) mod window;

pub(crate) use broadcast::broadcast;
pub(crate) use constant::{constant_tensor, shape_slice};
pub(crate) use einsum::Equation;
pub(crate) use join::split_sizes;
pub(crate) use move_axes::permutation;
pub(crate) use reduce::reduced_axes;
pub(crate) use resize::resized_axes;
pub(crate) use slice::axis_ranges;
