//! The hyperbolic tangent by arithmetic alone, so that loops over pixels vectorise and every machine gives the same bits.

/// Beyond it the tangent is one in float32.
const LARGEST: f32 = 9.0;
/// Partial denominators of the fraction: off by less than 2·10⁻⁷ up to 7 and 4·10⁻⁶ up to 9, and by the rounding
/// of float32.
const TERMS: usize = 11;
/// Coefficients of a polynomial in `w²` that so many terms make.
const COEFFICIENTS: usize = TERMS.div_ceil(2);

/// Numerator, over `w`, and denominator of the fraction, by falling power of `w²`.
const FRACTION: [[f32; COEFFICIENTS]; 2] = fraction();

/// Lambert's continued fraction `w / (1 + w² / (3 + w² / (5 + …)))`. All coefficients are positive: nothing cancels.
#[inline(always)]
pub(super) fn tanh(value: f32) -> f32 {
    let value = value.clamp(-LARGEST, LARGEST);
    let square = value * value;
    let [upper, lower] = [polynomial(&FRACTION[0], square), polynomial(&FRACTION[1], square)];
    (value * (upper / lower)).clamp(-1.0, 1.0)
}

#[inline(always)]
fn polynomial(coefficients: &[f32; COEFFICIENTS], at: f32) -> f32 {
    let mut sum = coefficients[0];
    for coefficient in &coefficients[1..] {
        sum = sum * at + coefficient;
    }
    sum
}

/// By the recurrence of continued fractions, `A_k = (2k - 1)·A_{k-1} + w²·A_{k-2}`.
const fn fraction() -> [[f32; COEFFICIENTS]; 2] {
    // The last two of each, by rising power: A₀ = 0, A₁ = w; B₀ = B₁ = 1.
    let (mut before, mut last) = ([[0.0_f64; COEFFICIENTS]; 2], [[0.0_f64; COEFFICIENTS]; 2]);
    (before[1][0], last[0][0], last[1][0]) = (1.0, 1.0, 1.0);
    let mut term = 2;
    while term <= TERMS {
        let (mut next, mut which) = ([[0.0_f64; COEFFICIENTS]; 2], 0);
        while which < 2 {
            let mut power = 0;
            while power < COEFFICIENTS {
                let shifted = if power == 0 { 0.0 } else { before[which][power - 1] };
                next[which][power] = (2 * term - 1) as f64 * last[which][power] + shifted;
                power += 1;
            }
            which += 1;
        }
        (before, last) = (last, next);
        term += 1;
    }
    let (mut falling, mut power) = ([[0.0_f32; COEFFICIENTS]; 2], 0);
    while power < COEFFICIENTS {
        falling[0][power] = last[0][COEFFICIENTS - 1 - power] as f32;
        falling[1][power] = last[1][COEFFICIENTS - 1 - power] as f32;
        power += 1;
    }
    falling
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
