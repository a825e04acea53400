//! Pictures of 8 bits as inputs of a model, as its description says.

use mimir_data::Picture;

use super::error::ServeError;
use super::model::ServedModel;
use crate::images::transform_of;

impl ServedModel {
    /// Writes a picture as one image `[C, H, W]` in `[0, 1]`: resized and cropped as the description says and as an
    /// evaluation does it, in the colours that the model takes. An alpha channel is dropped, unless the model takes four
    /// channels; grey becomes three equal channels; where the model takes one, all pixels must be grey.
    ///
    /// # Errors
    /// [`ServeError::Argument`] when `pixels` has another length, or the description says nothing of pictures and this one
    /// has another size than the input; [`ServeError::Picture`] when it cannot be in these colours, or not be resized.
    pub fn prepare_picture(&self, picture: Picture, pixels: &mut [f32]) -> Result<(), ServeError> {
        let image = self.image();
        if pixels.len() != image.pixels() {
            let message = format!("pixels: room for {} values, wanted {}", pixels.len(), image.pixels());
            return Err(ServeError::Argument(message));
        }
        let picture = picture.with_channels(image.channels)?;
        let picture = match self.manifest().preprocessing {
            Some(rule) => transform_of(rule)?.apply(&picture)?,
            None => picture,
        };
        if (picture.height(), picture.width()) != (image.height, image.width) {
            let message = format!(
                "the picture becomes {} x {} pixels (width x height), the model takes {} x {}",
                picture.width(),
                picture.height(),
                image.width,
                image.height
            );
            return Err(ServeError::Argument(message));
        }
        picture.write_planes(pixels);
        Ok(())
    }
}
