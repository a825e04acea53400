//! Experiments that ask the original model about points, without an attack.

use mimir_bundle::Norm;

use super::found::{Compared, NoisePoints, Stability};
use super::subset::spread;
use crate::ball::Ball;
use crate::error::EvaluateError;
use crate::evaluate::Plan;
use crate::evaluation_set::EvaluationSet;
use crate::logits::{margin, predicted_class};
use crate::model::{Batches, Classifier};
use crate::probe::agree;
use crate::random::{Key, Stream};

/// Says whether somebody wants the experiments to end.
type Wanted<'a> = &'a dyn Fn() -> Result<(), EvaluateError>;

/// Random offsets of each image, as in Pintor et al.
const OFFSETS: usize = 100;
/// Width of the box that offsets are drawn from, likewise.
const WIDTH: f64 = 8.0 / 255.0;

/// Images that random points are drawn around, and points of each.
const NOISE_IMAGES: usize = 4;
const NOISE_POINTS: usize = 10_000;

/// Logits `[N, K]` of images of the set, in that order, in full batches.
fn logits(
    classifier: &mut dyn Classifier,
    set: &EvaluationSet,
    images: &[usize],
    wanted: Wanted<'_>,
) -> Result<Vec<Vec<f32>>, EvaluateError> {
    let mut batches = Batches::for_classifier(classifier);
    let mut all = Vec::with_capacity(images.len());
    for chunk in images.chunks(batches.size()) {
        wanted()?;
        let rows = chunk.iter().map(|image| set.image(*image)).collect::<Result<Vec<_>, _>>()?;
        let logits = batches.logits(classifier, rows.iter().map(|row| &row[..]))?;
        all.extend(logits.rows().into_iter().map(|row| row.to_vec()));
    }
    Ok(all)
}

/// Asks for all images again: in the same batches, and from the other end, in other batches and other rows. Kernels that round by the
/// place of a row do so by its remainder by a power of two: in even batches each image goes from an even row to an odd one, or back.
pub(super) fn compare(
    classifier: &mut dyn Classifier,
    set: &EvaluationSet,
    wanted: Wanted<'_>,
) -> Result<(Compared, Compared), EvaluateError> {
    let images: Vec<usize> = (0..set.count()).collect();
    let mut reversed: Vec<usize> = images.iter().rev().copied().collect();
    let turn = reversed.len() % 2;
    reversed.rotate_left(turn);
    let first = logits(classifier, set, &images, wanted)?;
    let again = logits(classifier, set, &images, wanted)?;
    let mut from_the_end = logits(classifier, set, &reversed, wanted)?;
    from_the_end.rotate_right(turn);
    from_the_end.reverse();
    Ok((compared(&first, &again), compared(&first, &from_the_end)))
}

/// Logits of the same images.
fn compared(first: &[Vec<f32>], second: &[Vec<f32>]) -> Compared {
    let mut found = Compared { images: first.len(), ..Compared::default() };
    for (image, (one, other)) in first.iter().zip(second).enumerate() {
        let apart = one.iter().zip(other).map(|(one, other)| (one - other).abs());
        let apart = apart.filter(|apart| apart.is_finite()).fold(0.0, f32::max);
        match agree(one, other) {
            false => found.different.push(image),
            true if apart > 0.0 => {
                found.rounded.push(image);
                found.rounding = found.rounding.max(apart);
            }
            true => {}
        }
    }
    found
}

/// How much margins change within half of [`WIDTH`], or of the radius in L∞ where that is smaller.
pub(super) fn stability(
    classifier: &mut dyn Classifier,
    set: &EvaluationSet,
    images: &[usize],
    plan: &Plan,
) -> Result<Option<Stability>, EvaluateError> {
    let threat_model = plan.threat_model;
    let width = if threat_model.norm == Norm::Linf { WIDTH.min(threat_model.epsilon) } else { WIDTH };
    let reach = width / 2.0;
    let mut batches = Batches::for_classifier(classifier);
    let mut changes = Vec::with_capacity(images.len());
    for image in images {
        let (clean, label) = (set.image(*image)?, set.labels()[*image]);
        let key = Key { seed: plan.seed, image: *image, attack: "offsets", target: None, restart: 0 };
        let mut noise = Stream::new(&key);
        let at_clean = batches.logits(classifier, std::iter::once(&clean[..]))?;
        let at_clean = f64::from(margin(at_clean.row(0).as_slice().unwrap_or_default(), label));
        let mut offsets = vec![vec![0.0_f32; clean.len()]; OFFSETS];
        for offset in &mut offsets {
            noise.fill_uniform(offset);
            for (value, pixel) in offset.iter_mut().zip(&clean[..]) {
                *value = (pixel + *value * reach as f32).clamp(0.0, 1.0);
            }
        }
        let mut sum = 0.0;
        for chunk in offsets.chunks(batches.size()) {
            let rows = batches.logits(classifier, chunk.iter().map(Vec::as_slice))?;
            let margins =
                rows.rows().into_iter().map(|row| margin(row.as_slice().unwrap_or_default(), label));
            sum += margins.map(|found| change(at_clean, f64::from(found))).sum::<f64>();
        }
        changes.push((*image, sum / OFFSETS as f64));
    }
    Ok((!changes.is_empty()).then_some(Stability { offsets: OFFSETS, reach, changes }))
}

