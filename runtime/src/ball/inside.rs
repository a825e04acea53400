//! From just outside a ball to just inside it, for norms that are sums over pixels.

use multiversion::multiversion;

use super::distance;

/// What a sum may differ by when it is added up in another order, as a share: far more than 10⁶ pixels need.
const ROOM: f64 = 1e-12;

/// The share of the radius by which rounding alone leaves a point outside, with room to spare.
const ROUNDING: f64 = 1e-5;

/// A norm that is a sum over pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sum {
    L2,
    L1,
}

impl Sum {
    fn distance(self, centre: &[f32], point: &[f32]) -> f64 {
        match self {
            Self::L2 => distance::l2(point, centre),
            Self::L1 => distance::l1(point, centre),
        }
    }

    /// What a change adds to the sum that the norm follows from; also the sum that belongs to a norm.
    fn term(self, change: f64) -> f64 {
        match self {
            Self::L2 => change * change,
            Self::L1 => change.abs(),
        }
    }
}

/// Moves a point that lies outside the radius towards the centre, until it lies inside whoever adds up the distance.
///
/// What rounding left outside is taken off single pixels, one float32 each. A point further outside is scaled, every
/// pixel rounded towards the centre, so that one pass is enough.
pub(super) fn pull_in(radius: f64, sum: Sum, centre: &[f32], point: &mut [f32]) {
    let wanted = radius * (1.0 - ROOM);
    let mut found = sum.distance(centre, point);
    if found > wanted && found <= radius * (1.0 + ROUNDING) {
        step_back(sum, found, wanted, centre, point);
        found = sum.distance(centre, point);
    }
    if found > wanted {
        scale_towards(wanted / found * (1.0 - ROOM), centre, point);
    }
}

/// Moves one pixel after the other to the next float32 towards the centre, until the distance is `wanted`.
fn step_back(sum: Sum, found: f64, wanted: f64, centre: &[f32], point: &mut [f32]) {
    let (mut total, wanted) = (sum.term(found), sum.term(wanted) * (1.0 - ROOM));
    for (value, clean) in point.iter_mut().zip(centre) {
        if total <= wanted {
            return;
        }
        let nearer = towards(*value, *clean);
        let change = |value: f32| sum.term(f64::from(value) - f64::from(*clean));
        total -= change(*value) - change(nearer);
        *value = nearer;
    }
}

/// Scales every change by a factor of at most 1. No change grows by rounding.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
fn scale_towards(factor: f64, centre: &[f32], point: &mut [f32]) {
    for (value, clean) in point.iter_mut().zip(centre) {
        let centre = f64::from(*clean);
        let wanted = centre + (f64::from(*value) - centre) * factor;
        let rounded = wanted as f32;
        let grew = (f64::from(rounded) - centre).abs() > (wanted - centre).abs();
        *value = if grew { towards(rounded, *clean) } else { rounded };
    }
}

/// The next float32 on the way to the centre.
#[inline(always)]
fn towards(value: f32, clean: f32) -> f32 {
    if value > clean {
        value.next_down()
    } else if value < clean {
        value.next_up()
    } else {
        value
    }
}
