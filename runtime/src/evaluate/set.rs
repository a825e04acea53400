//! The images to evaluate, checked before anything is computed.

use ndarray::ArrayView2;

/// Images and labels, borrowed; see [`EvaluationSet::new`].
#[derive(Debug, Clone, Copy)]
pub struct EvaluationSet<'a> {
    /// `[N, C·H·W]`, row-major. A slice, because array views tie together lifetimes that the engine keeps apart.
    values: &'a [f32],
    /// `C·H·W`
    pixels: usize,
    labels: &'a [usize],
}

/// Why images or labels cannot be evaluated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// Another number of labels than images.
    #[error("{images} images but {labels} labels")]
    Count {
        /// Rows of the images.
        images: usize,
        /// Labels.
        labels: usize,
    },
    /// No images.
    #[error("there are no images")]
    Empty,
    /// Rows that are not one block of memory.
    #[error("the images are not contiguous in memory, row after row")]
    Layout,
    /// A pixel that is not in the box.
    #[error(
        "image {image}: pixel value {value} at {position} is outside [0, 1]; images are given before \
         normalisation, which belongs to the model (--mean, --std)"
    )]
    Pixel {
        /// Row.
        image: usize,
        /// Column: index in `C·H·W`.
        position: usize,
        /// The value.
        value: f32,
    },
    /// Images of another size than the model's.
    #[error("images have {found} pixel values, the model takes {wanted}")]
    Size {
        /// `C·H·W` of the set.
        found: usize,
        /// `C·H·W` of the model.
        wanted: usize,
    },
    /// A class that the model does not have.
    #[error("image {image}: label {label}, but the model has {classes} classes, 0 to {}", classes - 1)]
    Label {
        /// Row.
        image: usize,
        /// The label.
        label: usize,
        /// Classes of the model.
        classes: usize,
    },
}

impl<'a> EvaluationSet<'a> {
    /// `[N, C·H·W]` pixels in `[0, 1]`, row-major, and `N` labels.
    ///
    /// # Errors
    /// When there are none, the counts differ, or a pixel is outside `[0, 1]` or NaN: the image is named.
    pub fn new(images: impl Into<ArrayView2<'a, f32>>, labels: &'a [usize]) -> Result<Self, SetError> {
        let images = images.into();
        if images.nrows() != labels.len() {
            return Err(SetError::Count { images: images.nrows(), labels: labels.len() });
        }
        if images.is_empty() {
            return Err(SetError::Empty);
        }
        let pixels = images.ncols();
        let Some(values) = images.to_slice() else { return Err(SetError::Layout) };
        if let Some(index) = values.iter().position(|value| !(0.0..=1.0).contains(value)) {
            let (image, position) = (index / pixels, index % pixels);
            return Err(SetError::Pixel { image, position, value: values[index] });
        }
        Ok(Self { values, pixels, labels })
    }

    /// Whether a model of that size can take the images and labels.
    ///
    /// # Errors
    /// Names the sizes, or the first image whose label the model does not have.
    pub fn fits(&self, pixels: usize, classes: usize) -> Result<(), SetError> {
        if self.pixels != pixels {
            return Err(SetError::Size { found: self.pixels, wanted: pixels });
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
        self.pixels
    }

    /// All labels, `[N]`.
    pub fn labels(&self) -> &'a [usize] {
        self.labels
    }

    /// The `C·H·W` pixels of one image.
    ///
    /// # Panics
    /// When there is no such image.
    pub fn pixels(&self, image: usize) -> &'a [f32] {
        &self.values[image * self.pixels..][..self.pixels]
    }
}
