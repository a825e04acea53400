//! What L2 and L1 have in common: the norm of a perturbation follows from a sum over its pixels.

/// Partial sums that run side by side: enough for two vectors of `f64` in flight on any machine.
const LANES: usize = 8;

/// How the norm of a perturbation follows from a sum over its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SummedNorm {
    /// The root of the sum of squares.
    Euclidean,
    /// The sum of absolute values.
    Absolute,
}

impl SummedNorm {
    /// What one pixel adds to the sum. Also the sum that belongs to a norm.
    pub(super) fn term(self, change: f64) -> f64 {
        match self {
            Self::Euclidean => change * change,
            Self::Absolute => change.abs(),
        }
    }

    /// The norm that belongs to a sum.
    pub(super) fn norm_for_sum(self, sum: f64) -> f64 {
        match self {
            Self::Euclidean => sum.sqrt(),
            Self::Absolute => sum,
        }
    }

    /// The sum for the change from one image to another, in a fixed order, so that the last bit never depends on the
    /// machine's vector width.
    pub(super) fn sum(self, centre: &[f32], point: &[f32]) -> f64 {
        match self {
            Self::Euclidean => sum(centre, point, |change| change * change),
            Self::Absolute => sum(centre, point, f64::abs),
        }
    }
}

fn sum(centre: &[f32], point: &[f32], term: impl Fn(f64) -> f64) -> f64 {
    let (centre, point) = (centre.chunks_exact(LANES), point.chunks_exact(LANES));
    let change = |(clean, value): (&f32, &f32)| f64::from(*value) - f64::from(*clean);
    let rest: f64 = centre.remainder().iter().zip(point.remainder()).map(|pair| term(change(pair))).sum();
    let mut sums = [0.0; LANES];
    for (clean, values) in centre.zip(point) {
        for (sum, pair) in sums.iter_mut().zip(clean.iter().zip(values)) {
            *sum += term(change(pair));
        }
    }
    sums.iter().sum::<f64>() + rest
}
