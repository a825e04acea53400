//! What is known of a node before the graph runs: types, attributes, and the elements of small tensors.
//!
//! A [`NodeView`] is what every rule of [`operators`](crate::operators) sees of its node. Elements are numbers or
//! multiples of the batch ([`Symbol`]), and [`Known`] holds those that inference has followed from a `Shape` operator
//! on.

mod array;
mod content;
mod known;
mod symbol;
mod view;

pub(crate) use array::Array;
pub(crate) use content::Content;
pub(crate) use known::{Known, LARGEST_FOLLOWED};
pub(crate) use symbol::Symbol;
pub(crate) use view::{NodeView, fixed, typed};
