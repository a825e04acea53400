//! Images around a plane, at known distances.

use mimir_bundle::Norm;
use mimir_data::{DataSource, ImageDims};

use super::plane::{PIXELS, WEIGHTS};

/// The radius of every canary in L∞.
pub(super) const RADIUS: f64 = 0.02;

/// Images of a canary.
pub(super) const COUNT: usize = 16;

/// Label of an image: both classes in turn.
pub(super) fn label(image: usize) -> usize {
    image % 2
}

/// 1 for the first class, -1 for the second.
fn side(image: usize) -> f64 {
    if label(image) == 0 { 1.0 } else { -1.0 }
}

/// Distance of an image from the plane in L∞: evenly from nothing to twice the radius, none at a place where it matters.
fn distance(image: usize) -> f64 {
    RADIUS * (image % COUNT) as f64 / (COUNT / 2) as f64 + RADIUS / COUNT as f64
}

/// The image as far from the middle of the cube as its distance says, along the signs of the weights.
pub(super) fn pixels(image: usize) -> [f32; PIXELS] {
    moved(image, distance(image))
}

fn moved(image: usize, distance: f64) -> [f32; PIXELS] {
    WEIGHTS.map(|weight| (0.5 + side(image) * f64::from(weight).signum() * distance) as f32)
}

/// `count` images and their labels.
pub(super) fn source(count: usize) -> DataSource {
    let dims = ImageDims { channels: 1, height: 4, width: 4 };
    let images = (0..count).flat_map(pixels).collect();
    DataSource::in_memory(dims, images, (0..count).map(label).collect()).expect("pixels in [0, 1]")
}

/// The radius in that norm at which the same images lose their class as at [`RADIUS`] in L∞: distances from a plane are
/// `|f(x)|` over the dual norm of its weights.
pub(super) fn radius(norm: Norm) -> f64 {
    let weights = WEIGHTS.map(|weight| f64::from(weight).abs());
    let one: f64 = weights.iter().sum();
    let two = weights.iter().map(|weight| weight * weight).sum::<f64>().sqrt();
    let most = weights.iter().copied().fold(0.0, f64::max);
    match norm {
        Norm::Linf => RADIUS,
        Norm::L2 => RADIUS * one / two,
        Norm::L1 => RADIUS * one / most,
    }
}

/// Whether a point of the ball is on the other side of the plane.
pub(super) fn is_within_reach(image: usize) -> bool {
    distance(image) < RADIUS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::self_test::plane::LEVELS;

    #[test]
    fn half_of_the_images_are_within_reach_and_none_is_at_the_radius() {
        let reached: Vec<bool> = (0..COUNT).map(is_within_reach).collect();
        assert_eq!(reached, [[true; COUNT / 2], [false; COUNT / 2]].concat());
        assert!((0..COUNT).all(|image| (distance(image) / RADIUS - 1.0).abs() > 0.05));
    }

    /// Half way between two levels lies the plane, so that rounding moves no image across it.
    #[test]
    fn rounding_changes_no_class() {
        let score = |pixels: [f32; PIXELS]| -> f32 {
            pixels
                .iter()
                .zip(WEIGHTS)
                .map(|(pixel, weight)| ((pixel * LEVELS).round() / LEVELS - 0.5) * weight)
                .sum()
        };
        for image in 0..COUNT {
            let corner = moved(image, distance(image) - RADIUS);
            let crosses = (score(pixels(image)) > 0.0) != (score(corner) > 0.0);
            assert_eq!(score(pixels(image)) > 0.0, label(image) == 0, "{image}");
            assert_eq!(crosses, is_within_reach(image), "{image}");
        }
    }

    /// The L1 ball may not leave the cube on the way along the largest weight.
    #[test]
    fn the_box_cuts_no_path() {
        let most = WEIGHTS.iter().map(|weight| f64::from(weight.abs())).fold(0.0, f64::max);
        let one: f64 = WEIGHTS.iter().map(|weight| f64::from(weight.abs())).sum();
        for image in 0..COUNT {
            assert!(distance(image) * one / most < 0.5 - distance(image), "{image}");
        }
    }
}
