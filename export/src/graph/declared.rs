//! Types of inputs as a file declares them: with dimensions that only the images fix.

use std::fmt;

use super::dim::Dim;
use super::structure::ValueId;
use crate::tensor::DataType;

/// A dimension of an input as the file declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeclaredDim {
    /// A number, or the batch.
    Known(Dim),
    /// A size that varies, with its name, which may be empty: height and width of a network that takes any.
    Open(String),
}

/// The type of an input as the file declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputType {
    /// Element type.
    pub dtype: DataType,
    /// Dimensions, outermost first; `None` where the file states no shape.
    pub dims: Option<Vec<DeclaredDim>>,
}

/// An input of a graph whose type is not known as a whole, so that its value has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenInput {
    /// The input.
    pub input: ValueId,
    /// What the file says of it.
    pub declared: InputType,
}

impl fmt::Display for InputType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(dims) = &self.dims else { return f.write_str("of unknown shape") };
        let shown = dims.iter().map(|dim| match dim {
            DeclaredDim::Known(dim) => dim.to_string(),
            DeclaredDim::Open(name) if name.is_empty() => "?".to_owned(),
            DeclaredDim::Open(name) => name.clone(),
        });
        write!(f, "[{}]", shown.collect::<Vec<_>>().join(", "))
    }
}
