//! What all moves of one search share.

use std::sync::Arc;

use mimir_bundle::ImageShape;

use crate::ball::Ball;

/// The ball and the clean image; they never change during a search.
#[derive(Debug)]
pub(super) struct WindowContext {
    pub(super) ball: Ball,
    pub(super) image: ImageShape,
    /// `C·H·W` clean pixels.
    pub(super) centre: Arc<[f32]>,
}
