//! Typed access to the attributes of a node.

use super::structure::{Attribute, Attributes, Subgraph};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

impl From<i64> for Attribute {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f32> for Attribute {
    fn from(value: f32) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Attribute {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<Vec<f32>> for Attribute {
    fn from(value: Vec<f32>) -> Self {
        Self::Floats(value)
    }
}

impl From<Vec<i64>> for Attribute {
    fn from(value: Vec<i64>) -> Self {
        Self::Ints(value)
    }
}

impl From<Tensor> for Attribute {
    fn from(value: Tensor) -> Self {
        Self::Tensor(value)
    }
}

impl Attribute {
    /// Its type as ONNX names it, with an article.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Int(_) => "an INT",
            Self::Float(_) => "a FLOAT",
            Self::Text(_) => "a STRING",
            Self::Tensor(_) => "a TENSOR",
            Self::Ints(_) => "an INTS",
            Self::Floats(_) => "a FLOATS",
            Self::Texts(_) => "a STRINGS",
            Self::Graph(_) => "a GRAPH",
        }
    }
}

impl Attributes {
    /// Attributes from pairs.
    pub fn from_pairs<const COUNT: usize>(pairs: [(&str, Attribute); COUNT]) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// The attribute of that name, of any type.
    pub fn get(&self, name: &str) -> Option<&Attribute> {
        self.0.get(name)
    }

    /// An `INT`, or `default` where the attribute is absent.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) when it has another type.
    pub fn int(&self, name: &str, default: i64) -> Result<i64> {
        match self.get(name) {
            None => Ok(default),
            Some(Attribute::Int(value)) => Ok(*value),
            Some(other) => Err(wrong_type(name, "an INT", other)),
        }
    }

    /// A `FLOAT`, or `default` where the attribute is absent.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) when it has another type.
    pub fn float(&self, name: &str, default: f32) -> Result<f32> {
        match self.get(name) {
            None => Ok(default),
            Some(Attribute::Float(value)) => Ok(*value),
            Some(other) => Err(wrong_type(name, "a FLOAT", other)),
        }
    }

    /// An `INTS`, or `None` where the attribute is absent.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) when it has another type.
    pub fn ints(&self, name: &str) -> Result<Option<&[i64]>> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Ints(values)) => Ok(Some(values)),
            Some(other) => Err(wrong_type(name, "an INTS", other)),
        }
    }

    /// A `FLOATS`, or `None` where the attribute is absent.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) when it has another type.
    pub fn floats(&self, name: &str) -> Result<Option<&[f32]>> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Floats(values)) => Ok(Some(values)),
            Some(other) => Err(wrong_type(name, "a FLOATS", other)),
        }
    }

    /// A `STRINGS`, or `None` where the attribute is absent.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) when it has another type.
    pub fn texts(&self, name: &str) -> Result<Option<&[String]>> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Texts(values)) => Ok(Some(values)),
            Some(other) => Err(wrong_type(name, "a STRINGS", other)),
        }
    }

    /// A `STRING`, or `default` where the attribute is absent.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) when it has another type.
    pub fn text<'a>(&'a self, name: &str, default: &'a str) -> Result<&'a str> {
        match self.get(name) {
            None => Ok(default),
            Some(Attribute::Text(value)) => Ok(value),
            Some(other) => Err(wrong_type(name, "a STRING", other)),
        }
    }

    /// A `TENSOR`, or `None` where the attribute is absent.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) when it has another type.
    pub fn tensor(&self, name: &str) -> Result<Option<&Tensor>> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Tensor(value)) => Ok(Some(value)),
            Some(other) => Err(wrong_type(name, "a TENSOR", other)),
        }
    }

    /// A `GRAPH`.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) when it is absent or has another type.
    pub fn graph(&self, name: &str) -> Result<&Subgraph> {
        match self.get(name) {
            None => Err(Error::format(format!("has no attribute `{name}`, wanted a GRAPH"))),
            Some(Attribute::Graph(value)) => Ok(value),
            Some(other) => Err(wrong_type(name, "a GRAPH", other)),
        }
    }
}

fn wrong_type(name: &str, wanted: &str, found: &Attribute) -> Error {
    Error::format(format!("attribute `{name}` is {}, wanted {wanted}", found.type_name()))
}
