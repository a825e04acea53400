//! The schedule of minimum-norm attacks.

/// From `first` to `last` along half a cosine: the value for step `taken` of `steps`.
pub(super) fn half_cosine(first: f64, last: f64, taken: usize, steps: usize) -> f64 {
    let share = taken as f64 / steps as f64;
    last + (first - last) * (1.0 + libm::cos(std::f64::consts::PI * share)) / 2.0
}