/// `|found - clean| / |clean|`, at most 1; a number that is none is a change.
fn change(clean: f64, found: f64) -> f64 {
    let scale = if clean == 0.0 { 1.0 } else { clean.abs() };
    let change = (found - clean).abs() / scale;
    if change.is_finite() { change.min(1.0) } else { 1.0 }
}

/// Whether random points of the ball around a few images that nothing broke are misclassified: half of them drawn as
/// attacks draw their starts, half as far out as the ball goes, in L∞ its corners.
pub(super) fn noise(
    classifier: &mut dyn Classifier,
    set: &EvaluationSet,
    unbroken: &[usize],
    ball: &Ball,
    seed: u64,
    wanted: Wanted<'_>,
) -> Result<Option<NoisePoints>, EvaluateError> {
    let images = spread(unbroken, NOISE_IMAGES);
    let mut batches = Batches::for_classifier(classifier);
    let mut broken = Vec::new();
    for image in &images {
        let (clean, label) = (set.image(*image)?, set.labels()[*image]);
        let key = Key { seed, image: *image, attack: "points", target: None, restart: 0 };
        let mut stream = Stream::new(&key);
        let mut points = vec![vec![0.0_f32; clean.len()]; batches.size()];
        let mut left = NOISE_POINTS;
        while left > 0 {
            wanted()?;
            let count = left.min(points.len());
            for (index, point) in points[..count].iter_mut().enumerate() {
                match (left - index).is_multiple_of(2) {
                    true => ball.random_point(&clean, &mut stream, point),
                    false => furthest_point(ball, &clean, &mut stream, point),
                }
                ball.snap(&clean, point);
            }
            let rows = batches.logits(classifier, points[..count].iter().map(Vec::as_slice))?;
            let class = |row: ndarray::ArrayView1<f32>| predicted_class(row.as_slice().unwrap_or_default());
            if rows.rows().into_iter().any(|row| class(row).is_some_and(|class| class != label)) {
                broken.push(*image);
                break;
            }
            left -= count;
        }
    }
    Ok(Some(NoisePoints { images: images.len(), points: NOISE_POINTS, broken }))
}

/// A point of a random direction, brought back to the ball from far outside: in L∞ a corner.
pub(super) fn furthest_point(ball: &Ball, clean: &[f32], stream: &mut Stream, point: &mut [f32]) {
    stream.fill_normal(point);
    for (value, pixel) in point.iter_mut().zip(clean) {
        *value = pixel + 1e3 * *value;
    }
    ball.project(clean, point);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_relative_and_bounded() {
        for (clean, found, want) in
            [(2.0, 1.5, 0.25), (2.0, 2.0, 0.0), (2.0, -5.0, 1.0), (0.0, 0.5, 0.5), (2.0, f64::NAN, 1.0)]
        {
            assert_eq!(change(clean, found), want, "{clean} {found}");
        }
    }

    #[test]
    fn the_furthest_points_are_corners() {
        let ball = crate::testing::ball(Norm::Linf, 0.125);
        let clean = [0.5_f32; 16];
        let key = Key { seed: 0, image: 0, attack: "points", target: None, restart: 0 };
        let (mut stream, mut seen) = (Stream::new(&key), Vec::new());
        for _ in 0..4 {
            let mut point = [0.0; 16];
            furthest_point(&ball, &clean, &mut stream, &mut point);
            assert!(point.iter().all(|value| [0.375, 0.625].contains(value)), "{point:?}");
            assert!(!seen.contains(&point));
            seen.push(point);
        }
    }
}
