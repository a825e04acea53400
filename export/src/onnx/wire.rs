//! Counts what a file holds before anything is allocated for it.
//!
//! Two bytes of protobuf can become a structure of some hundred bytes, and a message inside a message costs stack.
//! This check walks the wire format once, allocates nothing, and refuses files over the caps of [`Limits`] as well as
//! bytes that are no protobuf. Decoding then starts from a file of known size and depth.
//!
//! On its way it looks at every name, because names are printed, and written into reports and certificates.

use mimir_bundle::{is_more_than_text, one_line};

use super::limits::{Allowance, Limits, exceeded};
use crate::error::{Error, Result};

/// A file that is protobuf, within the caps.
#[derive(Debug)]
pub(super) struct Checked<'b> {
    /// The first name that is more than text, and whose it is.
    odd_name: Option<(&'static str, &'b str)>,
}

impl Checked<'_> {
    /// Names are identifiers: nobody needs a line break in one, and every reader of what we print and write would have to
    /// expect it.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported): which name, and the letter.
    pub(super) fn expect_plain_names(&self) -> Result<()> {
        let Some((what, name)) = self.odd_name else { return Ok(()) };
        let letter = name.chars().find(|letter| is_more_than_text(*letter)).unwrap_or_default();
        let shown: String = name.chars().take(SHOWN_LETTERS).collect();
        let more = if shown.len() < name.len() { "…" } else { "" };
        Err(Error::unsupported(format!(
            "{what} is `{}{more}`, with the character U+{:04X}: names with control characters, line breaks or marks of \
             direction are not supported, because they are printed and written into reports; rename it, for example with \
             the Python package `onnx`, and save the model again",
            one_line(&shown),
            u32::from(letter)
        )))
    }
}

/// Letters of a name that an error shows, at most.
const SHOWN_LETTERS: usize = 80;

/// Walks over the whole file.
///
/// # Errors
/// [`ErrorKind::Format`](crate::ErrorKind::Format) where the bytes are no protobuf,
/// [`ErrorKind::Limit`](crate::ErrorKind::Limit) over a cap.
pub(super) fn check<'b>(bytes: &'b [u8], limits: &Limits) -> Result<Checked<'b>> {
    if bytes.is_empty() {
        return Err(Error::format("the file is empty: wanted an ONNX model"));
    }
    let mut walk = Walk {
        bytes,
        position: 0,
        nesting: limits.nesting,
        fields: Allowance::new(limits.fields as u64, "protobuf fields", "fields"),
        nodes: Allowance::new(limits.nodes as u64, "nodes", "nodes"),
        odd_name: None,
    };
    walk.message(Message::Model, bytes.len(), 1)?;
    Ok(Checked { odd_name: walk.odd_name })
}

/// The error for bytes that cannot be a model.
pub(super) fn not_onnx(reason: impl std::fmt::Display) -> Error {
    Error::format(format!("is not an ONNX file, or it is truncated: {reason}"))
}

/// The messages that hold other messages; all others are `Leaf`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    Model,
    Training,
    Graph,
    Function,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    Annotation,
    ValueInfo,
    Type,
    TensorType,
    ElementType,
    Shape,
    NodeDevice,
    Sharding,
    ShardedDim,
    OperatorSet,
    Dimension,
    Leaf,
}

/// What field `number` of `message` holds, where it is a message.
fn child(message: Message, number: u64) -> Option<Message> {
    use Message::*;
    Some(match (message, number) {
        (Model, 7) | (Attribute, 6 | 11) | (Training, 1 | 2) => Graph,
        (Model, 20) => Training,
        (Model, 25) => Function,
        (Graph, 1) | (Function, 7) => Node,
        (Node, 5) | (Function, 11) => Attribute,
        (Graph, 5) | (Attribute, 5 | 10) | (SparseTensor, 1 | 2) => Tensor,
        (Graph, 15) | (Attribute, 22 | 23) => SparseTensor,
        (Graph, 11..=13) | (Function, 12) => ValueInfo,
        (Graph, 14) => Annotation,
        (ValueInfo, 2) | (Attribute, 14 | 15) | (ElementType, 1 | 2) => Type,
        (Type, 1 | 8) => TensorType,
        (Type, 4 | 5 | 9) => ElementType,
        (TensorType, 2) => Shape,
        (Node, 10) => NodeDevice,
        (NodeDevice, 2) => Sharding,
        (Sharding, 4) => ShardedDim,
        (Model, 8) | (Function, 9) => OperatorSet,
        (Shape, 1) => Dimension,
        (Model, 14 | 26)
        | (Training, 3 | 4)
        | (Graph, 16)
        | (Function, 14)
        | (Node, 9)
        | (Tensor, 3 | 13 | 16)
        | (Annotation, 2)
        | (ValueInfo, 4)
        | (Type, 7)
        | (Sharding, 3)
        | (ShardedDim, 2) => Leaf,
        _ => return None,
    })
}

