//! Numbers as users write them.

use std::path::PathBuf;
use std::str::FromStr;

use mimir_bundle::ImageShape;

/// `.4914,.4822,.4465` or `1/255`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Numbers(pub(crate) Vec<f64>);

impl FromStr for Numbers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Option<Vec<f64>> = text.split(',').map(|part| number(part.trim())).collect();
        numbers.map(Self).ok_or_else(|| {
            format!("`{text}`: wanted numbers such as 0.4914,0.4822,0.4465, or fractions such as 1/255")
        })
    }
}

/// A finite number or fraction.
fn number(text: &str) -> Option<f64> {
    let value = match text.split_once('/') {
        Some((above, below)) => above.trim().parse::<f64>().ok()? / below.trim().parse::<f64>().ok()?,
        None => text.parse().ok()?,
    };
    value.is_finite().then_some(value)
}

/// `256` or `HEIGHTxWIDTH`, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PictureSize {
    /// One number: the shorter side, or the side of a square.
    Side(usize),
    /// Height and width.
    Both(usize, usize),
}

impl FromStr for PictureSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| part.trim().parse().ok().filter(|side| (1..=1 << 16).contains(side));
        let size = match text.split_once(['x', '×']) {
            Some((height, width)) => number(height).zip(number(width)).map(|(h, w)| Self::Both(h, w)),
            None => number(text).map(Self::Side),
        };
        size.ok_or_else(|| {
            format!("size `{text}`: wanted pixels, such as 256, or HEIGHTxWIDTH, such as 256x320")
        })
    }
}

/// `3,224,224`: channels, height and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShapeArg(pub(crate) ImageShape);

impl FromStr for ShapeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sizes: Option<Vec<usize>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
        match sizes.as_deref() {
            Some(&[channels, height, width])
                if [channels, height, width].iter().all(|size| (1..=1 << 16).contains(size)) =>
            {
                Ok(Self(ImageShape { channels, height, width }))
            }
            _ => Err(format!("shape `{text}`: wanted channels, height and width, such as 3,224,224")),
        }
    }
}

/// A number of classes, or a file with their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ClassList {
    /// So many.
    Count(usize),
    /// Those in the file.
    File(PathBuf),
}

impl FromStr for ClassList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(text.parse().map_or_else(|_| Self::File(text.into()), Self::Count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_fractions() {
        assert_eq!("0.5, 1/4".parse(), Ok(Numbers(vec![0.5, 0.25])));
        for text in ["", "1,,2", "1/0", "inf", "nan", "x"] {
            assert!(text.parse::<Numbers>().is_err(), "{text}");
        }
    }

    #[test]
    fn classes_are_a_number_or_a_file() {
        assert_eq!("10".parse(), Ok(ClassList::Count(10)));
        assert_eq!("names.txt".parse(), Ok(ClassList::File("names.txt".into())));
    }
}
