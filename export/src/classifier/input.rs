//! The image input of the file: its layout, size and element type.

use mimir_bundle::{ImageShape, Layout, PixelType};

use super::input_spec::InputSpec;
use super::open_input;
use crate::autodiff::needed_values;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Dim, Graph, OpenInput, Shape, TensorType, ValueId};
use crate::tensor::{DataType, checked_elements};

/// Numbers of channels by which a layout is recognised: of grey images and of colours.
const CHANNELS: [usize; 2] = [1, 3];

/// Where none of these is there: colours with transparency.
const TRANSPARENT: [usize; 1] = [4];

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
    /// The one input that the scores depend on, read as `spec` says or as its shape shows. Sizes that the file leaves
    /// open become those of the images, and inputs that nothing needs are dropped.
    pub(super) fn find(graph: &mut Graph, open: &[OpenInput], spec: &InputSpec) -> Result<Self> {
        let id = only_input(graph, open)?;
        graph.set_inputs(vec![id]);
        let name = graph.value(id).name.clone();
        let read = |graph: &mut Graph| {
            if let Some(open) = open.iter().find(|open| open.input == id) {
                check_pixels(open.declared.dtype)?;
                graph.set_type(id, open_input::close(&open.declared, spec)?);
            }
            let TensorType { dtype, shape } = graph.tensor_type(id)?.clone();
            check_pixels(dtype)?;
            let (layout, image) = layout_and_image(&shape, spec)?;
            Ok(Self { id, shape, layout, image, dtype })
        };
        read(graph).map_err(|error: Error| error.at_tensor(&name))
    }

    /// What its numbers stand for.
    pub(super) fn pixel_type(&self) -> PixelType {
        if self.dtype == DataType::Uint8 { PixelType::Uint8 } else { PixelType::Float }
    }
}

/// The input that the outputs depend on. Exporters leave others behind that nothing reads, such as Keras's learning
/// phase.
fn only_input(graph: &Graph, open: &[OpenInput]) -> Result<ValueId> {
    let needed = needed_values(graph, graph.outputs());
    let used: Vec<ValueId> = graph.inputs().iter().copied().filter(|id| needed.contains(id)).collect();
    match (&used[..], graph.inputs()) {
        ([id], _) | ([], [id]) => Ok(*id),
        _ => Err(several_inputs(graph, open, &used)),
    }
}

/// The error for a graph whose outputs need no input, or more than one.
fn several_inputs(graph: &Graph, open: &[OpenInput], used: &[ValueId]) -> Error {
    let described = |id: &ValueId| {
        let stated = graph.tensor_type(*id).ok().map(|known| (known.dtype, known.shape.to_string()));
        let open = open.iter().find(|open| open.input == *id);
        let stated = stated.or_else(|| open.map(|open| (open.declared.dtype, open.declared.to_string())));
        let (dtype, shape) = stated.map_or(("", String::new()), |(dtype, shape)| (dtype.long_name(), shape));
        format!("`{}` {dtype}{shape}", graph.value(*id).name)
    };
    if used.is_empty() {
        return not_a_classifier("the scores depend on no input of the model, wanted images".to_owned());
    }
    let names: Vec<String> = used.iter().map(described).collect();
    not_a_classifier(format!(
        "the scores depend on {} inputs ({}), wanted one: images. Export the others as constants: a flag for training \
         with its value for inference, and a mean or another tensor that the exporter turned into an input (tf2onnx \
         does so with the mean of Keras's Normalization) by converting the SavedModel: python -m tf2onnx.convert \
         --saved-model",
        names.len(),
        names.join(", ")
    ))
}

/// Refuses pixels that are neither floating-point numbers nor 8-bit levels.
fn check_pixels(found: DataType) -> Result<()> {
    match found {
        found if found.is_float() || found == DataType::Uint8 => Ok(()),
        other => Err(Error::unsupported(format!(
            "is {other}, wanted floating-point pixels or levels as uint8: export the part of the model after the Cast \
             to float, and give its normalisation with --mean and --std (v / 255 needs neither: images are in [0, 1])"
        ))),
    }
}

