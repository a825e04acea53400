//! Caps on what a file may make us do.

use crate::error::{Error, ErrorKind};

/// Caps on a model file. The defaults admit every classifier that we know of, with a wide margin.
///
/// Together they bound the memory and the time that a hostile file can cost before it is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the model file, without external data. Default: 2 GiB, the most that protobuf allows.
    pub file_bytes: u64,
    /// Protobuf fields in the file, packed arrays counting once. Default: 4 million.
    pub fields: usize,
    /// Nodes of the graph and of all function bodies, and again nodes and calls after functions are inlined.
    /// Default: 100 000; the largest export of 42 torchvision and timm classifiers has 6 285.
    pub nodes: usize,
    /// Messages inside messages, and function calls inside function calls. Default: 32; a graph without subgraphs
    /// needs 7.
    pub nesting: usize,
    /// Bytes of all tensors, and bytes of all external files. Default: 8 GiB.
    pub tensor_bytes: u64,
    /// Bytes of the names and attributes that inlining functions writes, raw tensor data not counted. Default: 256 MiB.
    pub attribute_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: (1 << 31) - 1,
            fields: 4_000_000,
            nodes: 100_000,
            nesting: 32,
            tensor_bytes: 8 << 30,
            attribute_bytes: 256 << 20,
        }
    }
}

/// The error for a cap that was exceeded: `what` is its unit, `key` the field of [`Limits`] to raise.
pub(super) fn exceeded(what: &str, limit: impl std::fmt::Display, key: &str) -> Error {
    Error::new(
        ErrorKind::Limit,
        format!("more than {limit} {what}; raise `Limits::{key}` if you trust the file"),
    )
}

/// What is left of one cap.
#[derive(Debug)]
pub(super) struct Allowance {
    left: u64,
    limit: u64,
    what: &'static str,
    key: &'static str,
}

impl Allowance {
    /// All of `limit`.
    pub(super) fn new(limit: u64, what: &'static str, key: &'static str) -> Self {
        Self { left: limit, limit, what, key }
    }

    /// Takes `amount`, or fails when less is left.
    pub(super) fn spend(&mut self, amount: usize) -> Result<(), Error> {
        match self.left.checked_sub(amount as u64) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(exceeded(self.what, self.limit, self.key)),
        }
    }
}
