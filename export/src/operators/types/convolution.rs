//! Conv and ConvTranspose.

use mimir_bundle::kernels::{CHANNELS_FIRST, ZEROS_AROUND};

use super::window::{Rounding, Windows, kernel_shape};
use crate::error::{Error, Result};
use crate::facts::{NodeView, fixed, typed};
use crate::graph::{Dim, Shape, TensorType};

/// Channels in and out of a convolution, and the size of its windows.
struct Weights {
    per_axis: [usize; 2],
    kernel: Vec<usize>,
    groups: usize,
}

/// `Conv(x [N, C, …], w [M, C/groups, …], bias [M])`
pub(crate) fn conv(view: &NodeView) -> Result<Vec<TensorType>> {
    let input = view.shape(0)?;
    let weights = weights(view, input)?;
    let [out_channels, channels_per_group] = weights.per_axis;
    check_channels(view, input, channels_per_group.checked_mul(weights.groups))?;
    if !out_channels.is_multiple_of(weights.groups) {
        return Err(Error::shape(format!(
            "{out_channels} filters do not divide into {} groups",
            weights.groups
        )));
    }
    check_bias(view, out_channels)?;
    let spatial = Windows::new(view, weights.kernel)?.output(&input.0[2..], Rounding::Floor)?;
    Ok(vec![images(view, out_channels, spatial)?])
}

/// The operator of our own: images `[C·H·W, N]` with the batch last.
pub(crate) fn batch_last(view: &NodeView) -> Result<Vec<TensorType>> {
    let images = view.of_rank(0, 2)?;
    let shape = view.node.attributes.ints("output_shape")?.unwrap_or_default();
    let outputs =
        shape.iter().try_fold(1_usize, |product, size| product.checked_mul(usize::try_from(*size).ok()?));
    let outputs = outputs.ok_or_else(|| Error::format(format!("attribute `output_shape` is {shape:?}")))?;
    Ok(vec![typed(view.dtype(0)?, vec![Dim::Fixed(outputs), images.0[1]])])
}

/// `ConvTranspose(x [N, C, …], w [C, M/groups, …], bias [M])`
pub(crate) fn conv_transpose(view: &NodeView) -> Result<Vec<TensorType>> {
    let input = view.shape(0)?;
    let weights = weights(view, input)?;
    let [channels, filters_per_group] = weights.per_axis;
    check_channels(view, input, Some(channels))?;
    let out_channels = filters_per_group
        .checked_mul(weights.groups)
        .filter(|_| channels.is_multiple_of(weights.groups))
        .ok_or_else(|| {
            Error::shape(format!("{channels} channels do not divide into {} groups", weights.groups))
        })?;
    check_bias(view, out_channels)?;
    let axes = weights.kernel.len();
    let per_axis = |name: &str| match view.node.attributes.ints(name)? {
        Some(values) if values.len() == axes => Ok(Some(values.to_vec())),
        Some(values) => {
            Err(Error::format(format!("attribute `{name}` is {values:?}, wanted {axes} entries")))
        }
        None => Ok(None),
    };
    let output_padding = per_axis("output_padding")?.unwrap_or_else(|| vec![0; axes]);
    let computed = Windows::new(view, weights.kernel)?.transposed_output(&input.0[2..], &output_padding)?;
    let spatial = match per_axis("output_shape")? {
        Some(sizes) => {
            Shape::fixed(&sizes.iter().map(|size| size.unsigned_abs() as usize).collect::<Vec<_>>()).0
        }
        None => computed,
    };
    Ok(vec![images(view, out_channels, spatial)?])
}

