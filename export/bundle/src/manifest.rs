//! What a prepared model is: the facts that a runtime needs, and a certificate records.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::FileDigest;

/// Channels, height and width of the images that a model takes, in that order of memory (`[N, C, H, W]`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageShape {
    /// Colour channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl ImageShape {
    /// Pixel values of one image, `C·H·W`.
    pub fn pixels(&self) -> usize {
        self.channels * self.height * self.width
    }
}

/// How the model file itself lays out its input, before we put a Transpose or Reshape in front of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `[N, C, H, W]`
    Nchw,
    /// `[N, H, W, C]`
    Nhwc,
    /// One row of `C·H·W` values an image, in any arrangement of ones, e.g. `[N, 784]` or `[N, 784, 1]`.
    Flat,
}

/// `(scale · pixel - mean) / std`, put in front of the model so that attacks work in pixels of `[0, 1]`.
///
/// The numbers are those that the user gave. The nodes compute in float32, in this order, as PyTorch and NumPy do; a
/// division whose result is a whole multiple (by 1/255, say) is that multiplication, so that whole levels stay whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Normalisation {
    /// Largest pixel value that `mean` and `std` are for: 1, or 255 for models that were trained on levels.
    pub scale: f64,
    /// One value a channel of the model's input, or one for all.
    pub mean: Vec<f64>,
    /// One value a channel of the model's input, or one for all; never zero.
    pub std: Vec<f64>,
}

impl Normalisation {
    /// `(pixel - mean) / std`, for pixels in `[0, 1]`.
    pub fn new(mean: impl Into<Vec<f64>>, std: impl Into<Vec<f64>>) -> Self {
        Self { scale: 1.0, mean: mean.into(), std: std.into() }
    }

    /// Checks that the 256 levels of an 8-bit image become 256 finite float32 numbers of a size that networks compute
    /// with: the largest of each channel lies between 10⁻⁶ and 10⁶. A deviation of 10⁻⁶⁰ is zero in float32, and beside a
    /// mean of 10³⁰ all pixels are the same number.
    ///
    /// # Errors
    /// Names the field, and what was found and wanted.
    pub fn check(&self) -> Result<(), InvalidNormalisation> {
        let Self { mean, std, .. } = self;
        let fault = |field, reason: String| Err(InvalidNormalisation { field, reason });
        if let Some(mean) = mean.iter().find(|mean| !mean.is_finite()) {
            return fault("mean", format!("{mean}, wanted finite numbers"));
        }
        if let Some(std) = std.iter().find(|std| !(std.is_finite() && **std > 0.0)) {
            return fault("std", format!("{std}, wanted positive numbers"));
        }
        let last = |values: &[f64], channel: usize| values.get(channel.min(values.len() - 1)).copied();
        if mean.is_empty() || std.is_empty() {
            return fault("mean", "no value, wanted one, or one a channel".into());
        }
        for channel in 0..mean.len().max(std.len()) {
            let (Some(mean), Some(std)) = (last(mean, channel), last(std, channel)) else { continue };
            match self.sizes(mean, std) {
                Sizes::Sensible => {}
                Sizes::Extreme => {
                    let wanted = "wanted numbers that make pixels of a size from 1e-6 to 1e6 in float32";
                    return fault("std", format!("{std:e} beside a mean of {mean}: {wanted}"));
                }
                Sizes::TheSame => {
                    let wanted = "wanted numbers that keep the 256 levels of a pixel apart in float32";
                    return fault("mean", format!("{mean:e} beside a deviation of {std}: {wanted}"));
                }
            }
        }
        Ok(())
    }

    /// What the levels of a channel become, in float32 and in the order of the nodes.
    fn sizes(&self, mean: f64, std: f64) -> Sizes {
        let (scale, mean, std) = (self.scale as f32, mean as f32, std as f32);
        let value = |level: u8| (scale * (f32::from(level) / 255.0) - mean) / std;
        let largest = (0..=255).map(|level| value(level).abs()).fold(0.0, f32::max);
        let are_finite = (0..=255).all(|level| value(level).is_finite());
        if !are_finite || !(1e-6..=1e6).contains(&largest) {
            return Sizes::Extreme;
        }
        match (0..255).all(|level| value(level) < value(level + 1)) {
            true => Sizes::Sensible,
            false => Sizes::TheSame,
        }
    }
}

/// What a normalisation makes of the levels of a pixel.
enum Sizes {
    /// Numbers that a network computes with.
    Sensible,
    /// Some are infinite, too large, or all too small.
    Extreme,
    /// Some are the same number.
    TheSame,
}

