//! The images and labels of an evaluation, and what a certificate says about them.

use mimir_bundle::certificate::EvaluationData;
use mimir_bundle::{ImageShape, Manifest, digest};
use mimir_data::{ImageDims, ImageSet};
use mimir_runtime::evaluate::EvaluationSet;

use crate::failure::{Blame, Failure, OrBlame, failure};
use crate::options::{Images, has_splits};

/// Reads the images.
pub(crate) fn read(images: &Images) -> Result<ImageSet, Failure> {
    mimir_data::read(&images.source, &images.read).or_blame(Blame::Data)
}

/// The shape of the images, for models whose own input does not show it.
pub(crate) fn shape(set: &ImageSet) -> ImageShape {
    let ImageDims { channels, height, width } = set.dims;
    ImageShape { channels, height, width }
}

/// The images and labels, checked against what the model takes.
pub(crate) fn for_model<'a>(set: &'a ImageSet, manifest: &Manifest) -> Result<EvaluationSet<'a>, Failure> {
    let (found, wanted) = (shape(set), manifest.image);
    // Flat rows, as some NPZ files have them, carry no shape that could differ.
    let is_flat = found.channels == 1 && found.height == 1;
    if found != wanted && !(is_flat && found.pixels() == wanted.pixels()) {
        return Err(failure(
            Blame::Data,
            format!("the images are {}, the model takes {}", shown(found), shown(wanted)),
        ));
    }
    let evaluation_set = EvaluationSet::new(&set.images, &set.labels).or_blame(Blame::Data)?;
    evaluation_set.fits(wanted.pixels(), manifest.classes).or_blame(Blame::Data)?;
    Ok(evaluation_set)
}

/// Where the images came from, and the digests that bind them.
pub(crate) fn record(images: &Images, set: &ImageSet, image: ImageShape) -> EvaluationData {
    let shape = [set.labels.len(), image.channels, image.height, image.width];
    EvaluationData {
        source: images.source.to_string(),
        split: has_splits(&images.source).then(|| images.read.split.to_string()),
        first: images.read.first,
        images_digest: digest::of_tensor(&shape, &set.images),
        labels_digest: digest::of_labels(&set.labels),
    }
}

fn shown(shape: ImageShape) -> String {
    let ImageShape { channels, height, width } = shape;
    format!("{channels} × {height} × {width} (channels, height, width)")
}
