//! L∞: all pixels that can help move by the same amount.

use super::lanes::{Real, Side, largest};
use super::newton::{Speed, solve};
use crate::ball::at_most;

struct Even;

impl Speed for Even {
    const LIMIT: f32 = 1.0;

    fn loss<T: Real>(lambda: T, slope: T, room: T) -> (T, T) {
        if lambda < room { (slope * lambda, slope) } else { (slope * room, T::default()) }
    }
}

pub(super) fn displacement(side: Side, height: f64, out: &mut [f32]) -> f32 {
    let lambda = solve::<Even>(side, height);
    side.write(out, |slope, room| if slope == 0.0 { 0.0 } else { at_most(lambda, room) });
    largest(out)
}
