//! Evaluation of constants: what an operator computes of elements that are known before the graph runs.

pub(crate) mod arithmetic;
pub(crate) mod create;
pub(crate) mod movement;
pub(crate) mod reduce;
pub(crate) mod scatter;