/// A normalisation that makes no sensible numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct InvalidNormalisation {
    /// `mean` or `std`.
    pub field: &'static str,
    /// What was found, and what was wanted.
    pub reason: String,
}

/// The element type of the model file's own input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PixelType {
    /// A floating-point type.
    Float,
    /// Levels of 0 to 255: `255 · pixel`, cast, is put in front of the model.
    Uint8,
}

/// The order in which the model file takes the colours. Images are red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChannelOrder {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red, as OpenCV and Caffe have it: the channels are reversed in front of the model.
    Bgr,
}

/// How the model treats the batch dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchMode {
    /// The file takes any batch.
    Dynamic,
    /// The file takes a fixed number of images; we changed that one dimension and checked that the logits stay the
    /// same.
    Rebatched,
    /// Evaluated one image at a time: the file takes one image and cannot be changed, or the images of a batch
    /// influence each other.
    One,
    /// Evaluated in batches of exactly so many images, at least two: the file takes no other number, and cannot be
    /// changed. Batches that are not full are filled with copies of an image.
    Fixed(usize),
}

impl BatchMode {
    /// Of a file that takes so many images a call.
    pub fn of_rows(rows: usize) -> Self {
        if rows == 1 { Self::One } else { Self::Fixed(rows) }
    }

    /// Images of every call, where it takes no other number.
    pub fn rows(self) -> Option<usize> {
        match self {
            Self::Dynamic | Self::Rebatched => None,
            Self::One => Some(1),
            Self::Fixed(rows) => Some(rows),
        }
    }
}

/// What the numbers that the model returns are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutputKind {
    /// Logits, used as they are.
    Logits,
    /// Probabilities: gradients are taken of their logarithm, so that cross entropy does not saturate.
    Probabilities,
    /// Scores that saturate, such as `Clip(Softmax(z))` or `100 · Softmax(z)`: searches use scores before them, in which
    /// the classes have the same order, or the logarithm of a mean or product of probabilities.
    Saturating,
}

/// The facts of a prepared model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`digest_model`](crate::digest::digest_model) of `files`: binds the record to the model.
    pub model_digest: String,
    /// The ONNX file, then each file with external data, in the order in which the model first refers to it.
    pub files: Vec<FileDigest>,
    /// Opset of the file.
    pub opset: u32,
    /// IR version of the file.
    pub ir_version: i64,
    /// Producer name and version, as the file states them.
    pub producer: String,
    /// The images it takes.
    pub image: ImageShape,
    /// Layout of the file's own input.
    pub layout: Layout,
    /// Element type of the file's own input.
    pub pixel_type: PixelType,
    /// The order of its colour channels.
    pub channel_order: ChannelOrder,
    /// Normalisation put in front, where the user asked for one.
    pub normalisation: Option<Normalisation>,
    /// Number of classes, `K`.
    pub classes: usize,
    /// Batch dimension.
    pub batch: BatchMode,
    /// Name of the file's output with the scores of the classes.
    pub output_name: String,
    /// What those scores are.
    pub output: OutputKind,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_make_no_pixels_are_refused() {
        let cases = [
            (0.5, 1e-60, "std: 1e-60"),
            (0.5, 1e300, "std: 1e300"),
            (0.5, 1e-300, "std: 1e-300"),
            (0.5, 1e-38, "std: 1e-38"),
            (0.5, 1e-9, "std: 1e-9"),
            (0.5, 1e9, "std: 1e9"),
            (0.5, 0.0, "std: 0, wanted positive"),
            (0.5, -1.0, "std: -1, wanted positive"),
            (0.5, f64::INFINITY, "std: inf"),
            (1e30, 0.25, "std: 2.5e-1 beside a mean of 1000000000000000000000000000000"),
            (1e5, 1.0, "mean: 1e5 beside a deviation of 1"),
            (f64::NAN, 1.0, "mean: NaN"),
        ];
        for (mean, std, wanted) in cases {
            let error = Normalisation::new([mean], [std]).check().unwrap_err().to_string();
            assert!(error.contains(wanted), "{mean} {std}: {error}");
        }
        assert!(Normalisation::new([0.5, 0.5, 0.5], [0.25, 1e-60, 0.25]).check().is_err());
        assert!(Normalisation::new([], []).check().is_err());
        for (scale, mean, std) in [
            (1.0, 0.485, 0.229),
            (1.0, 0.0, 1.0 / 255.0),
            (255.0, 123.675, 58.395),
            (255.0, 0.0, 1.0),
            (1.0, 0.0, 255.0),
        ] {
            Normalisation { scale, mean: vec![mean; 3], std: vec![std] }.check().unwrap();
        }
    }
}
