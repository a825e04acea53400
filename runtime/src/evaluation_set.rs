//! The images to evaluate: read one by one, when they are needed, so that memory does not grow with their number.

use std::sync::Arc;

use mimir_bundle::Pixels;
use ndarray::Array2;

/// Images in a fixed order. Read by several workers at once.
pub trait Images: Sync {
    /// Number of images, `N`.
    fn count(&self) -> usize;

    /// Values of one image, `C·H·W`.
    fn pixels(&self) -> usize;

    /// Writes the `C·H·W` pixels of an image below [`Images::count`], channel-major, in `[0, 1]`.
    ///
    /// # Errors
    /// When the image cannot be read: what happened, in words.
    fn read(&self, image: usize, out: &mut [f32]) -> Result<(), String>;
}

/// Rows `[N, C·H·W]` in memory.
impl Images for Array2<f32> {
    fn count(&self) -> usize {
        self.nrows()
    }

    fn pixels(&self) -> usize {
        self.ncols()
    }

    fn read(&self, image: usize, out: &mut [f32]) -> Result<(), String> {
        for (value, pixel) in out.iter_mut().zip(self.row(image)) {
            *value = *pixel;
        }
        Ok(())
    }
}

/// Images and labels, borrowed; see [`EvaluationSet::new`].
#[derive(Clone, Copy)]
pub struct EvaluationSet<'a> {
    images: &'a dyn Images,
    labels: &'a [usize],
    pixels: Pixels,
}

/// How far from a level, in levels, a pixel may be that stands for it: float32 in which a level was computed otherwise.
const LEVEL_TOLERANCE: f32 = 1e-3;

/// Why images or labels cannot be evaluated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// Another number of labels than images.
    #[error("{images} images but {labels} labels")]
    Count {
        /// Number of images.
        images: usize,
        /// Number of labels.
        labels: usize,
    },
    /// No images.
    #[error("there are no images")]
    Empty,
    /// An image that could be opened but not read.
    #[error("image {image}: {message}")]
    Read {
        /// Position in the set.
        image: usize,
        /// What happened.
        message: String,
    },
    /// A pixel that is not in the box.
    #[error(
        "image {image}: pixel value {value} at {position} is outside [0, 1]; give images without normalisation, and \
         the normalisation as a part of the model (--mean, --std)"
    )]
    Pixel {
        /// Position in the set.
        image: usize,
        /// Index in `C·H·W`.
        position: usize,
        /// The value.
        value: f32,
    },
    /// Images of another size than the model's.
    #[error("images have {found} pixel values, but the model expects {wanted}")]
    Size {
        /// `C·H·W` of the set.
        found: usize,
        /// `C·H·W` of the model.
        wanted: usize,
    },
    /// A pixel that is no level of 8 bits, where only those count.
    #[error(
        "image {image}: pixel value {value} at {position} is {} of 255 levels: only images of whole levels can be attacked \
         with 8-bit pixels",
        255.0 * value
    )]
    NoLevel {
        /// Position in the set.
        image: usize,
        /// Index in `C·H·W`.
        position: usize,
        /// The value.
        value: f32,
    },
    /// A class that the model does not have.
    #[error("image {image}: label {label}, but the model has {classes} classes, 0 to {}", classes - 1)]
    Label {
        /// Position in the set.
        image: usize,
        /// The label.
        label: usize,
        /// Classes of the model.
        classes: usize,
    },
}

impl<'a> EvaluationSet<'a> {
    /// `N ≥ 1` images and their labels.
    ///
    /// # Errors
    /// When there are none, or the counts differ. Pixels are checked when they are read.
    pub fn new(images: &'a dyn Images, labels: &'a [usize]) -> Result<Self, SetError> {
        if images.count() != labels.len() {
            return Err(SetError::Count { images: images.count(), labels: labels.len() });
        }
        if labels.is_empty() || images.pixels() == 0 {
            return Err(SetError::Empty);
        }
        Ok(Self { images, labels, pixels: Pixels::Continuous })
    }

