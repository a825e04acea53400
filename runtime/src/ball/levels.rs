//! 8-bit pixels: the levels `k/255`, and how a point is brought to them without leaving the ball.
//!
//! The float32 of two levels are not exactly a whole number of levels apart. Distances are therefore those of the levels
//! themselves, which are whole numbers: nothing is rounded but the end result.

use mimir_bundle::Norm;

/// Largest level.
const LEVELS: f32 = 255.0;

/// The share of the radius from which a point counts as lying on the sphere: what rounding to levels takes from it is
/// then spent on other pixels.
const EDGE: f64 = 0.99;

/// How far from a whole number of levels float32 may leave one, in levels.
const ROUNDING: f64 = 1e-3;

/// The level nearest to a pixel of the box.
#[inline(always)]
pub(super) fn nearest(value: f32) -> f32 {
    (value * LEVELS).round_ties_even()
}

/// The pixel of a level.
#[inline(always)]
pub(super) fn pixel(level: f32) -> f32 {
    level / LEVELS
}

/// Whether every value is the pixel of a level. NaN is not.
pub(super) fn are_levels(values: &[f32]) -> bool {
    values.iter().all(|value| pixel(nearest(*value)) == *value)
}

/// Whole levels between the levels nearest to two pixels.
fn steps(left: f32, right: f32) -> f64 {
    f64::from((nearest(left) - nearest(right)).abs())
}

/// Distance of the levels nearest to the pixels, in pixels.
pub(super) fn distance(norm: Norm, left: &[f32], right: &[f32]) -> f64 {
    let steps = left.iter().zip(right).map(|(left, right)| steps(*left, *right));
    match norm {
        Norm::Linf => in_pixels(norm, steps.fold(0.0, f64::max)),
        Norm::L2 | Norm::L1 => in_pixels(norm, steps.map(|steps| term(norm, steps)).sum()),
    }
}

/// The distance that belongs to a sum of terms, or for L∞ to the largest.
fn in_pixels(norm: Norm, total: f64) -> f64 {
    match norm {
        Norm::L2 => libm::sqrt(total) / f64::from(LEVELS),
        Norm::Linf | Norm::L1 => total / f64::from(LEVELS),
    }
}

/// What a change of so many levels adds to the sum.
fn term(norm: Norm, steps: f64) -> f64 {
    match norm {
        Norm::L2 => steps * steps,
        Norm::Linf | Norm::L1 => steps,
    }
}

/// The largest whole total whose distance is at most `radius`: `2/255` is two levels, however it was rounded.
pub(super) fn budget(norm: Norm, radius: f64) -> f64 {
    let near = match norm {
        Norm::L2 => (radius * f64::from(LEVELS)).powi(2),
        Norm::Linf | Norm::L1 => radius * f64::from(LEVELS),
    };
    let near = near.min(1e15).round();
    let fits = |total: &f64| in_pixels(norm, *total) <= radius;
    [near + 1.0, near, near - 1.0, near - 2.0].into_iter().find(fits).unwrap_or(0.0).max(0.0)
}

/// Brings a point of the box to levels. `inside` says whether it lies in the ball, so that its levels must, too.
pub(super) fn snap(norm: Norm, radius: f64, inside: Inside, centre: &[f32], point: &mut [f32]) {
    match (inside, norm) {
        (Inside::No, _) => point.iter_mut().for_each(|value| *value = pixel(nearest(*value))),
        (_, Norm::Linf) => clamp(budget(norm, radius) as f32, centre, point),
        (_, Norm::L2 | Norm::L1) => apportion(norm, budget(norm, radius), inside, centre, point),
    }
}

/// Brings a point of the box to levels: up where it lies above one by a larger share of a level than its threshold in `[0, 1)`.
pub(super) fn snap_by(thresholds: &[f32], point: &mut [f32]) {
    for (value, threshold) in point.iter_mut().zip(thresholds) {
        let level = *value * LEVELS;
        // Float32 leaves levels a little beside whole numbers.
        let below = (level + ROUNDING as f32).floor();
        *value = pixel(if level - below > *threshold { below + 1.0 } else { below });
    }
}

/// Where a point lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inside {
    /// Outside the ball.
    No,
    /// Inside.
    Yes,
    /// Inside, close to the sphere.
    AtEdge,
}

impl Inside {
    /// Of a point at that distance. `slack` is what may lie outside and still counts as inside.
    pub(super) fn of(distance: f64, radius: f64, slack: f64) -> Self {
        if distance > radius + slack {
            Self::No
        } else if distance >= EDGE * radius {
            Self::AtEdge
        } else {
            Self::Yes
        }
    }
}

