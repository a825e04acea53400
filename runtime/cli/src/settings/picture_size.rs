//! Sizes of pictures, as users write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `256` or `HEIGHTxWIDTH`, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Spelling", into = "String")]
pub(crate) enum PictureSize {
    /// One number: the shorter side, or the side of a square.
    Side(usize),
    /// Height and width.
    Both(usize, usize),
}

/// How a settings file may spell a size.
#[derive(Deserialize)]
#[serde(untagged)]
enum Spelling {
    Text(String),
    Number(usize),
}

impl FromStr for PictureSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| part.trim().parse().ok().filter(|side| *side > 0);
        let size = match text.split_once(['x', '×']) {
            Some((height, width)) => number(height).zip(number(width)).map(|(h, w)| Self::Both(h, w)),
            None => number(text).map(Self::Side),
        };
        size.ok_or_else(|| {
            format!("size `{text}`: wanted pixels, such as 256, or HEIGHTxWIDTH, such as 256x320")
        })
    }
}

impl TryFrom<Spelling> for PictureSize {
    type Error = String;

    fn try_from(spelling: Spelling) -> Result<Self, String> {
        match spelling {
            Spelling::Text(text) => text.parse(),
            Spelling::Number(number) => number.to_string().parse(),
        }
    }
}

impl fmt::Display for PictureSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Side(side) => write!(f, "{side}"),
            Self::Both(height, width) => write!(f, "{height}x{width}"),
        }
    }
}

impl From<PictureSize> for String {
    fn from(pixels: PictureSize) -> Self {
        pixels.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, wanted) in [("256", PictureSize::Side(256)), ("224x320", PictureSize::Both(224, 320))] {
            let size: PictureSize = text.parse().unwrap();
            assert_eq!((size, size.to_string()), (wanted, text.to_owned()));
        }
        for text in ["", "0", "256x", "0x5", "-1", "2x3x4", "big"] {
            let error = text.parse::<PictureSize>().unwrap_err();
            assert!(error.contains("such as 256, or HEIGHTxWIDTH"), "{error}");
        }
    }
}
