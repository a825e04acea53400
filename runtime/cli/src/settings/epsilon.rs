//! The radius of a threat model, as users write it.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::fraction::{Spelling, number};

/// A radius for pixels in `[0, 1]`: `2/255`, or a decimal number. Keeps its spelling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Spelling", into = "String")]
pub(crate) struct Epsilon {
    text: String,
    value: f64,
}

impl Epsilon {
    pub(crate) fn value(&self) -> f64 {
        self.value
    }
}

impl FromStr for Epsilon {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match number(text) {
            Some(value) if value.is_finite() && value > 0.0 => {
                Ok(Self { text: text.trim().to_owned(), value })
            }
            _ => Err(format!(
                "radius `{text}`: wanted a positive number for pixels in [0, 1], such as 2/255 or 0.0078"
            )),
        }
    }
}

impl TryFrom<Spelling> for Epsilon {
    type Error = String;

    fn try_from(spelling: Spelling) -> Result<Self, String> {
        spelling.text().parse()
    }
}

impl From<Epsilon> for String {
    fn from(epsilon: Epsilon) -> Self {
        epsilon.text
    }
}

impl std::fmt::Display for Epsilon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_and_decimals() {
        for (text, value) in
            [("2/255", 2.0 / 255.0), ("0.5", 0.5), (".25", 0.25), ("1", 1.0), (" 8 / 255 ", 8.0 / 255.0)]
        {
            assert_eq!(text.parse::<Epsilon>().unwrap().value(), value, "{text}");
        }
        for text in ["", "/", "2/", "0", "-1/255", "2/0", "nan", "inf", "1/2/3", "2/255px"] {
            assert!(text.parse::<Epsilon>().is_err(), "{text}");
        }
    }
}
