//! Images for the model of a bundle: prepared as its description says.

use std::collections::BTreeMap;

use mimir_bundle::ImageShape;
use mimir_bundle::bundle::BundleManifest;
use mimir_data::ClassMap;

use crate::error::{Error, ErrorKind, OptionName, OrKind, Result, with_causes};
use crate::images::{OpenedImages, transform_of};
use crate::model_input::ModelInput;
use crate::options::ImageSource;

/// Opens images for a model. For one of a bundle, what is done to the images is decided by the description: the size of
/// pictures, and the indices of classes with names. Returned with the images is what was done.
///
/// # Errors
/// [`ErrorKind::Data`] when the images are not there, or have some of the classes and others.
pub(crate) fn open_for(model: &ModelInput, images: &ImageSource) -> Result<(OpenedImages, ImageSource)> {
    let Some(manifest) = model.manifest() else { return Ok((OpenedImages::open(images)?, images.clone())) };
    // A flag that would change the size contradicts the description.
    let sized = |error: Error| match error.option() {
        Some(OptionName::ImageSize) => {
            let place = model.manifest_path();
            let message = format!(
                "{}. {} has no `preprocessing` that makes pictures of one size of them; `mimir-export bundle` \
                 makes a bundle with one of this one",
                with_causes(&error),
                place.display()
            );
            Error::new(error.kind(), message)
        }
        _ => error,
    };
    let mut images = with_transform(images, manifest).map_err(sized)?;
    let mut opened = OpenedImages::open(&images).map_err(sized)?;
    if images.preparation.classes.is_none()
        && let Some(map) = class_map(&opened, manifest)?
    {
        opened.map_classes(&map)?;
        images.preparation.classes = Some(map);
    }
    Ok((opened, images))
}

/// Pictures become the input as the description says, whatever their size, as in an evaluation transform. Arrays that have
/// the size of the input are the input.
fn with_transform(images: &ImageSource, manifest: &BundleManifest) -> Result<ImageSource> {
    let mut images = images.clone();
    images.preparation.transform = None;
    let Some(rule) = manifest.preprocessing else { return Ok(images) };
    let is_input = |shape: ImageShape| {
        let wanted = manifest.input.image;
        (shape.height, shape.width) == (wanted.height, wanted.width) || shape.pixels() == wanted.pixels()
    };
    if images.source.has_pictures() || !is_input(OpenedImages::open(&images)?.shape()) {
        images.preparation.transform = Some(transform_of(rule).or_kind(ErrorKind::Model)?);
    }
    Ok(images)
}

/// The index of each class of the images in the order of the description, where both name their classes.
///
/// Names of which the description knows none are of another kind, such as numbers: their order counts.
fn class_map(opened: &OpenedImages, manifest: &BundleManifest) -> Result<Option<ClassMap>> {
    let (Some(known), Some(names)) = (&manifest.classes.names, opened.class_names()) else { return Ok(None) };
    let indices: BTreeMap<String, usize> =
        known.iter().enumerate().map(|(index, name)| (name.clone(), index)).collect();
    let names: Vec<&String> = names.iter().filter(|name| !name.is_empty()).collect();
    let (found, missing): (Vec<&String>, Vec<_>) =
        names.iter().partition(|name| indices.contains_key(**name));
    match (found.is_empty(), missing.first()) {
        (true, _) => Ok(None),
        (false, None) => Ok(Some(ClassMap::from(indices))),
        (false, Some(missing)) => {
            let (found, of) = (found.len(), names.len());
            let message = format!(
                "the bundle names {found} of the {of} classes of the images, but not `{missing}`: leave out its images, \
                 or give the model's index of each class"
            );
            Err(Error::new(ErrorKind::Data, message).about(OptionName::ClassMap))
        }
    }
}
