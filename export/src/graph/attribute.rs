//! Node attributes, and typed access to them.

use std::collections::BTreeMap;

use super::Subgraph;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// The value of one attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// `INT`
    Int(i64),
    /// `FLOAT`
    Float(f32),
    /// `STRING`, UTF-8
    Text(String),
    /// `TENSOR`
    Tensor(Tensor),
    /// `INTS`
    Ints(Vec<i64>),
    /// `FLOATS`
    Floats(Vec<f32>),
    /// `STRINGS`, UTF-8
    Texts(Vec<String>),
    /// `GRAPH`: a branch of an If, or the body of a Loop
    Graph(Box<Subgraph>),
}

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

/// The attributes of a node, ordered by name so that dumps and files are canonical.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attributes(pub BTreeMap<String, Attribute>);

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
    let kind = match found {
        Attribute::Int(_) => "INT",
        Attribute::Float(_) => "FLOAT",
        Attribute::Text(_) => "STRING",
        Attribute::Tensor(_) => "TENSOR",
        Attribute::Ints(_) => "INTS",
        Attribute::Floats(_) => "FLOATS",
        Attribute::Texts(_) => "STRINGS",
        Attribute::Graph(_) => "GRAPH",
    };
    Error::format(format!("attribute `{name}` is {kind}, wanted {wanted}"))
}
