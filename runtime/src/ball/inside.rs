//! From just outside a ball to just inside it, for norms that are sums over pixels.

use multiversion::multiversion;

/// What a sum may differ by when it is added up in another order, as a share: far more than 10⁶ pixels need.
const ROOM: f64 = 1e-12;

/// Moves a point that lies outside the radius towards the centre, until it lies inside whoever adds up the distance.
///
/// Every change is scaled in `f64` and rounded towards the centre, so that one pass is enough.
pub(super) fn pull_in(
    radius: f64,
    distance: impl Fn(&[f32], &[f32]) -> f64,
    centre: &[f32],
    point: &mut [f32],
) {
    let (found, wanted) = (distance(point, centre), radius * (1.0 - ROOM));
    if found > wanted {
        scale_towards(wanted / found * (1.0 - ROOM), centre, point);
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
        *value = if !grew {
            rounded
        } else if rounded > *clean {
            rounded.next_down()
        } else {
            rounded.next_up()
        };
    }
}
