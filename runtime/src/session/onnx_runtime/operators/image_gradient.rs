//! The gradient of a convolution of images, a task for each image.

use std::sync::{Mutex, PoisonError};

use mimir_bundle::kernels::CONV_IMAGE_GRADIENT;
use ort::operator::{BoxedKernel, ComputeContext, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType;

use crate::session::kernels::{Axis, Geometry, image_gradient, is_image_gradient};

pub(super) struct ConvImageGradient;

impl Operator for ConvImageGradient {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        CONV_IMAGE_GRADIENT
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        std::iter::repeat_with(|| OperatorInput::required(TensorElementType::Float32)).take(2)
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<BoxedKernel<'attr>> {
        let pair = |name: &str| -> ort::Result<[i64; 2]> {
            let numbers: Vec<i64> = context.get(name).ok_or_else(misfit)?;
            numbers.try_into().map_err(|_| misfit())
        };
        let attributes =
            Attributes { output: pair("output_shape")?, strides: pair("strides")?, begins: pair("pads")? };
        Ok(Box::new(move |context: &ComputeContext| compute(&attributes, context)))
    }
}

fn misfit() -> ort::Error {
    ort::Error::new(format!("{CONV_IMAGE_GRADIENT}: attributes and inputs do not fit"))
}

/// One number for each spatial axis.
struct Attributes {
    output: [i64; 2],
    strides: [i64; 2],
    begins: [i64; 2],
}

impl Attributes {
    /// What is computed of `g` `[N, C, H, W]` with weights `[C, O, rows, columns]`.
    fn geometry(&self, g: &[i64], weights: &[i64]) -> Option<Geometry> {
        let (&[_, channels, ..], &[same_channels, outputs, ..]) = (g, weights) else { return None };
        let size = |size: i64| usize::try_from(size).ok();
        let axis = |index: usize| {
            Some(Axis {
                input: size(*g.get(index + 2)?)?,
                output: size(self.output[index])?,
                kernel: size(*weights.get(index + 2)?)?,
                stride: size(self.strides[index])?,
                dilation: 1,
                begin: size(self.begins[index])?,
            })
        };
        let geometry = Geometry {
            channels: size(channels)?,
            outputs: size(outputs)?,
            rows: axis(0)?,
            columns: axis(1)?,
            transposed: true,
        };
        (channels == same_channels && is_image_gradient(&geometry)).then_some(geometry)
    }
}

/// One task: an image.
struct Task<'a> {
    g: &'a [f32],
    result: &'a mut [f32],
}

fn compute(attributes: &Attributes, context: &ComputeContext) -> ort::Result<()> {
    let (g, weights) = (context.input(0)?.ok_or_else(misfit)?, context.input(1)?.ok_or_else(misfit)?);
    let (shape, g) = g.try_extract_tensor::<f32>()?;
    let (weight_shape, weights) = weights.try_extract_tensor::<f32>()?;
    let geometry = attributes.geometry(shape, weight_shape).ok_or_else(misfit)?;
    let [height, width] = attributes.output;
    let mut result =
        context.output(0, vec![shape[0], geometry.outputs as i64, height, width])?.ok_or_else(misfit)?;
    let (_, result) = result.try_extract_tensor_mut::<f32>()?;
    if g.is_empty() || result.is_empty() {
        result.fill(0.0);
        return Ok(());
    }
    let images = shape[0] as usize;
    let parts = g.chunks(g.len() / images).zip(result.chunks_mut(result.len() / images));
    let tasks: Vec<Mutex<Task>> = parts.map(|(g, result)| Mutex::new(Task { g, result })).collect();
    context.par_for(tasks.len(), 0, |index| {
        let mut task = tasks[index].lock().unwrap_or_else(PoisonError::into_inner);
        let Task { g, result } = &mut *task;
        image_gradient(&geometry, g, weights, result);
    })
}
