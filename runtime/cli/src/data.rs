//! The images and labels of an evaluation, and what a certificate says about them.

use mimir_bundle::certificate::EvaluationData;
use mimir_bundle::digest::{self, TensorDigest};
use mimir_bundle::{ImageShape, Manifest};
use mimir_data::{ImageDims, ImageSet};
use mimir_runtime::evaluate::{self, EvaluationSet};

use crate::failure::{Blame, Failure, OrBlame, failure};
use crate::options::{Images, has_splits};

/// Labelled images, opened: pixels are read when an evaluation asks for them.
pub(crate) struct OpenedImages(ImageSet);

impl evaluate::Images for OpenedImages {
    fn count(&self) -> usize {
        self.0.count()
    }

    fn pixels(&self) -> usize {
        self.0.pixels_per_image()
    }

    fn read(&self, image: usize, out: &mut [f32]) -> Result<(), String> {
        self.0.read(image, out).map_err(|error| error.to_string())
    }
}

impl OpenedImages {
    /// Opens the images.
    ///
    /// # Errors
    /// When they are not there, or not what their format says.
    pub(crate) fn open(images: &Images) -> Result<Self, Failure> {
        mimir_data::open(&images.source, &images.read).map(Self).or_blame(Blame::Data)
    }

    /// The shape of the images, for models whose own input does not show it.
    pub(crate) fn shape(&self) -> ImageShape {
        let ImageDims { channels, height, width } = self.0.dims;
        ImageShape { channels, height, width }
    }

    /// The images and labels, checked against what the model takes.
    ///
    /// # Errors
    /// When the model takes other images, or does not have the class of a label.
    pub(crate) fn for_model(&self, manifest: &Manifest) -> Result<EvaluationSet<'_>, Failure> {
        let (found, wanted) = (self.shape(), manifest.image);
        // Flat rows, as some NPZ files have them, carry no shape that could differ.
        let is_flat = found.channels == 1 && found.height == 1;
        if found != wanted && !(is_flat && found.pixels() == wanted.pixels()) {
            return Err(failure(
                Blame::Data,
                format!("the images are {}, the model takes {}", shown(found), shown(wanted)),
            ));
        }
        let set = EvaluationSet::new(self, &self.0.labels).or_blame(Blame::Data)?;
        set.fits(wanted.pixels(), manifest.classes).or_blame(Blame::Data)?;
        Ok(set)
    }
}

/// Where the images came from, and the digests that bind them. Reads every image once.
///
/// # Errors
/// When one cannot be read, or has a pixel outside `[0, 1]`.
pub(crate) fn record(
    images: &Images,
    set: &EvaluationSet,
    image: ImageShape,
) -> Result<EvaluationData, Failure> {
    Ok(EvaluationData {
        source: images.source.to_string(),
        split: has_splits(&images.source).then(|| images.read.split.to_string()),
        first: images.read.first,
        images_digest: images_digest(set, image)?,
        labels_digest: digest::digest_labels(set.labels()),
    })
}

fn images_digest(set: &EvaluationSet, image: ImageShape) -> Result<String, Failure> {
    let mut digest = TensorDigest::new(&[set.count(), image.channels, image.height, image.width]);
    let mut pixels = vec![0.0; set.pixels_per_image()];
    for image in 0..set.count() {
        set.read(image, &mut pixels).or_blame(Blame::Data)?;
        digest.update(&pixels);
    }
    digest.finish().or_blame(Blame::Internal)
}

fn shown(shape: ImageShape) -> String {
    let ImageShape { channels, height, width } = shape;
    format!("{channels} × {height} × {width} (channels, height, width)")
}