fn weights(view: &NodeView, input: &Shape) -> Result<Weights> {
    let shape = view.shape(1)?;
    let dims =
        shape.to_fixed().ok_or_else(|| Error::shape(format!("the weights {shape} depend on the batch")))?;
    if dims.len() != input.rank() || dims.len() < 3 {
        return Err(Error::shape(format!("input {input} and weights {shape} do not fit")));
    }
    let kernel = dims[2..].to_vec();
    if let Some(declared) = kernel_shape(view)?.filter(|declared| *declared != kernel) {
        return Err(Error::shape(format!(
            "attribute `kernel_shape` is {declared:?}, but the weights are {shape}"
        )));
    }
    let groups = view.int("group", 1)?;
    let groups = usize::try_from(groups)
        .ok()
        .filter(|groups| *groups > 0)
        .ok_or_else(|| Error::format(format!("attribute `group` is {groups}, wanted a positive number")))?;
    Ok(Weights { per_axis: [dims[0], dims[1]], kernel, groups })
}

fn check_channels(view: &NodeView, input: &Shape, wanted: Option<usize>) -> Result<()> {
    let found = fixed(input.0[1], "the number of channels")?;
    if wanted == Some(found) {
        return Ok(());
    }
    Err(Error::shape(format!("input {input} and weights {} disagree about the channels", view.shape(1)?)))
}

fn check_bias(view: &NodeView, channels: usize) -> Result<()> {
    match view.optional(2)? {
        Some(bias) if bias.shape != Shape::fixed(&[channels]) => {
            Err(Error::shape(format!("the bias is {}, wanted [{channels}]", bias.shape)))
        }
        _ => Ok(()),
    }
}

fn images(view: &NodeView, channels: usize, spatial: Vec<Dim>) -> Result<TensorType> {
    let mut dims = vec![view.shape(0)?.0[0], Dim::Fixed(channels)];
    dims.extend(spatial);
    Ok(typed(view.dtype(0)?, dims))
}

/// `ConvImageGradient(g [N, C, H, W], w [C, O, rows, columns])`, one of ours: `[N, O, H', W']` of `output_shape`.
pub(crate) fn image_gradient(view: &NodeView) -> Result<Vec<TensorType>> {
    let (g, weights) = (view.of_rank(0, 4)?, view.of_rank(1, 4)?);
    check_channels(view, g, weights.0[0].fixed())?;
    let shape = view.node.attributes.ints("output_shape")?.unwrap_or_default();
    let size = |size: i64| usize::try_from(size).ok().map(Dim::Fixed);
    match shape {
        &[height, width] if size(height).is_some() && size(width).is_some() => {
            let spatial = [height, width].into_iter().filter_map(size);
            Ok(vec![typed(view.dtype(0)?, [g.0[0], weights.0[1]].into_iter().chain(spatial).collect())])
        }
        _ => Err(Error::format(format!("attribute `output_shape` is {shape:?}, wanted two sizes"))),
    }
}

/// `WinogradConv`, one of ours: the images with the channels of the weights `[36, Co/16, Ci, 16]`.
pub(crate) fn winograd(view: &NodeView) -> Result<Vec<TensorType>> {
    let (images, weights) = (view.of_rank(0, 4)?, view.of_rank(1, 4)?);
    let first = view.node.attributes.ints(CHANNELS_FIRST)?.unwrap_or(&[0; 4]);
    let &[images_first, _, _, result_first] = first else {
        return Err(Error::format(format!("attribute `{CHANNELS_FIRST}` has not four numbers")));
    };
    let mut dims = images.0.clone();
    if images_first == 1 {
        dims[1..].rotate_left(1);
    }
    if dims[3] != weights.0[2] {
        return Err(Error::shape(format!("images {images} and weights {weights} differ in their channels")));
    }
    dims[3] = weights.0[1]
        .times(weights.0[3])
        .ok_or_else(|| Error::shape(format!("weights {weights} are too large")))?;
    let grown = 2 * view.node.attributes.int(ZEROS_AROUND, 1)? - 2;
    for dim in &mut dims[1..3] {
        let size =
            dim.fixed().and_then(|size| size.checked_add_signed(grown as isize)).filter(|size| *size > 0);
        *dim = Dim::Fixed(size.ok_or_else(|| Error::shape(format!("{images} has no room for a window")))?);
    }
    if result_first == 1 {
        dims[1..].rotate_right(1);
    }
    Ok(vec![typed(view.dtype(0)?, dims)])
}
