//! Bounds of every value over a box of images, by interval arithmetic, as nodes of a graph.
//!
//! The box holds the images within `radius` of the given ones in L∞, cut to pixels in `[0, 1]`. Where an operator has
//! no rule (column `bounds` of the table of [`operators`](crate::operators)), nothing is known of what follows it. Two
//! uses: which units are inactive on the whole ball ([`inactive_units`]), and the secants of activations, along which
//! a search finds what their derivatives do not show ([`secants`]). Neither needs bounds that are sound to the last bit.

mod inactive;
mod propagate;
mod secant;
#[cfg(test)]
mod tests;

pub use inactive::CountedActivation;
pub(crate) use inactive::inactive_units;
pub(crate) use secant::{Secant, Secants, secants};
