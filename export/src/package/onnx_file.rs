//! A bundle of an ONNX file of any origin. The file's bytes stay as they are: they are what was deployed and attacked.

use std::path::Path;

use bytes::Bytes;
use mimir_bundle::bundle::{
    BUNDLE_FORMAT, BUNDLE_VERSION, BundleManifest, Classes, InputFacts, MODEL, MODEL_DATA, Provenance,
};
use mimir_bundle::certificate::{Preprocessing, Tool};
use mimir_bundle::digest::FileDigest;
use mimir_bundle::{ImageShape, Manifest};

use super::Package;
use crate::classifier::{ImageClassifier, InputSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::onnx::{Limits, folder_of, read_file, read_model_bytes};

/// What the file does not say of itself.
#[derive(Debug, Clone)]
pub struct OnnxDescription {
    /// Normalisation, channels, layout, size of an image, output.
    pub input: InputSpec,
    /// Names of the classes in the order of the scores.
    pub class_names: Option<Vec<String>>,
    /// The program that packages.
    pub tool: Tool,
    /// When, RFC 3339 in UTC.
    pub created_at: Option<String>,
}

/// Packages an ONNX classifier as it is. `preprocessing` gives, for the images that the model takes, how a picture of
/// another size becomes one.
///
/// # Errors
/// As [`ImageClassifier::new`]; where the file's external data is not one file called `model.onnx.data`; where there are not
/// as many names as classes; those of `preprocessing`.
pub fn package_onnx<E: From<Error>>(
    path: &Path,
    description: OnnxDescription,
    preprocessing: impl FnOnce(ImageShape) -> std::result::Result<Option<Preprocessing>, E>,
) -> std::result::Result<Package, E> {
    let limits = Limits::default();
    let read = || {
        let bytes = read_file(path, &limits)?;
        let file = read_model_bytes(bytes.clone(), Some(folder_of(path)), &limits)?;
        let data = data_file(&file.files[1..], folder_of(path), &limits)?;
        let parameters = file.graph.constants().map(|(_, tensor)| tensor.elements()).sum();
        let classifier = ImageClassifier::new(file, &description.input)?;
        Ok((bytes, data, parameters, classifier))
    };
    let (bytes, data, parameters, classifier) = read().map_err(|error: Error| error.at_file(path))?;
    let facts = classifier.manifest();
    check_image(description.input.image, facts.image)?;
    check_names(description.class_names.as_deref(), facts.classes)?;
    let preprocessing = preprocessing(facts.image)?;
    let manifest = manifest(facts, description, preprocessing);
    let model = (MODEL.to_owned(), bytes);
    Ok(Package { manifest, files: [model].into_iter().chain(data).collect(), parameters })
}

/// The file with the weights that the graph was made of, where there is one.
fn data_file(files: &[FileDigest], folder: &Path, limits: &Limits) -> Result<Option<(String, Bytes)>> {
    let known = match files {
        [] => return Ok(None),
        [known] if known.name == MODEL_DATA => known,
        [other, ..] => {
            return Err(Error::unsupported(format!(
                "its weights are in `{}`, but a bundle has one file of weights, {MODEL_DATA}: save the model again with \
                 that location, such as onnx.save(model, path, save_as_external_data=True, location=\"{MODEL_DATA}\")",
                other.name
            )));
        }
    };
    let bytes = read_file(&folder.join(MODEL_DATA), limits)?;
    if FileDigest::new(MODEL_DATA, &bytes) != *known {
        return Err(Error::new(ErrorKind::Io, format!("{MODEL_DATA} was changed while it was read")));
    }
    Ok(Some((MODEL_DATA.to_owned(), bytes)))
}

/// What is said of a flat input must be so of any other.
fn check_image(stated: Option<ImageShape>, found: ImageShape) -> Result<()> {
    let shown = |ImageShape { channels, height, width }| format!("{channels} x {height} x {width}");
    match stated.filter(|stated| *stated != found) {
        Some(stated) => {
            let (stated, found) = (shown(stated), shown(found));
            Err(Error::shape(format!("an image is said to be {stated}, but the model takes {found}")))
        }
        None => Ok(()),
    }
}

fn check_names(names: Option<&[String]>, classes: usize) -> Result<()> {
    match names.map(<[String]>::len) {
        Some(count) if count != classes => Err(Error::shape(format!(
            "there are {count} names of classes, but the model has {classes} classes"
        ))),
        _ => Ok(()),
    }
}

fn manifest(
    facts: &Manifest,
    description: OnnxDescription,
    preprocessing: Option<Preprocessing>,
) -> BundleManifest {
    BundleManifest {
        format: BUNDLE_FORMAT.to_owned(),
        version: BUNDLE_VERSION.to_owned(),
        architecture: None,
        input: InputFacts {
            image: facts.image,
            layout: facts.layout,
            pixel_type: facts.pixel_type,
            channel_order: facts.channel_order,
            range: [0.0, 1.0],
            normalisation: facts.normalisation.clone(),
        },
        preprocessing,
        output: facts.output_name.clone(),
        classes: Classes { count: facts.classes, names: description.class_names },
        features: Vec::new(),
        provenance: Provenance {
            checkpoint: None,
            experiment: None,
            data: None,
            parent: None,
            tool: description.tool,
            created_at: description.created_at,
        },
        files: Vec::new(),
    }
}
