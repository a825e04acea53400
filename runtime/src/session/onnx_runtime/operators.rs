//! Our kernels ([`super::super::kernels`]) as operators of ONNX Runtime.

mod attention;
mod convolution;
mod gelu;
mod image_gradient;
mod max_pool;
mod products;
mod softmax;
mod task;
mod winograd;

use std::sync::{Mutex, PoisonError};

use mimir_bundle::kernels::{CENTRED, DOMAIN, GELU_GRADIENT, LAYER_NORMALIZATION_GRADIENT, SOFTMAX_GRADIENT};
use ort::operator::{
    BoxedKernel, ComputeContext, KernelContext, Operator, OperatorDomain, OperatorInput, OperatorOutput,
};
use ort::value::TensorElementType;

use self::attention::{Attention, AttentionGradient};
use self::convolution::ConvolutionBatchLast;
use self::gelu::Gelu;
use self::image_gradient::ConvImageGradient;
use self::max_pool::MaxPoolGradient;
use self::products::{MatMulBfloat16, Product};
use self::softmax::Softmax;
use self::task::ELEMENTS_PER_TASK;
use self::winograd::WinogradConv;
use crate::session::kernels;

/// The operators, for one session: `ort` does not let threads share them.
pub(super) fn domain() -> ort::Result<OperatorDomain> {
    let rows = OperatorDomain::new(DOMAIN)?.add(Fused::Gelu)?.add(Fused::LayerNormalization)?;
    let rows = rows.add(Fused::Softmax)?.add(MaxPoolGradient)?.add(Gelu)?.add(Softmax)?;
    let rows = rows.add(Attention)?.add(AttentionGradient)?.add(ConvolutionBatchLast)?.add(WinogradConv)?;
    let rows = rows.add(ConvImageGradient)?;
    rows.add(Product::Float32)?.add(Product::Bfloat16)?.add(MatMulBfloat16)
}

/// Gradients that are made row by row of two inputs alike.
#[derive(Debug, Clone, Copy)]
enum Fused {
    Gelu,
    LayerNormalization,
    Softmax,
}

/// Shapes are not inferred when a session is built: `ort` panics on dimensions that are known by name only.
impl Operator for Fused {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        match self {
            Self::Gelu => GELU_GRADIENT,
            Self::LayerNormalization => LAYER_NORMALIZATION_GRADIENT,
            Self::Softmax => SOFTMAX_GRADIENT,
        }
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        let count = if matches!(self, Self::LayerNormalization) { 3 } else { 2 };
        std::iter::repeat_with(|| OperatorInput::required(TensorElementType::Float32)).take(count)
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<BoxedKernel<'attr>> {
        let mean_is_zero = context.get::<i64>(CENTRED) == Some(1);
        let fused = *self;
        Ok(Box::new(move |context: &ComputeContext| compute(fused, mean_is_zero, context)))
    }
}

/// One task: rows of the inputs, and where their result goes.
struct Task<'a> {
    left: &'a [f32],
    right: &'a [f32],
    /// One number for each row, where the kernel takes it.
    rows: &'a [f32],
    result: &'a mut [f32],
}

fn compute(fused: Fused, mean_is_zero: bool, context: &ComputeContext) -> ort::Result<()> {
    let missing = || ort::Error::new("an input is missing");
    let (left, right) = (context.input(0)?.ok_or_else(missing)?, context.input(1)?.ok_or_else(missing)?);
    let third = if matches!(fused, Fused::LayerNormalization) { context.input(2)? } else { None };
    let (shape, left) = left.try_extract_tensor::<f32>()?;
    let (_, right) = right.try_extract_tensor::<f32>()?;
    let rows = match &third {
        Some(value) => value.try_extract_tensor::<f32>()?.1,
        None => &[],
    };
    let width = match fused {
        Fused::Gelu => 1,
        Fused::LayerNormalization => left.len().checked_div(rows.len()).unwrap_or(0),
        Fused::Softmax => shape.last().and_then(|size| usize::try_from(*size).ok()).unwrap_or(0),
    };
    let mut output = context.output(0, shape.to_vec())?.ok_or_else(missing)?;
    let (_, result) = output.try_extract_tensor_mut::<f32>()?;
    if left.is_empty() {
        return Ok(());
    }
    if width == 0 || left.len() != right.len() || !left.len().is_multiple_of(width) {
        return Err(ort::Error::new("the inputs do not have the same rows"));
    }
    let tasks = tasks(left, right, rows, result, width);
    context.par_for(tasks.len(), 0, |index| {
        let mut task = tasks[index].lock().unwrap_or_else(PoisonError::into_inner);
        let Task { left, right, rows, result } = &mut *task;
        match fused {
            Fused::Gelu => kernels::gelu_gradient(left, right, result),
            Fused::LayerNormalization => {
                kernels::layer_normalization_gradient(left, right, rows, mean_is_zero, result);
            }
            Fused::Softmax => kernels::softmax_gradient(left, right, width, result),
        }
    })
}

/// Cuts the rows into tasks. The cuts are the same for every number of threads.
fn tasks<'a>(
    left: &'a [f32],
    right: &'a [f32],
    rows: &'a [f32],
    result: &'a mut [f32],
    width: usize,
) -> Vec<Mutex<Task<'a>>> {
    let height = (ELEMENTS_PER_TASK / width).max(1);
    let mut heights = rows.chunks(height);
    let parts = left.chunks(height * width).zip(right.chunks(height * width));
    parts
        .zip(result.chunks_mut(height * width))
        .map(|((left, right), result)| {
            Mutex::new(Task { left, right, rows: heights.next().unwrap_or_default(), result })
        })
        .collect()
}
