//! Type inference: one rule per operator family, which computes the types of a node's outputs.
//!
//! A rule sees the types of the inputs, the attributes, and those input elements that decide shapes (the target of a
//! Reshape, the axes of a reduction). Dimensions are integers or multiples of the batch; anything else is an error.

mod broadcast;
mod constant;
mod convolution;
mod einsum;
mod elementwise;
mod gather;
mod join;
mod matmul;
mod move_axes;
mod normalise;
mod pool;
mod quantize;
mod random;
mod reduce;
mod registry;
mod reshape;
mod resize;
mod select;
mod slice;
mod window;

pub(crate) use broadcast::broadcast;
pub(crate) use constant::{constant_tensor, shape_slice};
pub(crate) use einsum::Equation;
pub(crate) use join::split_sizes;
pub(crate) use move_axes::permutation;
pub(crate) use reduce::reduced_axes;
pub(crate) use registry::{known as known_operators, rule};
pub(crate) use resize::resized_axes;
pub(crate) use slice::axis_ranges;
