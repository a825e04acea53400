//! The hyperbolic tangent by arithmetic alone, so that loops over pixels vectorise and every machine gives the same bits.

/// Beyond it the tangent is one in float32.
const LARGEST: f32 = 9.0;
/// Partial denominators of the fraction: off by less than 2·10⁻⁷ up to 7 and 4·10⁻⁶ up to 9, and by the rounding
/// of float32.
const TERMS: usize = 11;

/// Lambert's continued fraction `w / (1 + w² / (3 + w² / (5 + …)))`, of which all terms are positive: nothing cancels.
#[inline(always)]
pub(super) fn tanh(value: f32) -> f32 {
    let value = value.clamp(-LARGEST, LARGEST);
    let square = value * value;
    let (mut upper, mut lower) = ([0.0, value], [1.0, 1.0]);
    for term in 1..TERMS {
        let denominator = (2 * term + 1) as f32;
        upper = [upper[1], denominator * upper[1] + square * upper[0]];
        lower = [lower[1], denominator * lower[1] + square * lower[0]];
    }
    (upper[1] / lower[1]).clamp(-1.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_hyperbolic_tangent() {
        for step in -2000..=2000 {
            let value = step as f32 / 100.0;
            let wanted = libm::tanh(f64::from(value));
            let off = (f64::from(tanh(value)) - wanted).abs();
            assert!(off < if value.abs() <= 7.0 { 1e-6 } else { 1e-5 }, "{value}: off by {off}");
        }
        assert_eq!([tanh(0.0), tanh(f32::MAX), tanh(f32::MIN)].map(f32::abs), [0.0, 1.0, 1.0]);
    }
}
