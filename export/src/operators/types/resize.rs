//! Resize.

use crate::error::{Error, Result};
use crate::facts::{Content, Symbol};
use crate::facts::{NodeView, typed};
use crate::graph::{Dim, Shape, TensorType};

/// Largest size of an axis that a scale may give.
const LARGEST: f64 = (1_u64 << 30) as f64;

/// What a Resize makes of one axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ResizedAxis {
    /// Elements of the result.
    pub(crate) output: Dim,
    /// Elements of the result for each element of the input; 1 where the axis stays as it is.
    pub(crate) scale: f32,
}

/// `Resize(x, roi, scales, sizes)`
pub(crate) fn resize(view: &NodeView) -> Result<Vec<TensorType>> {
    let dims = resized_axes(view)?.into_iter().map(|axis| axis.output).collect();
    Ok(vec![typed(view.dtype(0)?, dims)])
}

/// What a Resize makes of each axis of its input.
///
/// # Errors
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) when neither scales nor sizes are known, or when they do not fit.
pub(crate) fn resized_axes(view: &NodeView) -> Result<Vec<ResizedAxis>> {
    if view.node.attributes.text("coordinate_transformation_mode", "half_pixel")? == "tf_crop_and_resize" {
        return Err(Error::unsupported(
            "crops while it resizes (tf_crop_and_resize), which is not supported; export the model with a Slice and \
             another coordinate_transformation_mode",
        ));
    }
    let shape = view.shape(0)?;
    let axes: Vec<usize> = match view.node.attributes.ints("axes")? {
        Some(axes) => axes.iter().map(|axis| shape.axis(*axis)).collect::<Result<_>>()?,
        None => (0..shape.rank()).collect(),
    };
    let stated = match (scales(view)?, sizes(view)?) {
        (Some(scales), None) => by_scales(shape, &axes, &scales)?,
        (None, Some(sizes)) => by_sizes(view, shape, &axes, &sizes)?,
        _ => return Err(Error::shape("has both scales and sizes, or neither")),
    };
    let mut resized: Vec<ResizedAxis> =
        shape.0.iter().map(|dim| ResizedAxis { output: *dim, scale: 1.0 }).collect();
    axes.into_iter().zip(stated).for_each(|(axis, stated)| resized[axis] = stated);
    Ok(resized)
}

/// An input that stands for "not given" where it has no elements, as files of opset 11 write it.
fn given(view: &NodeView, index: usize) -> Result<bool> {
    let Some(tensor_type) = view.optional(index)? else { return Ok(false) };
    Ok(tensor_type.shape.elements() != Some(Dim::Fixed(0)))
}

fn scales(view: &NodeView) -> Result<Option<Vec<f32>>> {
    if !given(view, 2)? {
        return Ok(None);
    }
    match view.content(2).as_deref() {
        Some(Content::Float(scales)) => {
            Ok(Some(scales.elements().iter().map(|scale| *scale as f32).collect()))
        }
        _ => Err(view.undetermined(2)),
    }
}

fn sizes(view: &NodeView) -> Result<Option<Vec<Symbol>>> {
    if given(view, 3)? { view.symbols(3).map(Some) } else { Ok(None) }
}

fn by_scales(shape: &Shape, axes: &[usize], scales: &[f32]) -> Result<Vec<ResizedAxis>> {
    check_count(axes, scales.len(), "scales")?;
    let resized = |(axis, scale): (&usize, &f32)| {
        let dim = shape.0[*axis];
        let output = match dim {
            _ if *scale == 1.0 => Some(dim),
            // In float, as ONNX Runtime does: 2.1 · 10 must not be 20.999999.
            Dim::Fixed(size) => Some((size as f32 * scale).floor())
                .filter(|size| (1.0..=LARGEST as f32).contains(size))
                .map(|size| Dim::Fixed(size as usize)),
            Dim::Batch(_) => None,
        };
        let output = output.ok_or_else(|| {
            Error::shape(format!("scales axis {axis} of {shape} by {scale}, which gives no size"))
        })?;
        Ok(ResizedAxis { output, scale: *scale })
    };
    axes.iter().zip(scales).map(resized).collect()
}

fn by_sizes(view: &NodeView, shape: &Shape, axes: &[usize], sizes: &[Symbol]) -> Result<Vec<ResizedAxis>> {
    check_count(axes, sizes.len(), "sizes")?;
    let mut resized = Vec::with_capacity(axes.len());
    for (axis, size) in axes.iter().zip(sizes) {
        let output = size.dim().ok_or_else(|| view.undetermined(3))?;
        let scale = match (shape.0[*axis], output) {
            (Dim::Fixed(before), Dim::Fixed(after)) if before > 0 && after > 0 => {
                after as f32 / before as f32
            }
            (before, after) if before == after => 1.0,
            (before, _) => {
                return Err(Error::shape(format!(
                    "resizes axis {axis} of {shape} from {before} to {output}"
                )));
            }
        };
        resized.push(ResizedAxis { output, scale });
    }
    keep_aspect_ratio(view, shape, axes, resized)
}

/// With `keep_aspect_ratio_policy`, the sizes are bounds, and all axes get one scale.
fn keep_aspect_ratio(
    view: &NodeView,
    shape: &Shape,
    axes: &[usize],
    resized: Vec<ResizedAxis>,
) -> Result<Vec<ResizedAxis>> {
    let scales = resized.iter().map(|axis| axis.scale);
    let scale = match view.node.attributes.text("keep_aspect_ratio_policy", "stretch")? {
        "stretch" => return Ok(resized),
        "not_larger" => scales.fold(f32::INFINITY, f32::min),
        "not_smaller" => scales.fold(0.0, f32::max),
        other => return Err(Error::format(format!("attribute `keep_aspect_ratio_policy` is `{other}`"))),
    };
    let scaled = |axis: &usize| match shape.0[*axis] {
        Dim::Fixed(size) => {
            let output = (size as f32 * scale).round().clamp(1.0, LARGEST as f32) as usize;
            Ok(ResizedAxis { output: Dim::Fixed(output), scale })
        }
        Dim::Batch(_) => {
            Err(Error::shape(format!("keeps the aspect ratio of {shape}, and with it of the batch")))
        }
    };
    axes.iter().map(scaled).collect()
}

fn check_count(axes: &[usize], found: usize, what: &str) -> Result<()> {
    if found == axes.len() {
        return Ok(());
    }
    Err(Error::shape(format!("{found} {what} for {} axes", axes.len())))
}
