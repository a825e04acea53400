//! The points at which a file and its copies are compared: keyed by the seed, the same in every run.

use mimir_bundle::Pixels;

use super::expected::Sample;
use crate::ball::Ball;
use crate::error::{EvaluateError, PlanError};
use crate::random::{Key, Stream};

/// First images of the set, each as it is and as a random point of its ball.
const IMAGES: usize = 4;

/// Points around which slopes are measured, and directions from each.
const SLOPE_POINTS: usize = 3;
const DIRECTIONS: usize = 2;

/// Lengths of the steps of differences, in pixels. Long ones rise above rounding, short ones cross fewer kinks.
pub(super) const STEPS: [f32; 3] = [1.0 / 32.0, 1.0 / 256.0, 1.0 / 2048.0];

/// Points `[C·H·W]` each.
pub(super) struct Points {
    /// Images and random points of their balls.
    pub(super) compared: Vec<Vec<f32>>,
    /// The label of the image of each of them.
    pub(super) labels: Vec<usize>,
    /// The first of them, each moved by rounding; none where pixels are whole levels.
    pub(super) jittered: Vec<Vec<f32>>,
    /// Where slopes are measured.
    pub(super) slopes: Vec<SlopeRows>,
}

/// A point inside the box, and directions in which every pixel moves by one.
pub(super) struct SlopeRows {
    pub(super) label: usize,
    pub(super) pixels: Vec<f32>,
    /// Entries -1 and 1.
    pub(super) directions: Vec<Vec<f32>>,
}

impl SlopeRows {
    /// The point, then for each direction and step the point after the step and the one before it.
    pub(super) fn rows(&self) -> impl Iterator<Item = Vec<f32>> + '_ {
        let moved = |direction: &Vec<f32>, step: f32| -> Vec<f32> {
            self.pixels.iter().zip(direction).map(|(pixel, sign)| pixel + step * sign).collect()
        };
        let around = self.directions.iter().flat_map(move |direction| {
            STEPS.iter().flat_map(move |step| [moved(direction, *step), moved(direction, -step)])
        });
        std::iter::once(self.pixels.clone()).chain(around)
    }
}

impl Points {
    pub(super) fn new(sample: &Sample, unit: f64) -> Result<Self, EvaluateError> {
        let Sample { set, threat_model, seed } = *sample;
        let ball = Ball::new(threat_model).map_err(PlanError::from)?;
        let count = set.count().min(IMAGES);
        let clean = (0..count).map(|image| set.image(image).map(|pixels| pixels.to_vec()));
        let clean = clean.collect::<Result<Vec<_>, _>>()?;
        let key = |place: usize, target: usize| Key {
            seed,
            image: place % count,
            attack: "samefunc",
            target: Some(target),
            restart: place / count,
        };
        let around = |place: usize| {
            let mut point = vec![0.0; clean[place % count].len()];
            let centre = &clean[place % count];
            ball.random_point(centre, &mut Stream::new(&key(place, 0)), &mut point);
            ball.snap(centre, &mut point);
            point
        };
        let random: Vec<Vec<f32>> = (0..IMAGES).map(around).collect();
        let labels =
            (0..count).chain((0..IMAGES).map(|place| place % count)).map(|image| set.labels()[image]);
        let jittered = match threat_model.pixels {
            Pixels::EightBit => Vec::new(),
            Pixels::Continuous => {
                let all = clean.iter().enumerate();
                all.map(|(place, image)| jittered(image, unit, &key(place, 1))).collect()
            }
        };
        let slopes = (0..SLOPE_POINTS).map(|place| {
            let directions =
                (0..DIRECTIONS).map(|direction| signs(random[place].len(), &key(place, 2 + direction)));
            SlopeRows {
                label: set.labels()[place % count],
                pixels: inside(&random[place]),
                directions: directions.collect(),
            }
        });
        let slopes = slopes.collect();
        Ok(Self {
            labels: labels.collect(),
            compared: clean.into_iter().chain(random).collect(),
            jittered,
            slopes,
        })
    }
}

/// The image with its pixels moved by at most the last bit of 1.
fn jittered(image: &[f32], unit: f64, key: &Key) -> Vec<f32> {
    let mut noise = vec![0.0; image.len()];
    Stream::new(key).fill_uniform(&mut noise);
    image.iter().zip(&noise).map(|(pixel, noise)| (pixel + unit as f32 * noise).clamp(0.0, 1.0)).collect()
}

fn signs(length: usize, key: &Key) -> Vec<f32> {
    let mut stream = Stream::new(key);
    (0..length).map(|_| stream.sign()).collect()
}

/// The point with less contrast, so that the longest step stays in the box: many models have a kink at its edge.
fn inside(point: &[f32]) -> Vec<f32> {
    point.iter().map(|pixel| 1.0 / 16.0 + 7.0 / 8.0 * pixel).collect()
}
