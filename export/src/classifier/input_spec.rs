//! Facts about the input and output of a model that only the user knows.

use mimir_bundle::{ChannelOrder, ImageShape, Layout, Normalisation};

/// What the user says about the input of a model, and which of its outputs counts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InputSpec {
    /// What the model was trained to see in place of pixels in `[0, 1]`.
    pub normalisation: Option<Normalisation>,
    /// The order of its colour channels.
    pub channel_order: ChannelOrder,
    /// Where the channels are; `None` to read it from the graph.
    pub layout: Option<Layout>,
    /// The images of the data set: a flat input does not show height and width.
    pub image: Option<ImageShape>,
    /// Name of the output with the scores of the classes; `None` where the file has only one that can have them.
    pub output: Option<String>,
}