/// L∞: the nearest level of those that are near enough.
fn clamp(most: f32, centre: &[f32], point: &mut [f32]) {
    for (value, clean) in point.iter_mut().zip(centre) {
        let clean = nearest(*clean);
        *value = pixel(nearest(*value).clamp((clean - most).max(0.0), (clean + most).min(LEVELS)));
    }
}

/// L2 and L1: every change is cut to whole levels, and what that leaves of the budget goes to the pixels that lost most
/// (the method of largest remainders). Inside the ball only those that lost more than half a level get it back, which is
/// rounding to the nearest.
fn apportion(norm: Norm, budget: f64, inside: Inside, centre: &[f32], point: &mut [f32]) {
    let mut spent = 0.0;
    let mut remainders: Vec<(f32, usize)> = Vec::new();
    for (index, (value, clean)) in point.iter_mut().zip(centre).enumerate() {
        let level = nearest(*clean);
        let change = f64::from(*value) * f64::from(LEVELS) - f64::from(level);
        let steps = (change.abs() + ROUNDING).floor();
        let remainder = change.abs() - steps;
        if remainder > ROUNDING && (inside == Inside::AtEdge || remainder > 0.5) {
            remainders.push((remainder.copysign(change) as f32, index));
        }
        spent += term(norm, steps);
        *value = pixel(level + (steps * change.signum()) as f32);
    }
    remainders.sort_by(|left, right| right.0.abs().total_cmp(&left.0.abs()).then(left.1.cmp(&right.1)));
    for (remainder, index) in remainders {
        let steps = steps(point[index], centre[index]);
        let cost = term(norm, steps + 1.0) - term(norm, steps);
        if spent + cost <= budget {
            spent += cost;
            point[index] = pixel(nearest(point[index]) + 1.0_f32.copysign(remainder));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_decide_between_two_levels_and_levels_stay() {
        let mut point = [3.2, 3.2, 7.9, 254.5, 0.0].map(|level: f32| level / 255.0);
        snap_by(&[0.1, 0.3, 0.95, 0.0, 0.0], &mut point);
        assert_eq!(point, [4, 3, 7, 255, 0].map(|level: u8| pixel(f32::from(level))));
        for level in 0..=255_u8 {
            let mut point = [pixel(f32::from(level)); 2];
            snap_by(&[0.0, 0.999], &mut point);
            assert_eq!(point, [pixel(f32::from(level)); 2]);
        }
    }

    #[test]
    fn a_radius_of_whole_levels_has_that_many() {
        for levels in 1..=255 {
            let radius = f64::from(levels) / 255.0;
            assert_eq!(budget(Norm::Linf, radius), f64::from(levels));
            assert_eq!(budget(Norm::L1, radius), f64::from(levels));
            assert_eq!(budget(Norm::L2, radius), f64::from(levels * levels));
            assert_eq!(budget(Norm::Linf, radius.next_down()), f64::from(levels - 1));
        }
        assert_eq!(budget(Norm::L2, 0.5), 16_256.0, "127.5² = 16256.25");
        assert_eq!(budget(Norm::L1, 12.0), 3060.0);
    }

    #[test]
    fn linf_goes_to_the_nearest_level_that_is_near_enough() {
        let centre = [100.0, 100.0, 100.0, 1.0, 254.0].map(pixel);
        let mut point = [102.4, 97.6, 100.4, 0.0, 255.0].map(pixel);
        snap(Norm::Linf, 2.0 / 255.0, Inside::AtEdge, &centre, &mut point);
        assert_eq!(point, [102.0, 98.0, 100.0, 0.0, 255.0].map(pixel));
    }

    #[test]
    fn what_rounding_takes_goes_to_those_that_lost_most() {
        let centre = [100.0; 4].map(pixel);
        // The length is 3.02 levels, of which whole levels leave 2.
        let start = [102.4, 99.2, 100.9, 101.4].map(pixel);
        let mut point = start;
        snap(Norm::L2, 3.02 / 255.0, Inside::AtEdge, &centre, &mut point);
        assert_eq!(
            point,
            [102.0, 99.0, 101.0, 101.0].map(pixel),
            "a third level for the first would be too long"
        );
        let mut point = start;
        snap(Norm::L1, 5.5 / 255.0, Inside::AtEdge, &centre, &mut point);
        assert_eq!(point, [102.0, 99.0, 101.0, 101.0].map(pixel));
        // Well inside nothing is blown up.
        let mut point = [100.4, 100.4, 100.4, 100.4].map(pixel);
        snap(Norm::L2, 20.0 / 255.0, Inside::Yes, &centre, &mut point);
        assert_eq!(point, centre);
        // At the edge even small changes move somebody.
        let mut point = [100.6, 100.5, 100.4, 99.5].map(pixel);
        snap(Norm::L2, 1.1 / 255.0, Inside::AtEdge, &centre, &mut point);
        assert_eq!(point, [101.0, 100.0, 100.0, 100.0].map(pixel));
    }
}
