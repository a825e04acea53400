//! The values of a pickle.

use std::rc::Rc;

/// A value. Containers and calls are shared, so they are indices into [`Pickle::nodes`]; they can hold each other.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer of 64 bits.
    Int(i64),
    /// A longer integer, which no checkpoint needs: its digits are not kept.
    LongInt,
    /// A number of 64 bits.
    Float(f64),
    /// Text.
    Text(Rc<str>),
    /// Bytes, which no checkpoint needs: they are not kept.
    Bytes,
    /// A function or class: module and name. It was on the caller's list.
    Global(Rc<(String, String)>),
    /// A list, tuple, dictionary, call or external reference.
    Node(usize),
}

/// What several values can share.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// A list or set.
    List(Vec<Value>),
    /// A tuple.
    Tuple(Vec<Value>),
    /// A dictionary in the order of its insertions; a key may come twice, and the last one counts.
    Dict(Vec<(Value, Value)>),
    /// A call that is not made: function or class, and its arguments.
    Call {
        /// The function or class.
        function: Value,
        /// A tuple.
        arguments: Value,
        /// Items that were set on the result, as of an `OrderedDict`.
        items: Vec<(Value, Value)>,
    },
    /// A reference to something outside of the pickle, as `torch.save` makes for storages.
    Persistent(Value),
}

/// A pickle that has been read.
#[derive(Debug, Clone, PartialEq)]
pub struct Pickle {
    /// The value that it stands for.
    pub root: Value,
    /// Shared values; every [`Value::Node`] is an index into them.
    pub nodes: Vec<Node>,
}

impl Pickle {
    /// The node of a value, if it is one.
    pub fn node(&self, value: &Value) -> Option<&Node> {
        match value {
            Value::Node(index) => self.nodes.get(*index),
            _ => None,
        }
    }
}