    /// The same images, of which every pixel must be a value that counts.
    #[must_use]
    pub fn with_pixels(self, pixels: Pixels) -> Self {
        Self { pixels, ..self }
    }

    /// Whether a model of that size can take the images and labels.
    ///
    /// # Errors
    /// Names the sizes, or the first image whose label the model does not have.
    pub fn fits(&self, pixels: usize, classes: usize) -> Result<(), SetError> {
        if self.images.pixels() != pixels {
            return Err(SetError::Size { found: self.images.pixels(), wanted: pixels });
        }
        match self.labels.iter().position(|label| *label >= classes) {
            Some(image) => Err(SetError::Label { image, label: self.labels[image], classes }),
            None => Ok(()),
        }
    }

    /// Number of images, `N ≥ 1`.
    pub fn count(&self) -> usize {
        self.labels.len()
    }

    /// `C·H·W`, pixel values of one image.
    pub fn pixels_per_image(&self) -> usize {
        self.images.pixels()
    }

    /// All labels, `[N]`.
    pub fn labels(&self) -> &'a [usize] {
        self.labels
    }

    /// Writes the `C·H·W` pixels of an image below [`EvaluationSet::count`].
    ///
    /// # Errors
    /// When it cannot be read, or a pixel is outside `[0, 1]` or NaN, or none of the levels of 8-bit pixels where only
    /// those count.
    pub fn read(&self, image: usize, out: &mut [f32]) -> Result<(), SetError> {
        self.images.read(image, out).map_err(|message| SetError::Read { image, message })?;
        match out.iter().position(|value| !(0.0..=1.0).contains(value)) {
            Some(position) => Err(SetError::Pixel { image, position, value: out[position] }),
            None if self.pixels == Pixels::EightBit => to_levels(image, out),
            None => Ok(()),
        }
    }

    /// The `C·H·W` pixels of an image, shared by all that work on it.
    ///
    /// # Errors
    /// As [`EvaluationSet::read`].
    pub fn image(&self, image: usize) -> Result<Arc<[f32]>, SetError> {
        let mut pixels = vec![0.0; self.pixels_per_image()];
        self.read(image, &mut pixels)?;
        Ok(pixels.into())
    }
}

/// Replaces every pixel by the level that it stands for, `k/255` in float32: an image computed otherwise, such as by
/// `k · (1/255)`, is off by a rounding.
fn to_levels(image: usize, pixels: &mut [f32]) -> Result<(), SetError> {
    for (position, pixel) in pixels.iter_mut().enumerate() {
        let (value, level) = (*pixel, (255.0 * *pixel).round());
        if (255.0 * value - level).abs() > LEVEL_TOLERANCE {
            return Err(SetError::NoLevel { image, position, value });
        }
        *pixel = level / 255.0;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bit_images_have_whole_levels() {
        let levels: Vec<f32> = (0..=255_u8).map(|level| f32::from(level) / 255.0).collect();
        let otherwise: Vec<f32> = (0..=255_u8).map(|level| f32::from(level) * (1.0 / 255.0)).collect();
        let half = [levels[..255].to_vec(), vec![0.5]].concat();
        let images = Array2::from_shape_vec((3, 256), [levels.clone(), otherwise, half].concat()).unwrap();
        let set = EvaluationSet::new(&images, &[0, 0, 0]).unwrap();
        let mut out = vec![0.0; 256];
        assert_eq!(set.read(2, &mut out), Ok(()));
        let set = set.with_pixels(Pixels::EightBit);
        for image in [0, 1] {
            set.read(image, &mut out).unwrap();
            assert_eq!(out, levels);
        }
        let error = set.read(2, &mut out).unwrap_err();
        assert_eq!(error, SetError::NoLevel { image: 2, position: 255, value: 0.5 });
        assert!(error.to_string().contains("is 127.5 of 255 levels"), "{error}");
    }
}
