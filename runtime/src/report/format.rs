//! Percentages and line breaks of the text form.

/// A fraction in per cent with two decimals, as the field writes accuracies: `48.00 %`, `59.78 %`.
///
/// Rounded towards zero, so that a number just below a requirement is never shown as the requirement.
pub fn percent(fraction: f64) -> String {
    // Far below the last decimal, and enough to undo the rounding of 0.58 · 10⁴.
    let hundredths = (fraction * 1e4 + 1e-6).floor();
    format!("{:.2} %", hundredths / 1e2)
}

/// `text` in lines of at most 100 characters, each after `indent`.
pub(super) fn wrapped(text: &str, indent: &str) -> String {
    let mut lines = vec![indent.to_owned()];
    for word in text.split_whitespace() {
        let fits = lines.last().is_some_and(|line| line.chars().count() + word.chars().count() < 100);
        if !fits {
            lines.push(indent.to_owned());
        }
        if let Some(line) = lines.last_mut() {
            if line.len() > indent.len() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
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

    #[test]
    fn long_lines_are_wrapped_at_words() {
        let text = wrapped(&"word ".repeat(40), "  ");
        assert!(text.lines().all(|line| line.len() <= 100 && line.starts_with("  word")), "{text}");
        assert_eq!(text.split_whitespace().count(), 40);
    }
}
