//! Random directions of length one.

use mimir_bundle::Norm;

use super::arithmetic::{TINY, at_least};
use super::{Ball, l2, linf};
use crate::random::Stream;

impl Ball {
    /// Writes a random direction whose length in the ball's norm is one: uniform noise for L∞, normal noise for L2 and
    /// L1.
    pub fn random_direction(&self, noise: &mut Stream, out: &mut [f32]) {
        let length = match self.norm {
            Norm::Linf => {
                noise.fill_uniform(out);
                linf::norm(out)
            }
            Norm::L2 => {
                noise.fill_normal(out);
                l2::norm(out)
            }
            Norm::L1 => {
                noise.fill_normal(out);
                out.iter().map(|value| f64::from(value.abs())).sum::<f64>() as f32
            }
        };
        let divisor = at_least(length, TINY);
        for value in out {
            *value /= divisor;
        }
    }
}
