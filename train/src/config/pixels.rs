//! Distances in pixel values, written as a fraction or a number: `"8/255"` or `0.0314`.

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A distance in pixel values, where 1 is the whole range.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct PixelDistance(pub f64);

impl PixelDistance {
    /// `count / 255`.
    pub fn from_255ths(count: f64) -> Self {
        Self(count / 255.0)
    }
}

impl std::str::FromStr for PixelDistance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            format!("`{text}` is not a distance; wanted a number such as 0.03 or a fraction such as 8/255")
        };
        let number = |part: &str| part.trim().parse::<f64>().map_err(|_| wrong());
        let value = match text.split_once('/') {
            Some((above, below)) => number(above)? / number(below)?,
            None => number(text)?,
        };
        if value.is_finite() && value >= 0.0 { Ok(Self(value)) } else { Err(wrong()) }
    }
}

impl std::fmt::Display for PixelDistance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A fraction only where reading it back gives the same bits: of a whole number, or where it is the shorter text.
        let count = self.0 * 255.0;
        let whole = Some(count.round()).filter(|&count| Self::from_255ths(count) == *self);
        let tenths = Some((count * 10.0).round() / 10.0).filter(|&count| Self::from_255ths(count) == *self);
        let number = self.0.to_string();
        match (whole, tenths.map(|count| format!("{count}/255"))) {
            (Some(count), _) => write!(f, "{count}/255"),
            (None, Some(fraction)) if fraction.len() < number.len() => f.write_str(&fraction),
            _ => f.write_str(&number),
        }
    }
}

impl Serialize for PixelDistance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PixelDistance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DistanceVisitor)
    }
}

struct DistanceVisitor;

impl Visitor<'_> for DistanceVisitor {
    type Value = PixelDistance;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a distance such as 0.03 or \"8/255\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<PixelDistance, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<PixelDistance, E> {
        value.to_string().parse().map_err(|_| E::invalid_value(Unexpected::Float(value), &self))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<PixelDistance, E> {
        self.visit_f64(value as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_and_numbers_are_read_and_written_back() {
        for (text, value, written) in [
            ("8/255", 8.0 / 255.0, "8/255"),
            ("0.5/255", 0.5 / 255.0, "0.5/255"),
            ("0.25", 0.25, "0.25"),
            ("0.1", 0.1, "0.1"),
            ("0", 0.0, "0/255"),
        ] {
            let pixels: PixelDistance = text.parse().unwrap();
            assert_eq!(pixels, PixelDistance(value));
            assert_eq!(pixels.to_string(), written);
            assert_eq!(pixels.to_string().parse::<PixelDistance>().unwrap(), pixels);
        }
    }

    #[test]
    fn what_is_no_distance_is_refused() {
        for text in ["-1/255", "8/0", "eight", "nan", ""] {
            assert!(text.parse::<PixelDistance>().unwrap_err().contains("8/255"), "{text}");
        }
    }
}
