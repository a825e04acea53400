//! What a page says, as rows of the table have it.

use std::ops::RangeInclusive;

/// As many as one likes.
pub(super) const MANY: usize = usize::MAX;

/// One form of an operator.
#[derive(Debug)]
pub(super) struct Signature {
    /// Name, with the domain in front where it is not ONNX's.
    pub(super) name: &'static str,
    /// The opset that brought the form.
    pub(super) since: u32,
    pub(super) inputs: RangeInclusive<usize>,
    pub(super) outputs: RangeInclusive<usize>,
    /// In the order of their names.
    pub(super) attributes: &'static [Allowed],
}

/// One attribute.
#[derive(Debug)]
pub(super) struct Allowed {
    pub(super) name: &'static str,
    pub(super) values: Values,
    pub(super) is_required: bool,
}

pub(super) const fn optional(name: &'static str, values: Values) -> Allowed {
    Allowed { name, values, is_required: false }
}

pub(super) const fn required(name: &'static str, values: Values) -> Allowed {
    Allowed { name, values, is_required: true }
}

/// Type and values of an attribute.
#[derive(Debug, Clone, Copy)]
pub(super) enum Values {
    Int(Numbers),
    Ints(Numbers),
    Float,
    Floats,
    /// One of these.
    Text(&'static [&'static str]),
    AnyText,
    Texts,
    Tensor,
    Graph,
    /// A type that no attribute of a graph has here.
    Other,
}

/// Integers that an attribute may have.
#[derive(Debug, Clone, Copy)]
pub(super) enum Numbers {
    Any,
    /// A Boolean.
    Flag,
    AtLeast(i64),
    OneOf(&'static [i64]),
    /// Both ends included.
    Within(i64, i64),
}

impl Values {
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Self::Int(_) => "an INT",
            Self::Ints(_) => "an INTS",
            Self::Float => "a FLOAT",
            Self::Floats => "a FLOATS",
            Self::Text(_) | Self::AnyText => "a STRING",
            Self::Texts => "a STRINGS",
            Self::Tensor => "a TENSOR",
            Self::Graph => "a GRAPH",
            Self::Other => "of a type that is not supported",
        }
    }
}
