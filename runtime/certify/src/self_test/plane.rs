//! The linear function of 16 pixels that all canaries have inside.

/// Pixels of an image, 1 × 4 × 4.
pub(super) const PIXELS: usize = 16;

/// The weights of the linear function. More are positive than negative, so that pixels of another range end on one side.
pub(super) const WEIGHTS: [f32; PIXELS] =
    [0.7, 1.1, -0.9, 1.3, 0.8, 1.2, 1.0, -0.6, 0.9, 1.4, -1.1, 0.7, 1.3, 0.6, -0.8, 1.0];

/// Steps of pixels that are rounded first. The middle of the cube is half way between two of them.
pub(super) const LEVELS: f32 = 255.0;
