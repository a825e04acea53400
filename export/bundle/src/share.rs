//! Shares of a number of images, and how they are shown.

/// `part / whole`, and 0 of nothing: never NaN.
pub fn fraction(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// A fraction in per cent with two decimals, as the field writes accuracies: `48.00 %`, `59.78 %`.
///
/// Rounded towards zero, so that a number just below a requirement is never shown as the requirement.
pub fn percent(fraction: f64) -> String {
    // Far below the last decimal, and enough to undo the rounding of 0.58 · 10⁴.
    let hundredths = (fraction * 1e4 + 1e-6).floor();
    format!("{:.2} %", hundredths / 1e2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_round_towards_zero() {
        let cases = [
            (0.0, "0.00 %"),
            (1.0, "100.00 %"),
            (0.48, "48.00 %"),
            (0.58, "58.00 %"),
            (0.602, "60.20 %"),
            (0.5978, "59.78 %"),
            (0.299_999, "29.99 %"),
            (2.0 / 3.0, "66.66 %"),
        ];
        for (fraction, expected) in cases {
            assert_eq!(percent(fraction), expected, "{fraction}");
        }
    }
}