fn layout_and_image(shape: &Shape, spec: &InputSpec) -> Result<(Layout, ImageShape)> {
    let sizes = image_sizes(shape)?;
    let layout = match spec.layout {
        Some(told) => told,
        None => infer_layout(shape, &sizes, spec)?,
    };
    if layout != Layout::Flat && sizes.len() != 3 && lacks_batch(shape, spec) {
        return Err(no_batch_dimension(shape));
    }
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

/// All dimensions but the batch, which must be `N` or a number.
fn image_sizes(shape: &Shape) -> Result<Vec<usize>> {
    let (batch, rest) = shape
        .0
        .split_first()
        .ok_or_else(|| not_a_classifier("the input is a scalar, wanted images".to_owned()))?;
    if !matches!(batch, Dim::Batch(1) | Dim::Fixed(1..)) {
        return Err(not_a_classifier(format!(
            "the input is {shape}, with a batch of {batch}: export the model with a dynamic batch"
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

/// Whether the dimensions are those of one image without a batch, as far as that can be told.
fn lacks_batch(shape: &Shape, spec: &InputSpec) -> bool {
    let Some(dims) = shape.to_fixed() else { return false };
    let is_image = |ImageShape { channels, height, width }: ImageShape| {
        [
            &[channels, height, width][..],
            &[height, width, channels],
            &[height, width],
            &[channels * height * width],
        ]
        .contains(&&dims[..])
    };
    match (spec.image, &dims[..]) {
        (_, []) => false,
        // One row of pixels, as in [1, 784, 1]: no image has its height alone.
        (_, [1, rest @ ..]) if rest.iter().filter(|size| **size != 1).count() == 1 => false,
        // A batch of one leaves it open which of the two is absent.
        (image, [1, ..]) => dims.len() == 3 && image.is_some_and(is_image),
        (Some(image), _) => is_image(image),
        (None, dims) => dims.len() == 3 && (CHANNELS.contains(&dims[0]) || CHANNELS.contains(&dims[2])),
    }
}

fn no_batch_dimension(shape: &Shape) -> Error {
    let dims: Vec<String> = shape.0.iter().map(Dim::to_string).collect();
    not_a_classifier(format!(
        "the input is {shape}, an image with no batch dimension: export the model with one in front, [N, {}], so that \
         it takes batches of images",
        dims.join(", ")
    ))
}

fn infer_layout(shape: &Shape, sizes: &[usize], spec: &InputSpec) -> Result<Layout> {
    if lacks_batch(shape, spec) {
        return Err(no_batch_dimension(shape));
    }
    if sizes.iter().filter(|size| **size != 1).count() <= 1 {
        return Ok(Layout::Flat);
    }
    let &[first, _, last] = sizes else {
        return Err(not_a_classifier(format!(
            "the input is {shape}, wanted [N, C, H, W], [N, H, W, C] or one row of pixels; --layout flat accepts \
             the pixels of an image in any shape"
        )));
    };
    if let Some(layout) = layout_of_images(sizes, spec) {
        return Ok(layout);
    }
    let is_clear = |channels: &[usize]| channels.contains(&first) != channels.contains(&last);
    let known =
        if CHANNELS.contains(&first) || CHANNELS.contains(&last) { &CHANNELS[..] } else { &TRANSPARENT[..] };
    match (is_clear(known), known.contains(&first)) {
        (true, true) => Ok(Layout::Nchw),
        (true, false) => Ok(Layout::Nhwc),
        _ => Err(not_a_classifier(format!(
            "the input is {shape}, from which the position of the channels is not clear: give --layout nchw or \
             --layout nhwc"
        ))),
    }
}

/// The layout in which the images fit the sizes, if there is exactly one.
fn layout_of_images(sizes: &[usize], spec: &InputSpec) -> Option<Layout> {
    let ImageShape { channels, height, width } = spec.image?;
    match (sizes == [channels, height, width], sizes == [height, width, channels]) {
        (true, false) => Some(Layout::Nchw),
        (false, true) => Some(Layout::Nhwc),
        _ => None,
    }
}

fn flat_image(shape: &Shape, sizes: &[usize], spec: &InputSpec) -> Result<ImageShape> {
    let pixels = checked_elements(sizes);
    match spec.image {
        None => Err(not_a_classifier(format!(
            "the input is {shape}, from which the image size is not clear: give it by --input-shape C,H,W"
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
