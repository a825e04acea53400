//! The images and labels of an evaluation, and what a certificate says about them.

use mimir_bundle::certificate::EvaluationData;
use mimir_bundle::digest::{self, TensorDigest};
use mimir_bundle::{ImageShape, Manifest, Pixels};
use mimir_data::{ImageDims, ImageSet};
use mimir_runtime::evaluate::{self, EvaluationSet};

use crate::error::{Error, ErrorKind, OptionName, OrKind, Result};
use crate::options::ImageSource;

/// Labelled images, opened: pixels are read when an evaluation asks for them.
#[derive(Debug)]
pub struct OpenedImages(ImageSet);

impl evaluate::Images for OpenedImages {
    fn count(&self) -> usize {
        self.0.count()
    }

    fn pixels(&self) -> usize {
        self.0.pixels_per_image()
    }

    fn read(&self, image: usize, out: &mut [f32]) -> std::result::Result<(), String> {
        self.0.read(image, out).map_err(|error| error.to_string())
    }
}

impl OpenedImages {
    /// Opens the images.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when they are not there, or not what their format says.
    pub fn open(images: &ImageSource) -> Result<Self> {
        mimir_data::open(&images.source, &images.read).map(Self).or_kind(ErrorKind::Data)
    }

    /// The shape of the images, for models whose own input does not show it.
    pub fn shape(&self) -> ImageShape {
        let ImageDims { channels, height, width } = self.0.dims;
        ImageShape { channels, height, width }
    }

    /// The shape of the images, which `stated` names where they are flat rows.
    ///
    /// # Errors
    /// [`ErrorKind::Options`] when the images have another shape than is stated.
    pub fn shape_as_stated(&self, stated: Option<ImageShape>) -> Result<ImageShape> {
        let found = self.shape();
        match stated {
            None => Ok(found),
            Some(stated) if is_of_shape(found, stated) => Ok(stated),
            Some(stated) => Err(Error::new(
                ErrorKind::Options,
                format!("an image is said to be {}, but the images are {}", shown(stated), shown(found)),
            )
            .about(OptionName::InputShape)),
        }
    }

    /// The images and labels, checked against what the model takes. `pixels` says which values count.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when the model takes other images, or does not have the class of a label.
    pub fn for_model(&self, manifest: &Manifest, pixels: Pixels) -> Result<EvaluationSet<'_>> {
        let (found, wanted) = (self.shape(), manifest.image);
        if !is_of_shape(found, wanted) {
            return Err(Error::new(
                ErrorKind::Data,
                format!("the images are {}, but the model expects {}", shown(found), shown(wanted)),
            ));
        }
        let set = EvaluationSet::new(self, &self.0.labels).or_kind(ErrorKind::Data)?;
        set.fits(wanted.pixels(), manifest.classes).or_kind(ErrorKind::Data)?;
        Ok(set.with_pixels(pixels))
    }
}

/// Where the images came from, and the digests that bind them. Reads every image once.
///
/// # Errors
/// When one cannot be read, or has a pixel outside `[0, 1]`.
pub(crate) fn describe(
    images: &ImageSource,
    set: &EvaluationSet,
    image: ImageShape,
) -> Result<EvaluationData> {
    Ok(EvaluationData {
        source: images.source.to_string(),
        split: images.source.has_splits().then(|| images.read.split.to_string()),
        first: images.read.first,
        images_digest: images_digest(set, image)?,
        labels_digest: digest::digest_labels(set.labels()),
    })
}

fn images_digest(set: &EvaluationSet, image: ImageShape) -> Result<String> {
    let mut digest = TensorDigest::new(&[set.count(), image.channels, image.height, image.width]);
    let mut pixels = vec![0.0; set.pixels_per_image()];
    for image in 0..set.count() {
        set.read(image, &mut pixels).or_kind(ErrorKind::Data)?;
        digest.update(&pixels);
    }
    digest.finish().or_kind(ErrorKind::Internal)
}

/// Whether images are of that shape. Flat rows, as some NPZ files have them, carry no shape that could differ.
fn is_of_shape(found: ImageShape, wanted: ImageShape) -> bool {
    let is_flat = found.channels == 1 && found.height == 1;
    found == wanted || (is_flat && found.pixels() == wanted.pixels())
}

pub(crate) fn shown(shape: ImageShape) -> String {
    let ImageShape { channels, height, width } = shape;
    format!("{channels} × {height} × {width} (channels, height, width)")
}
