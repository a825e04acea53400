//! The closest misclassified point of a search that minimises the distance.

use crate::ball::Ball;

/// The closest misclassified point; its distance is infinite before there is one.
#[derive(Debug)]
pub(super) struct ClosestAdversarial {
    pixels: Vec<f32>,
    distance: f64,
}

impl ClosestAdversarial {
    /// None yet, with room for `pixels` of them.
    pub(super) fn new(pixels: usize) -> Self {
        Self { pixels: vec![0.0; pixels], distance: f64::INFINITY }
    }

    /// A misclassified point, which is kept where it is closer than the one before.
    pub(super) fn offer(&mut self, ball: Ball, clean: &[f32], point: &[f32]) {
        let distance = ball.distance(clean, point);
        if distance < self.distance {
            self.pixels.copy_from_slice(point);
            self.distance = distance;
        }
    }

    /// Its distance in the ball's norm, in pixels.
    pub(super) fn distance(&self) -> f64 {
        self.distance
    }

    /// Its pixels, where there is one.
    pub(super) fn pixels(&self) -> Option<&[f32]> {
        self.distance.is_finite().then_some(&self.pixels)
    }
}
