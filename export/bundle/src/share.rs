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

/// A share that somebody asked for, as a percentage with as many decimals as it has, two at least: beside what was found,
/// rounded down, it is seen to be more than that.
pub fn percent_in_full(fraction: f64) -> String {
    // The shortest decimal that is the share: 0.29 · 100 has more digits than 29.
    let digits = format!("{fraction}");
    let decimals = digits.split_once('.').map_or(0, |(_, decimals)| decimals.len()).clamp(4, 17) - 2;
    format!("{:.decimals$} %", 100.0 * fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_written_in_full_and_what_is_less_looks_less() {
        let cases = [
            (0.275, "27.50 %"),
            (0.58, "58.00 %"),
            (0.27501, "27.501 %"),
            (0.275_000_01, "27.500001 %"),
            (1.0, "100.00 %"),
            (0.29, "29.00 %"),
        ];
        for (required, expected) in cases {
            assert_eq!(percent_in_full(required), expected);
            for less in [required - 1e-9, required - 1e-5] {
                assert_ne!(percent(less), expected);
            }
        }
        assert_ne!(percent(0.275), percent_in_full(0.27501));
    }

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