/// Whose name field `number` of `message` is, where it is one that the reader keeps or an error may show.
fn name_of(message: Message, number: u64) -> Option<&'static str> {
    use Message::*;
    Some(match (message, number) {
        (Graph, 2) => "the name of a graph",
        (Node, 1) | (Function, 4) => "the name of an input",
        (Node, 2) | (Function, 5) => "the name of an output",
        (Node, 3) => "the name of a node",
        (Node, 4) => "an operator",
        (Node, 7) | (OperatorSet, 1) | (Function, 10) => "a domain of operators",
        (Node, 8) | (Function, 13) => "the overload of a function",
        (Function, 1) => "the name of a function",
        (Attribute, 1 | 21) | (Function, 6) => "the name of an attribute",
        (Tensor, 8) | (ValueInfo, 1) => "the name of a tensor",
        (Dimension, 2) => "the name of a dimension",
        _ => return None,
    })
}

struct Walk<'b> {
    bytes: &'b [u8],
    position: usize,
    nesting: usize,
    fields: Allowance,
    nodes: Allowance,
    odd_name: Option<(&'static str, &'b str)>,
}

impl Walk<'_> {
    /// Walks over one message that ends at `end`; `depth` counts the messages around it, itself included.
    fn message(&mut self, message: Message, end: usize, depth: usize) -> Result<()> {
        if depth > self.nesting {
            return Err(exceeded("nested messages", self.nesting, "nesting"));
        }
        while self.position < end {
            self.field(message, end, depth)?;
        }
        Ok(())
    }

    fn field(&mut self, message: Message, end: usize, depth: usize) -> Result<()> {
        let start = self.position;
        let key = self.varint(end)?;
        let (number, wire_type) = (key >> 3, key & 7);
        if number == 0 || key > u64::from(u32::MAX) {
            return Err(not_onnx(format_args!("byte {start} starts field number {number}")));
        }
        self.fields.spend(1)?;
        match wire_type {
            0 => self.varint(end).map(drop),
            1 => self.skip(8, end),
            5 => self.skip(4, end),
            2 => self.length_delimited(message, number, end, depth),
            // Groups (3 and 4) were given up long before ONNX; nested unknown ones have killed parsers.
            _ => Err(not_onnx(format_args!("byte {start} has wire type {wire_type}"))),
        }
    }

    fn length_delimited(&mut self, message: Message, number: u64, end: usize, depth: usize) -> Result<()> {
        let length = self.varint(end)?;
        let start = self.position;
        self.skip(length, end)?;
        let Some(child) = child(message, number) else {
            if let (None, Some(what)) = (self.odd_name, name_of(message, number)) {
                self.odd_name = odd(&self.bytes[start..self.position]).map(|name| (what, name));
            }
            return Ok(());
        };
        if child == Message::Node {
            self.nodes.spend(1)?;
        }
        let child_end = std::mem::replace(&mut self.position, start);
        self.message(child, child_end, depth + 1)
    }

    fn skip(&mut self, length: u64, end: usize) -> Result<()> {
        let left = (end - self.position) as u64;
        if length > left {
            return Err(not_onnx(format_args!(
                "byte {} announces {length} bytes, but its message has {left} left",
                self.position
            )));
        }
        self.position += length as usize;
        Ok(())
    }

    fn varint(&mut self, end: usize) -> Result<u64> {
        let start = self.position;
        let mut value = 0_u64;
        for (index, byte) in self.bytes[start..end].iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.position = start + index + 1;
                return Ok(value);
            }
        }
        Err(not_onnx(format_args!("byte {start} starts a number without an end")))
    }
}

/// The name, where it is more than text. What is no UTF-8 is refused when it is decoded.
fn odd(name: &[u8]) -> Option<&str> {
    std::str::from_utf8(name).ok().filter(|name| name.contains(is_more_than_text))
}
