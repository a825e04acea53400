//! The transforms of an evaluation, as torchvision and timm apply them to PIL images: resizing, then the middle.

use super::crop::crop;
use super::parameter::require;
use super::resample::{Interpolation, Region, resample_with};
use crate::error::DataError;
use crate::picture::Picture;

/// Height and width, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// What pictures are resized to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resize {
    /// The shorter side; the longer one keeps the ratio, cut to whole pixels: torchvision's `Resize(256)`.
    ShorterSide(usize),
    /// Both sides, whatever the ratio: torchvision's `Resize((256, 256))`, timm's `crop_mode="squash"`.
    Exact(Size),
}

/// `Resize` and `CenterCrop` of torchvision on PIL images, with antialiasing. timm's evaluation transform is the same,
/// with `resize = floor(crop / crop_pct)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transform {
    /// What to resize to; nothing where absent.
    pub resize: Option<Resize>,
    /// The middle of that; all where absent. Black is put around what is smaller, as torchvision does.
    pub crop: Option<Size>,
    /// How pixels in between are made.
    pub interpolation: Interpolation,
}

/// Pixels of a side, at most.
const MOST: usize = 16384;

impl Transform {
    /// # Errors
    /// Where a side is out of range.
    pub fn check(&self) -> Result<(), DataError> {
        let sides = |size: Size| [size.height, size.width];
        let resized = match self.resize {
            None => Vec::new(),
            Some(Resize::ShorterSide(side)) => vec![side],
            Some(Resize::Exact(size)) => sides(size).to_vec(),
        };
        let wanted = "1 to 16384 pixels";
        for side in resized {
            require("resize", (1..=MOST).contains(&side), &side, wanted)?;
        }
        for side in self.crop.map(sides).into_iter().flatten() {
            require("crop", (1..=MOST).contains(&side), &side, wanted)?;
        }
        Ok(())
    }

    /// The size of what becomes of a picture.
    pub fn output(&self, input: Size) -> Size {
        self.crop.unwrap_or_else(|| self.resized(input))
    }

    /// The size between resizing and cropping.
    fn resized(&self, input: Size) -> Size {
        let Size { height, width } = input;
        match self.resize {
            None => input,
            Some(Resize::Exact(size)) => size,
            Some(Resize::ShorterSide(shorter)) => {
                let longer =
                    |long: usize, short: usize| (shorter as f64 * long as f64 / short as f64) as usize;
                if width <= height {
                    Size { height: longer(height, width), width: shorter }
                } else {
                    Size { height: shorter, width: longer(width, height) }
                }
            }
        }
    }

    /// What becomes of a picture.
    ///
    /// # Errors
    /// Where it has an alpha channel and is resized, or would become larger than a picture may be.
    pub fn apply(&self, picture: &Picture) -> Result<Picture, DataError> {
        let (width, height, channels) = picture.shape();
        let refuse = |wanted: &str| DataError::PictureSize { width, height, wanted: wanted.to_owned() };
        let Size { height: rows, width: columns } = self.resized(Size { height, width });
        let resized = if (rows, columns) == (height, width) {
            picture.clone()
        } else if channels == 4 {
            return Err(refuse("no resizing: that of pictures with alpha is not supported"));
        } else if rows > 4 * MOST || columns > 4 * MOST {
            return Err(refuse("sides whose ratio is smaller"));
        } else {
            resample_with(picture, Region::whole(picture), (columns, rows), self.interpolation)
                .ok_or_else(|| refuse("at least one pixel on a side after resizing"))?
        };
        Ok(match self.crop {
            None => resized,
            Some(size) => centre(resized, size),
        })
    }
}

/// torchvision's `center_crop`.
fn centre(picture: Picture, size: Size) -> Picture {
    let (width, height, _) = picture.shape();
    let picture = if width < size.width || height < size.height {
        padded(&picture, size.height.saturating_sub(height), size.width.saturating_sub(width))
    } else {
        picture
    };
    let (width, height, _) = picture.shape();
    // Python rounds halves to even.
    let middle = |length: usize, kept: usize| ((length - kept) as f64 / 2.0).round_ties_even() as usize;
    let (left, top) = (middle(width, size.width), middle(height, size.height));
    crop(&picture, Region { left, top, width: size.width, height: size.height })
}

/// So many black rows and columns more, the odd one below and on the right.
fn padded(picture: &Picture, rows: usize, columns: usize) -> Picture {
    let (width, height, channels) = picture.shape();
    let (new_width, new_height) = (width + columns, height + rows);
    let mut bytes = vec![0; new_width * new_height * channels];
    for row in 0..height {
        let start = ((row + rows / 2) * new_width + columns / 2) * channels;
        bytes[start..start + width * channels].copy_from_slice(picture.row(row));
    }
    Picture::from_rows(new_width, new_height, channels, bytes)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::Fixtures;
    use super::*;

    /// `256` or `HEIGHTxWIDTH`.
    fn size(word: &str) -> (Option<Size>, usize) {
        match word.split_once('x') {
            Some((height, width)) => {
                (Some(Size { height: height.parse().unwrap(), width: width.parse().unwrap() }), 0)
            }
            None => (None, word.parse().unwrap_or_default()),
        }
    }

    #[test]
    fn transforms_are_torchvisions_bytes() {
        let fixtures = Fixtures::read_from("transform.npz");
        let mut cases = 0;
        for (words, wanted) in fixtures.cases("transform") {
            let [_, filter, resize, crop, name] = words[..] else { panic!("{words:?}") };
            let resize = match size(resize) {
                _ if resize == "none" => None,
                (Some(exact), _) => Some(Resize::Exact(exact)),
                (None, shorter) => Some(Resize::ShorterSide(shorter)),
            };
            let crop = match size(crop) {
                _ if crop == "none" => None,
                (Some(exact), _) => Some(exact),
                (None, side) => Some(Size { height: side, width: side }),
            };
            let interpolation =
                if filter == "bilinear" { Interpolation::Bilinear } else { Interpolation::Bicubic };
            let picture = fixtures.image(name);
            let transform = Transform { resize, crop, interpolation };
            let found = transform.apply(&picture).unwrap();
            assert!(found == wanted, "{words:?}: {found:?} for {wanted:?}");
            let input = Size { height: picture.height(), width: picture.width() };
            let output = transform.output(input);
            assert_eq!((output.height, output.width), (found.height(), found.width()), "{words:?}");
            cases += 1;
        }
        assert_eq!(cases, 40);
    }

    #[test]
    fn sides_out_of_range_are_named() {
        let side = |side| Some(Size { height: side, width: 5 });
        for (resize, crop, name) in [
            (Some(Resize::ShorterSide(0)), None, "resize"),
            (Some(Resize::Exact(Size { height: 5, width: 20_000 })), None, "resize"),
            (None, side(0), "crop"),
        ] {
            let transform = Transform { resize, crop, interpolation: Interpolation::Bilinear };
            let error = transform.check().unwrap_err().to_string();
            assert!(error.starts_with(&format!("parameter `{name}`")), "{error}");
        }
    }

    #[test]
    fn a_strip_is_not_blown_up() {
        let strip = Picture::from_fn((1, 3000, 1), |_, _, _| 0);
        let resize = Some(Resize::ShorterSide(10_000));
        let transform = Transform { resize, crop: None, interpolation: Interpolation::Bicubic };
        assert!(transform.apply(&strip).unwrap_err().to_string().contains("sides whose ratio is smaller"));
    }
}
