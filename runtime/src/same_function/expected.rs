//! What is expected of the graphs of a model, and where they are looked at.

use mimir_bundle::ThreatModel;

use crate::evaluation_set::EvaluationSet;
use crate::model::Loss;

/// What the scores of searched graphs are to those that the file returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchedScores {
    /// The same.
    Equal,
    /// Their logarithms, up to a constant: the file returns a softmax.
    Logarithms,
    /// Others, in which the classes have the same order.
    Ordered,
}

/// How far apart rounding alone may bring a file and a copy of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rounding {
    /// Distance of 1 from the next number, in the coarsest type that either computes in.
    pub unit: f64,
    /// Difference of scores, relative to their largest distance from their mean.
    pub relative: f64,
}

/// What is expected of the graphs of a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// What the scores of the graphs are to those of the file.
    pub scores: SearchedScores,
    /// What rounding explains.
    pub rounding: Rounding,
    /// Whether operators have steps, such as rounding to 8 bits: a few points then fall on the other side of one.
    pub has_steps: bool,
    /// Whether gradients are derivatives, and none of them a stand-in.
    pub gradients: ExpectedGradients,
}

/// What is expected of gradients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedGradients {
    /// They are derivatives.
    Derivatives,
    /// Some are stand-ins, or the pixels are whole numbers: there is nothing to compare them with.
    StandIns,
}

/// Which points are asked about.
#[derive(Clone, Copy)]
pub struct Sample<'a> {
    /// The first of these images.
    pub set: &'a EvaluationSet<'a>,
    /// The ball of the random points.
    pub threat_model: &'a ThreatModel,
    /// Key of the random points.
    pub seed: u64,
}

/// The graphs that are searched beside the file's own session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchedGraphs {
    /// Whether there is a graph without gradient.
    pub forward: bool,
    /// The losses of the others.
    pub losses: Vec<Loss>,
    /// Whether the model is cut open at a tensor.
    pub features: bool,
}
