//! The command `mimir-export`: checkpoints to ONNX, what stands in an ONNX file, and what differs between two.
//!
//! The work is done by the library `mimir_export`. Here, `args` is what was typed, `options` makes of it what the library
//! needs, `destination` is where an export goes, `source` what is
//! shown and compared, and `program` goes from arguments to output and exit code.
#![forbid(unsafe_code)]

mod args;
mod bundle;
mod destination;
mod export;
mod failure;
mod numbers;
mod options;
mod pages;
mod program;
mod source;

pub use program::main;
