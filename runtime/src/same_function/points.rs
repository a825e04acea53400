//! The points at which a file and its copies are compared: keyed by the seed, the same in every run.

use super::expected::Sample;
use crate::ball::Ball;
use crate::error::{EvaluateError, PlanError};
use crate::random::{Key, Stream};

/// First images of the set, each as it is and as a random point of its ball.
const IMAGES: usize = 4;

/// Times that each point is moved by rounding, where copies seem to differ.
const CLOSE_MOVES: usize = 4;

/// Pixels of slopes are multiples of this, so that all steps are taken exactly.
const GRID: f32 = 1.0 / (1 << 20) as f32;

/// How closely slopes are looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Look {
    points: usize,
    directions: usize,
    /// Lengths of the steps of differences, in pixels, the longest first; multiples of the grid.
    steps: &'static [f32],
}

impl Look {
    /// Cheap. Long steps rise above rounding, short ones cross fewer kinks.
    pub(super) const FIRST: Self =
        Self { points: 3, directions: 2, steps: &[1.0 / 32.0, 1.0 / 256.0, 1.0 / 2048.0] };

    /// Where the first look saw a difference: other points, and steps down to what single precision resolves, on which
    /// also a function that bends at each level of eight bits is straight.
    pub(super) const CLOSE: Self = Self {
        points: 8,
        directions: 2,
        steps: &[
            1.0 / (1 << 5) as f32,
            1.0 / (1 << 7) as f32,
            1.0 / (1 << 9) as f32,
            1.0 / (1 << 11) as f32,
            1.0 / (1 << 13) as f32,
            1.0 / (1 << 15) as f32,
            1.0 / (1 << 17) as f32,
            1.0 / (1 << 19) as f32,
        ],
    };
}

/// Where points lie: around the first images.
pub(super) struct Places<'a> {
    sample: Sample<'a>,
    ball: Ball,
    clean: Vec<Vec<f32>>,
}

/// Points `[C·H·W]` each.
pub(super) struct Points {
    /// Images and random points of their balls.
    pub(super) compared: Vec<Vec<f32>>,
    /// The label of the image of each of them.
    pub(super) labels: Vec<usize>,
}

/// A point inside the box, and directions in which every pixel moves by one.
pub(super) struct SlopeRows {
    pub(super) label: usize,
    pub(super) pixels: Vec<f32>,
    /// Entries -1 and 1.
    pub(super) directions: Vec<Vec<f32>>,
    pub(super) steps: &'static [f32],
}

impl SlopeRows {
    /// The point, then for each direction and step the point after the step and the one before it.
    pub(super) fn rows(&self) -> impl Iterator<Item = Vec<f32>> + '_ {
        let moved = |direction: &Vec<f32>, step: f32| -> Vec<f32> {
            self.pixels.iter().zip(direction).map(|(pixel, sign)| pixel + step * sign).collect()
        };
        let around = self.directions.iter().flat_map(move |direction| {
            self.steps.iter().flat_map(move |step| [moved(direction, *step), moved(direction, -step)])
        });
        std::iter::once(self.pixels.clone()).chain(around)
    }
}

impl<'a> Places<'a> {
    /// # Errors
    /// When an image cannot be read, or there is no such ball.
    pub(super) fn new(sample: Sample<'a>) -> Result<Self, EvaluateError> {
        let ball = Ball::new(sample.threat_model).map_err(PlanError::from)?;
        let count = sample.set.count().min(IMAGES);
        let clean = (0..count).map(|image| sample.set.image(image).map(|pixels| pixels.to_vec()));
        Ok(Self { clean: clean.collect::<Result<_, _>>()?, sample, ball })
    }

    /// The points at which scores are compared.
    pub(super) fn points(&self) -> Points {
        let random = (0..IMAGES).map(|place| self.random(place));
        Points {
            labels: (0..self.clean.len()).chain(0..IMAGES).map(|place| self.label(place)).collect(),
            compared: self.clean.iter().cloned().chain(random).collect(),
        }
    }

    /// The first images, each moved by rounding.
    pub(super) fn moved_images(&self, unit: f64) -> Vec<Vec<f32>> {
        let images = self.clean.iter().enumerate();
        images.map(|(place, image)| moved(image, unit, &self.key(place, 1))).collect()
    }

    /// The points, each moved by rounding some times.
    pub(super) fn moved_often(&self, points: &Points, unit: f64) -> Vec<Vec<f32>> {
        let all = points.compared.iter().enumerate();
        all.flat_map(|(place, point)| {
            (0..CLOSE_MOVES).map(move |time| moved(point, unit, &self.key(place, 100 + time)))
        })
        .collect()
    }

    /// Where slopes are measured.
    pub(super) fn slopes(&self, look: Look) -> Vec<SlopeRows> {
        let rows = (0..look.points).map(|place| {
            let point = self.random(place);
            let directions =
                (0..look.directions).map(|direction| signs(point.len(), &self.key(place, 2 + direction)));
            SlopeRows {
                label: self.label(place),
                directions: directions.collect(),
                pixels: inside(&point),
                steps: look.steps,
            }
        });
        rows.collect()
    }

    fn random(&self, place: usize) -> Vec<f32> {
        let centre = &self.clean[place % self.clean.len()];
        let mut point = vec![0.0; centre.len()];
        self.ball.random_point(centre, &mut Stream::new(&self.key(place, 0)), &mut point);
        self.ball.snap(centre, &mut point);
        point
    }

    fn label(&self, place: usize) -> usize {
        self.sample.set.labels()[place % self.clean.len()]
    }

    fn key(&self, place: usize, target: usize) -> Key {
        let count = self.clean.len();
        Key {
            seed: self.sample.seed,
            image: place % count,
            attack: "samefunc",
            target: Some(target),
            restart: place / count,
        }
    }
}

/// The point with its pixels moved by at most the last bit of 1.
fn moved(point: &[f32], unit: f64, key: &Key) -> Vec<f32> {
    let mut noise = vec![0.0; point.len()];
    Stream::new(key).fill_uniform(&mut noise);
    point.iter().zip(&noise).map(|(pixel, noise)| (pixel + unit as f32 * noise).clamp(0.0, 1.0)).collect()
}

fn signs(length: usize, key: &Key) -> Vec<f32> {
    let mut stream = Stream::new(key);
    (0..length).map(|_| stream.sign()).collect()
}

/// The point with less contrast, so that the longest step stays in the box: many models have a kink at its edge.
fn inside(point: &[f32]) -> Vec<f32> {
    let on_grid = |pixel: f32| (pixel / GRID).round() * GRID;
    point.iter().map(|pixel| on_grid(1.0 / 16.0 + 7.0 / 8.0 * pixel)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_taken_exactly_and_stay_in_the_box() {
        let point: Vec<f32> = (0..1000).map(|index| index as f32 / 999.0).collect();
        for look in [Look::FIRST, Look::CLOSE] {
            let rows = SlopeRows {
                label: 0,
                pixels: inside(&point),
                directions: vec![vec![1.0; 1000]],
                steps: look.steps,
            };
            let all: Vec<Vec<f32>> = rows.rows().collect();
            assert_eq!(all.len(), 1 + 2 * look.steps.len());
            for (step, pair) in look.steps.iter().zip(all[1..].chunks(2)) {
                for ((here, after), before) in all[0].iter().zip(&pair[0]).zip(&pair[1]) {
                    assert_eq!((after - here, here - before), (*step, *step));
                    assert!((0.0..=1.0).contains(after) && (0.0..=1.0).contains(before));
                }
            }
        }
    }
}
