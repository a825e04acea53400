//! A residual sum and its LayerNormalization, in tasks of some rows.

use std::sync::{Mutex, PoisonError};

use mimir_bundle::kernels::RESIDUAL_LAYER_NORMALIZATION;
use ort::operator::{BoxedKernel, ComputeContext, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType;

use super::{TASK, elements, optional_input};
use crate::session::kernels::{Normalised, residual_layer_normalization};

pub(super) struct ResidualLayerNormalization;

impl Operator for ResidualLayerNormalization {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        RESIDUAL_LAYER_NORMALIZATION
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        let float = TensorElementType::Float32;
        [OperatorInput::required(float), OperatorInput::required(float), OperatorInput::optional(float)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        std::iter::repeat_with(|| OperatorOutput::required(TensorElementType::Float32)).take(3)
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<BoxedKernel<'attr>> {
        let missing = || ort::Error::new(format!("{RESIDUAL_LAYER_NORMALIZATION}: `epsilon` is missing"));
        let epsilon: f32 = context.get("epsilon").ok_or_else(missing)?;
        Ok(Box::new(move |context: &ComputeContext| compute(epsilon, context)))
    }
}

/// One task: some rows.
struct Task<'a> {
    x: &'a [f32],
    y: &'a [f32],
    to: Normalised<'a>,
}

fn compute(epsilon: f32, context: &ComputeContext) -> ort::Result<()> {
    let missing = || ort::Error::new("a tensor is missing");
    let (x, y) = (context.input(0)?.ok_or_else(missing)?, context.input(1)?.ok_or_else(missing)?);
    let bias = optional_input(context, 2)?;
    let (shape, x) = x.try_extract_tensor::<f32>()?;
    let ((_, y), bias) = (y.try_extract_tensor::<f32>()?, elements(&bias)?);
    let mut shape = shape.to_vec();
    let mut sum = context.output(0, shape.clone())?.ok_or_else(missing)?;
    let mut rows = context.output(1, shape.clone())?.ok_or_else(missing)?;
    let width = shape.last_mut().map_or(0, |width| std::mem::replace(width, 1));
    let mut inverse_deviation = context.output(2, shape)?.ok_or_else(missing)?;
    let (_, sum) = sum.try_extract_tensor_mut::<f32>()?;
    let (_, rows) = rows.try_extract_tensor_mut::<f32>()?;
    let (_, inverse_deviation) = inverse_deviation.try_extract_tensor_mut::<f32>()?;
    let width = usize::try_from(width).unwrap_or(0);
    if x.is_empty() {
        return Ok(());
    }
    if width == 0 || x.len() != y.len() || !(bias.is_empty() || bias.len() == width) {
        return Err(ort::Error::new("the inputs do not have the same rows"));
    }
    let height = (TASK / width).max(1);
    let terms = x.chunks(height * width).zip(y.chunks(height * width));
    let results = sum.chunks_mut(height * width).zip(rows.chunks_mut(height * width));
    let task = |(((x, y), (sum, rows)), inverse_deviation)| {
        Mutex::new(Task { x, y, to: Normalised { sum, rows, inverse_deviation } })
    };
    let tasks: Vec<_> = terms.zip(results).zip(inverse_deviation.chunks_mut(height)).map(task).collect();
    context.par_for(tasks.len(), 0, |index| {
        let mut task = tasks[index].lock().unwrap_or_else(PoisonError::into_inner);
        let Task { x, y, to } = &mut *task;
        residual_layer_normalization(x, y, bias, epsilon, to);
    })
}
