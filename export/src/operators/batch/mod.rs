//! What an operator does to the images of a batch: a function per family of operators.
//!
//! An operator that works along other axes than the batch keeps images independent; one that reduces, normalises or
//! multiplies along the batch mixes them. A function returns `None` where it cannot tell.

pub(crate) mod axes;
pub(crate) mod effect;
pub(crate) mod elementwise;
pub(crate) mod indexing;
pub(crate) mod layout;
pub(crate) mod product;
