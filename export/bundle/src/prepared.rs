//! A graph whose large constants lie beside it, so that several graphs of one model can share them.

use bytes::Bytes;

/// The place that a prepared graph names for its weights. There is no such file: whoever runs the graph hands them
/// over.
pub const WEIGHTS_LOCATION: &str = "mimir-weights";

/// An ONNX graph and its weights.
///
/// `model` is a complete ONNX file but for the data of `weights`: those initialisers are external, at
/// [`WEIGHTS_LOCATION`]. Equal weights of the graphs of one model are one allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedGraph {
    /// The file without its weights.
    pub model: Bytes,
    /// The initialisers that the file does not hold, in its order.
    pub weights: Vec<Weight>,
    /// Images that are computed side by side, at least 1: a batch takes as long as the next multiple of this.
    pub lanes: usize,
}

/// One initialiser of 32-bit floats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weight {
    /// Its name in the graph.
    pub name: String,
    /// Dimensions, outermost first.
    pub dims: Vec<usize>,
    /// Little-endian, row-major; four bytes for each element that the dimensions say.
    pub data: Bytes,
}

impl PreparedGraph {
    /// A graph whose file holds everything.
    pub fn self_contained(model: impl Into<Bytes>) -> Self {
        Self { model: model.into(), weights: Vec::new(), lanes: 1 }
    }
}

impl From<Vec<u8>> for PreparedGraph {
    fn from(model: Vec<u8>) -> Self {
        Self::self_contained(model)
    }
}
