//! Convolution 3 × 3 by Winograd's algorithm, in tasks of some images.

use std::sync::{Mutex, PoisonError};

use mimir_bundle::kernels::{
    CHANNELS_FIRST, MOST_ZEROS_AROUND, PANEL, POINTS, RELU, WINOGRAD_CONV, ZEROS_AROUND,
};
use ort::operator::{BoxedKernel, ComputeContext, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::{TensorElementType, ValueRef};

use super::task::ELEMENTS_PER_TASK;
use crate::session::kernels::{ChannelsFirst, Finish, Planes, winograd_conv};

pub(super) struct WinogradConv;

/// Inputs of the operator.
const IMAGES: usize = 0;
const WEIGHTS: usize = 1;
const BIAS: usize = 2;
const RESIDUAL: usize = 3;
const MASK: usize = 4;

impl Operator for WinogradConv {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        WINOGRAD_CONV
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        let float = TensorElementType::Float32;
        let required = std::iter::repeat_with(move || OperatorInput::required(float)).take(BIAS);
        let optional = std::iter::repeat_with(move || OperatorInput::optional(float));
        required.chain(optional.take(MASK + 1 - BIAS))
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<BoxedKernel<'attr>> {
        let relu = context.get::<i64>(RELU) == Some(1);
        let zeros = usize::try_from(context.get::<i64>(ZEROS_AROUND).unwrap_or(1)).ok();
        let zeros = zeros.filter(|zeros| *zeros <= MOST_ZEROS_AROUND).ok_or_else(misfit)?;
        let first: Vec<i64> = context.get(CHANNELS_FIRST).unwrap_or_default();
        let first = match first[..] {
            [] => ChannelsFirst::default(),
            [images, residual, mask, result] => ChannelsFirst {
                images: images == 1,
                residual: residual == 1,
                mask: mask == 1,
                result: result == 1,
            },
            _ => return Err(misfit()),
        };
        Ok(Box::new(move |context: &ComputeContext| compute(zeros, relu, first, context)))
    }
}

fn misfit() -> ort::Error {
    ort::Error::new(format!("{WINOGRAD_CONV}: the inputs do not fit"))
}

/// An input that the node may lack.
fn optional<'a>(context: &'a ComputeContext, index: usize) -> ort::Result<Option<ValueRef<'a>>> {
    if context.num_inputs()? > index { context.input(index) } else { Ok(None) }
}

/// The elements of an input, empty where the node lacks it.
fn elements<'a>(value: &'a Option<ValueRef<'_>>) -> ort::Result<&'a [f32]> {
    match value {
        Some(value) => Ok(value.try_extract_tensor::<f32>()?.1),
        None => Ok(&[]),
    }
}

/// One task: some images.
struct Task<'a> {
    images: &'a [f32],
    finish: Finish<'a>,
    result: &'a mut [f32],
}

fn compute(zeros: usize, relu: bool, first: ChannelsFirst, context: &ComputeContext) -> ort::Result<()> {
    let images = context.input(IMAGES)?.ok_or_else(misfit)?;
    let weights = context.input(WEIGHTS)?.ok_or_else(misfit)?;
    let [bias, residual, mask] =
        [optional(context, BIAS)?, optional(context, RESIDUAL)?, optional(context, MASK)?];
    let (shape, images) = images.try_extract_tensor::<f32>()?;
    let (weight_shape, weights) = weights.try_extract_tensor::<f32>()?;
    let planes = planes(shape, weight_shape, zeros, first.images).ok_or_else(misfit)?;
    let finish =
        Finish { bias: elements(&bias)?, residual: elements(&residual)?, relu, mask: elements(&mask)? };
    let [height, width] = planes.result().map(|size| size as i64);
    let outputs = planes.outputs as i64;
    let result_shape = match first.result {
        true => vec![shape[0], outputs, height, width],
        false => vec![shape[0], height, width, outputs],
    };
    let mut result = context.output(0, result_shape)?.ok_or_else(misfit)?;
    let (_, result) = result.try_extract_tensor_mut::<f32>()?;
    let fits = |numbers: &[f32], size: usize| numbers.is_empty() || numbers.len() == size;
    let fit = fits(finish.bias, planes.outputs)
        && fits(finish.residual, result.len())
        && fits(finish.mask, result.len());
    if !fit || weights.len() != POINTS * planes.inputs * planes.outputs {
        return Err(misfit());
    }
    if images.is_empty() {
        return Ok(());
    }
    let [pixels, results] = planes.pixels();
    let some = (ELEMENTS_PER_TASK / (results * planes.outputs)).max(1);
    let of_result = some * results * planes.outputs;
    let (mut residuals, mut masks) = (finish.residual.chunks(of_result), finish.mask.chunks(of_result));
    let parts = images.chunks(some * pixels * planes.inputs).zip(result.chunks_mut(of_result));
    let tasks: Vec<Mutex<Task>> = parts
        .map(|(images, result)| {
            let (residual, mask) = (residuals.next().unwrap_or_default(), masks.next().unwrap_or_default());
            Mutex::new(Task { images, finish: Finish { residual, mask, ..finish }, result })
        })
        .collect();
    context.par_for(tasks.len(), 0, |index| {
        let mut task = tasks[index].lock().unwrap_or_else(PoisonError::into_inner);
        let Task { images, finish, result } = &mut *task;
        winograd_conv(planes, images, weights, *finish, first, result);
    })
}

/// Sizes of images and of weights `[36, Co/16, Ci, 16]` that fit each other and the kernel.
fn planes(images: &[i64], weights: &[i64], zeros: usize, channels_first: bool) -> Option<Planes> {
    let size = |size: i64| usize::try_from(size).ok().filter(|size| *size > 0);
    let channels = |channels: i64| size(channels).filter(|channels| channels.is_multiple_of(PANEL));
    let (&[_, a, b, c], &[_, panels, same_inputs, _]) = (images, weights) else { return None };
    let [height, width, inputs] = if channels_first { [b, c, a] } else { [a, b, c] };
    let (height, width) = (size(height)?, size(width)?);
    let holds_a_window = height.min(width) + 2 * zeros > 2;
    (inputs == same_inputs && holds_a_window).then_some(Planes {
        height,
        width,
        zeros,
        inputs: channels(inputs)?,
        outputs: size(panels)? * PANEL,
    })
}
