//! Images for a check that is given none: what the graphs of a model compute can be compared on any.

use mimir_bundle::ImageShape;
use mimir_runtime::random::{Key, Stream};
use ndarray::Array2;

/// As many as a comparison looks at.
const IMAGES: usize = 4;

/// Levels of pixels below the last.
const LEVELS: f32 = 255.0;

/// Random images `[N, C·H·W]` of levels of 8 bits, the same in every check, with labels that mean nothing.
pub(super) fn noise(image: ImageShape) -> (Array2<f32>, Vec<usize>) {
    let mut images = Array2::zeros((IMAGES, image.pixels()));
    for (index, mut row) in images.rows_mut().into_iter().enumerate() {
        let key = Key { seed: 0, image: index, attack: "check", target: None, restart: 0 };
        let mut pixels = vec![0.0; image.pixels()];
        Stream::new(&key).fill_uniform(&mut pixels);
        for (value, pixel) in row.iter_mut().zip(pixels) {
            *value = (pixel.abs() * LEVELS).round() / LEVELS;
        }
    }
    (images, vec![0; IMAGES])
}
