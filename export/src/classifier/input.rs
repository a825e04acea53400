//! The image input of the file: its layout, size and element type.

use mimir_bundle::{ImageShape, Layout};

use super::input_spec::InputSpec;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Dim, Graph, Shape, ValueId};
use crate::tensor::{DataType, checked_elements};

/// Numbers of channels by which a layout is recognised.
const CHANNELS: [usize; 2] = [1, 3];

/// Most pixel values of one image: larger sizes are not those of a photograph, and their products could overflow.
const LARGEST_IMAGE: usize = 1 << 30;

/// The image input of a file.
#[derive(Debug)]
pub(super) struct ImageInput {
    /// The value in the file's graph.
    pub(super) id: ValueId,
    /// Its shape in the file, batch included.
    pub(super) shape: Shape,
    /// What its axes mean.
    pub(super) layout: Layout,
    /// The images.
    pub(super) image: ImageShape,
    /// Its element type.
    pub(super) dtype: DataType,
}

impl ImageInput {
    /// The one input of the graph, read as `spec` says or as its shape shows.
    pub(super) fn find(graph: &Graph, spec: &InputSpec) -> Result<Self> {
        let &[id] = graph.inputs() else { return Err(not_one_input(graph)) };
        let name = &graph.value(id).name;
        let input_type = graph.tensor_type(id)?;
        let dtype = input_type.dtype;
        check_pixels(dtype).map_err(|error| error.at_tensor(name))?;
        let shape = input_type.shape.clone();
        let (layout, image) = layout_and_image(&shape, spec).map_err(|error| error.at_tensor(name))?;
        Ok(Self { id, shape, layout, image, dtype })
    }
}

/// The error for a graph that does not have exactly one input.
fn not_one_input(graph: &Graph) -> Error {
    let inputs = graph.inputs();
    let names: Vec<&str> = inputs.iter().map(|id| graph.value(*id).name.as_str()).collect();
    // tf2onnx turns each tensor that a TensorFlow function captured into an input, and drops its value.
    let mut constants = inputs.iter().skip(1).filter_map(|id| graph.tensor_type(*id).ok());
    let captured = inputs.len() > 1
        && constants.all(|constant| constant.shape.0.iter().all(|dim| dim.fixed().is_some()));
    let way_out = match captured {
        true => {
            ". If all but the first are constants that the exporter omitted, as tf2onnx does with the mean of \
             Keras's Normalization, export the model as a SavedModel and convert that: python -m tf2onnx.convert \
             --saved-model"
        }
        false => "",
    };
    not_a_classifier(format!(
        "the model has {} inputs ({}), wanted one: images{way_out}",
        names.len(),
        names.join(", ")
    ))
}

/// Refuses pixels that are not floating-point numbers.
fn check_pixels(found: DataType) -> Result<()> {
    match found {
        found if found.is_float() => Ok(()),
        other => Err(Error::unsupported(format!(
            "is {other}, and gradients need floating-point pixels: export the part of the model after the Cast to \
             float, and give its normalisation with --mean and --std (v / 255 needs neither: images are in [0, 1])"
        ))),
    }
}

/// Refuses scores that are not floating-point numbers.
pub(super) fn check_scores(found: DataType) -> Result<()> {
    match found {
        found if found.is_float() => Ok(()),
        other => Err(Error::unsupported(format!(
            "is {other}, but scores must be floating point: export the logits instead of a label"
        ))),
    }
}

fn layout_and_image(shape: &Shape, spec: &InputSpec) -> Result<(Layout, ImageShape)> {
    let sizes = image_sizes(shape)?;
    let layout = match spec.layout {
        Some(told) => told,
        None => infer_layout(shape, &sizes)?,
    };
    let image = match (layout, &*sizes) {
        (Layout::Nchw, &[channels, height, width]) | (Layout::Nhwc, &[height, width, channels]) => {
            ImageShape { channels, height, width }
        }
        (Layout::Flat, sizes) => flat_image(shape, sizes, spec)?,
        _ => {
            return Err(not_a_classifier(format!(
                "the input is {shape}, but the given layout has four axes"
            )));
        }
    };
    Ok((layout, image))
}

/// All dimensions but the batch, which must be `N` or 1.
fn image_sizes(shape: &Shape) -> Result<Vec<usize>> {
    let (batch, rest) = shape
        .0
        .split_first()
        .ok_or_else(|| not_a_classifier("the input is a scalar, wanted images".to_owned()))?;
    if !matches!(batch, Dim::Batch(1) | Dim::Fixed(1)) {
        return Err(not_a_classifier(format!(
            "the input is {shape}, with a batch of {batch}: export the model with a dynamic batch, or with a batch of 1"
        )));
    }
    let sizes = rest.iter().map(|dim| dim.fixed().filter(|size| *size > 0));
    let sizes: Option<Vec<usize>> = sizes.collect();
    let sizes = sizes.filter(|sizes| checked_elements(sizes).is_some_and(|pixels| pixels <= LARGEST_IMAGE));
    sizes.ok_or_else(|| {
        not_a_classifier(format!(
            "the input is {shape}: export the model with a fixed image size of at most {LARGEST_IMAGE} values"
        ))
    })
}

fn infer_layout(shape: &Shape, sizes: &[usize]) -> Result<Layout> {
    if sizes.iter().filter(|size| **size != 1).count() <= 1 {
        return Ok(Layout::Flat);
    }
    let &[first, _, last] = sizes else {
        return Err(not_a_classifier(format!(
            "the input is {shape}, wanted [N, C, H, W], [N, H, W, C] or one row of pixels; --layout flat accepts \
             the pixels of an image in any shape"
        )));
    };
    match (CHANNELS.contains(&first), CHANNELS.contains(&last)) {
        (true, false) => Ok(Layout::Nchw),
        (false, true) => Ok(Layout::Nhwc),
        _ => Err(not_a_classifier(format!(
            "the input is {shape}, from which the position of the channels is not clear: give --layout nchw or \
             --layout nhwc"
        ))),
    }
}

fn flat_image(shape: &Shape, sizes: &[usize], spec: &InputSpec) -> Result<ImageShape> {
    let pixels = checked_elements(sizes);
    match spec.image {
        None => Err(not_a_classifier(format!(
            "the input is {shape}, from which the image size is not clear: it must be given"
        ))),
        Some(image) if Some(image.pixels()) == pixels => Ok(image),
        Some(ImageShape { channels, height, width }) => Err(not_a_classifier(format!(
            "the input is {shape}, but an image of {channels} × {height} × {width} has {} values",
            channels.saturating_mul(height).saturating_mul(width)
        ))),
    }
}

/// Shorthand for [`ErrorKind::NotAClassifier`].
pub(super) fn not_a_classifier(message: String) -> Error {
    Error::new(ErrorKind::NotAClassifier, message)
}
