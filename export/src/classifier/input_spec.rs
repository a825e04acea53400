//! Facts about the input of a model that only the user knows.

use mimir_bundle::{ImageShape, Layout, Normalisation};

/// What the user says about the input of a model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InputSpec {
    /// What the model was trained to see in place of pixels in `[0, 1]`.
    pub normalisation: Option<Normalisation>,
    /// Where the channels are; `None` to read it from the graph.
    pub layout: Option<Layout>,
    /// The images of the data set: a flat input does not show height and width.
    pub image: Option<ImageShape>,
}
