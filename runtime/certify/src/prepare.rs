//! A model and its images, made to fit each other.

use mimir_bundle::ImageShape;
use mimir_export::InputSpec;
use mimir_runtime::session::Engine;

use crate::engines::Engines;
use crate::error::{Error, Result, with_causes};
use crate::images::OpenedImages;
use crate::model::PreparedModel;
use crate::model_input::ModelInput;
use crate::options::EngineOptions;

/// The model of a file, for these images. The images get the channels that it takes, and the labels of its classes.
///
/// # Errors
/// When the file is no classifier of such images, or not the one that its bundle describes, or they have more classes.
pub(crate) fn prepare_for(
    engine: &Engine,
    model: &ModelInput,
    input: &InputSpec,
    images: &mut OpenedImages,
) -> Result<PreparedModel> {
    if let Some(stated) = input.image {
        images.take_channels(stated.channels);
    }
    let file = model.read()?;
    let image = match model.manifest() {
        Some(manifest) => images.shape_as_described(manifest.input.image, &model.manifest_path())?,
        None => images.shape_as_stated(input.image)?,
    };
    let spec = |image| InputSpec { image: Some(image), ..input.clone() };
    let prepared = match PreparedModel::new(engine, file.clone(), &spec(image)) {
        // An input that does not show its channels may be that of grey images.
        Err(error) if input.image.is_none() && images.is_grey() && image.channels != 1 => {
            PreparedModel::new(engine, file, &spec(ImageShape { channels: 1, ..image })).or(Err(error))
        }
        prepared => prepared,
    }?;
    model.expect(prepared.manifest())?;
    images.fit(prepared.manifest())?;
    Ok(prepared)
}

/// The images that a model takes: as the description of its bundle says, or as its ONNX file shows.
///
/// # Errors
/// When a file is no classifier, or does not show the size of its images: an input of flat rows, or of any height.
pub fn image_shape(model: &ModelInput, engine: &EngineOptions) -> Result<ImageShape> {
    if let Some(manifest) = model.manifest() {
        return Ok(manifest.input.image);
    }
    let engines = Engines::load(engine)?;
    let prepared = PreparedModel::new(&engines.deciding, model.read()?, &InputSpec::default());
    let unclear = |error: Error| {
        let message = format!("{}: a bundle says what its model takes", with_causes(&error));
        Error::new(error.kind(), message)
    };
    prepared.map(|prepared| prepared.manifest().image).map_err(unclear)
}
