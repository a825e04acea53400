//! Numbers as users write them: decimals and fractions.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A decimal number or a fraction, such as `0.485` or `1/255`. Keeps its spelling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Spelling", into = "String")]
pub(crate) struct Fraction {
    text: String,
    value: f64,
}

impl Fraction {
    /// A finite number, written as a decimal.
    pub(super) fn decimal(value: f64) -> Self {
        Self { text: value.to_string(), value }
    }

    pub(crate) fn value(&self) -> f64 {
        self.value
    }
}

/// How a settings file may spell a number.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Spelling {
    Text(String),
    Number(f64),
}

impl Spelling {
    /// As on the command line.
    pub(super) fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
        }
    }
}

/// The value of a decimal or a fraction; `None` where it is neither.
pub(super) fn number(text: &str) -> Option<f64> {
    let number = |part: &str| part.trim().parse::<f64>().ok();
    match text.split_once('/') {
        Some((numerator, denominator)) => number(numerator).zip(number(denominator)).map(|(n, d)| n / d),
        None => number(text),
    }
}

impl FromStr for Fraction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match number(text) {
            Some(value) if value.is_finite() => Ok(Self { text: text.trim().to_owned(), value }),
            _ => Err(format!("`{text}`: wanted a finite number or a fraction, such as 0.485 or 1/255")),
        }
    }
}

impl TryFrom<Spelling> for Fraction {
    type Error = String;

    fn try_from(spelling: Spelling) -> Result<Self, String> {
        spelling.text().parse()
    }
}

impl From<Fraction> for String {
    fn from(fraction: Fraction) -> Self {
        fraction.text
    }
}

impl std::fmt::Display for Fraction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_and_fractions() {
        let cases = [("1/255", 1.0 / 255.0), ("0", 0.0), ("-1", -1.0), (" 103.939 / 255 ", 103.939 / 255.0)];
        for (text, value) in cases {
            assert_eq!(text.parse::<Fraction>().unwrap().value(), value, "{text}");
        }
        for text in ["", "/", "1/", "1/0", "0/0", "nan", "inf", "1/2/3", "half"] {
            assert!(text.parse::<Fraction>().unwrap_err().contains("1/255"), "{text}");
        }
    }
}
