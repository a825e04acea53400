//! The command `mimir-export`: what stands in an ONNX file, and what differs between two.
//!
//! The work is done by the library `mimir_export`. Here, `args` is what was typed, and `program` goes from it to the
//! output and the exit code.
#![forbid(unsafe_code)]

mod args;
mod failure;
mod pages;
mod program;

pub use program::main;
