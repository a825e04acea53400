//! The exact Gelu with its slope, in tasks of some rows.

use std::sync::{Mutex, PoisonError};

use mimir_bundle::kernels::GELU;
use ort::operator::{BoxedKernel, ComputeContext, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType;

use super::task::ELEMENTS_PER_TASK;
use crate::session::kernels;

pub(super) struct Gelu;

impl Operator for Gelu {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        GELU
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        let float = TensorElementType::Float32;
        [OperatorInput::required(float), OperatorInput::optional(float)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        let float = TensorElementType::Float32;
        [OperatorOutput::required(float), OperatorOutput::optional(float)]
    }

    fn create_kernel<'attr>(&self, _: &KernelContext<'attr>) -> ort::Result<BoxedKernel<'attr>> {
        Ok(Box::new(compute))
    }
}

/// One task: some rows.
struct Task<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
    /// Empty where nobody wants them.
    slopes: &'a mut [f32],
}

fn compute(context: &ComputeContext) -> ort::Result<()> {
    let missing = || ort::Error::new("a tensor is missing");
    let x = context.input(0)?.ok_or_else(missing)?;
    let bias = if context.num_inputs()? > 1 { context.input(1)? } else { None };
    let (shape, x) = x.try_extract_tensor::<f32>()?;
    let bias = match &bias {
        Some(bias) => bias.try_extract_tensor::<f32>()?.1,
        None => &[],
    };
    let mut y = context.output(0, shape.to_vec())?.ok_or_else(missing)?;
    let mut slopes = if context.num_outputs()? > 1 { context.output(1, shape.to_vec())? } else { None };
    let (_, y) = y.try_extract_tensor_mut::<f32>()?;
    let slopes = match &mut slopes {
        Some(slopes) => slopes.try_extract_tensor_mut::<f32>()?.1,
        None => &mut [],
    };
    let width = bias.len().max(1);
    if !x.len().is_multiple_of(width) {
        return Err(ort::Error::new("the bias is not as long as a row"));
    }
    let size = (ELEMENTS_PER_TASK / width).max(1) * width;
    let mut slopes = slopes.chunks_mut(size);
    let rows = x.chunks(size).zip(y.chunks_mut(size));
    let tasks: Vec<Mutex<Task>> =
        rows.map(|(x, y)| Mutex::new(Task { x, y, slopes: slopes.next().unwrap_or_default() })).collect();
    context.par_for(tasks.len(), 0, |index| {
        let mut task = tasks[index].lock().unwrap_or_else(PoisonError::into_inner);
        let Task { x, y, slopes } = &mut *task;
        kernels::gelu(x, bias, y, slopes);
    })
}
