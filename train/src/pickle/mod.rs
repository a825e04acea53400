//! A strict reader of Python pickles, for what `torch.save` writes: protocols 2 to 5, data only.
//!
//! A pickle is a program for a stack machine that may call any function of any Python module. Nothing is called here: a
//! call is kept as a [`Node::Call`] with its function and arguments, and whoever reads the result decides what it means.
//! Functions and classes must be on a list that the caller gives; any other name ends the reading with an error, and so
//! do opcodes outside of the list in `machine.rs`.
//!
//! Lengths are checked against the bytes that are there before anything is reserved, every opcode adds at most one value,
//! and nothing recurses, so time and memory are linear in the length of the pickle.

mod bytes;
mod error;
mod machine;
mod value;

pub use error::PickleError;
pub use machine::parse;
pub use value::{Node, Pickle, Value};
