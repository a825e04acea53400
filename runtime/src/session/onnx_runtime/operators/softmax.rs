//! Softmax over the last axis, in tasks of some rows.

use std::sync::{Mutex, PoisonError};

use mimir_bundle::kernels::SOFTMAX;
use ort::operator::{BoxedKernel, ComputeContext, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType;

use super::task::ELEMENTS_PER_TASK;
use crate::session::kernels;

pub(super) struct Softmax;

impl Operator for Softmax {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        SOFTMAX
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::required(TensorElementType::Float32)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attr>(&self, _: &KernelContext<'attr>) -> ort::Result<BoxedKernel<'attr>> {
        Ok(Box::new(compute))
    }
}

fn compute(context: &ComputeContext) -> ort::Result<()> {
    let missing = || ort::Error::new("a tensor is missing");
    let x = context.input(0)?.ok_or_else(missing)?;
    let (shape, x) = x.try_extract_tensor::<f32>()?;
    let mut y = context.output(0, shape.to_vec())?.ok_or_else(missing)?;
    let (_, y) = y.try_extract_tensor_mut::<f32>()?;
    let width = shape.last().and_then(|size| usize::try_from(*size).ok()).unwrap_or(0);
    if x.is_empty() {
        return Ok(());
    }
    if width == 0 {
        return Err(ort::Error::new("the input has no rows"));
    }
    let size = (ELEMENTS_PER_TASK / width).max(1) * width;
    let tasks: Vec<_> = x.chunks(size).zip(y.chunks_mut(size)).map(Mutex::new).collect();
    context.par_for(tasks.len(), 0, |index| {
        let mut task = tasks[index].lock().unwrap_or_else(PoisonError::into_inner);
        let (x, y) = &mut *task;
        kernels::softmax(x, width, y);
    })
}
