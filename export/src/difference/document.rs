//! The document: what `mimir-export diff --json` prints.

use schemars::JsonSchema;
use serde::Serialize;

/// What differs between two models, `before` and `after`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Difference {
    /// `mimir-difference`.
    pub format: &'static str,
    /// Version of this document: the first number changes when a field changes its meaning or is removed.
    pub version: &'static str,
    /// Whether nothing differs, descriptions and gradient graphs of bundles included, other names of inner values and weights within the tolerance aside.
    pub equal: bool,
    /// Weights of the same type whose elements all differ by at most this much count as equal.
    pub tolerance: f64,
    /// Operator sets, metadata, inputs, outputs and functions.
    pub model: Vec<Change>,
    /// Nodes.
    pub nodes: NodeDifferences,
    /// Constants.
    pub weights: WeightDifferences,
    /// Inner values that have another name: before and after. They do not count.
    pub renamed: Vec<(String, String)>,
    /// What differs besides the models, where both are bundles.
    pub bundle: Option<BundleDifferences>,
}

/// How two bundles differ besides their models.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct BundleDifferences {
    /// Fields of `manifest.json` that describe the model, and gradient graphs that only one of the two has.
    pub description: Vec<Change>,
    /// The gradient graphs that both have.
    pub graphs: Vec<GraphDifference>,
}

/// How a gradient graph differs.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct GraphDifference {
    /// Its file.
    pub name: String,
    /// What differs.
    pub difference: Box<Difference>,
}

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Change {
    /// What it is: `opset`, `input 0`, `attribute axis`.
    pub what: String,
    /// As text; nothing where it was added.
    pub before: Option<String>,
    /// As text; nothing where it was removed.
    pub after: Option<String>,
}

/// How nodes differ.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct NodeDifferences {
    /// Number of equal nodes.
    pub equal: usize,
    /// Nodes of both models that differ.
    pub changed: Vec<NodeChange>,
    /// Canonical lines of the nodes that only the first model has.
    pub removed: Vec<String>,
    /// Canonical lines of the nodes that only the second model has.
    pub added: Vec<String>,
}

/// A node that differs.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct NodeChange {
    /// Name of its first output, in the second model.
    pub name: String,
    /// Its operator, in the second model.
    pub operator: String,
    /// What differs.
    pub changes: Vec<Change>,
}

/// How constants differ.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct WeightDifferences {
    /// Number of equal constants.
    pub equal: usize,
    /// Number of constants that differ by at most the tolerance.
    pub within_tolerance: usize,
    /// Constants of both models that differ by more.
    pub changed: Vec<WeightChange>,
    /// Constants that only the first model has, as `%name: type`.
    pub removed: Vec<String>,
    /// Constants that only the second model has.
    pub added: Vec<String>,
}

/// A constant that differs.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct WeightChange {
    /// Its name, in the second model.
    pub name: String,
    /// Type and dimensions before, `f32[10, 192]`.
    pub before: String,
    /// Type and dimensions after.
    pub after: String,
    /// Differences of the elements, where both have the same dimensions and hold numbers.
    pub elements: Option<ElementDifferences>,
}

/// Differences of the elements of two tensors of the same dimensions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, JsonSchema)]
pub struct ElementDifferences {
    /// Number of elements.
    pub elements: usize,
    /// How many differ.
    pub different: usize,
    /// How many of these are NaN or infinite on one side or both; the next two are of the others.
    pub not_finite: usize,
    /// Largest absolute difference.
    pub largest: f64,
    /// Mean absolute difference over all elements.
    pub mean: f64,
}

impl Difference {
    /// The name of the format.
    pub const FORMAT: &'static str = "mimir-difference";
    /// Its version.
    pub const VERSION: &'static str = "1.1";
}
