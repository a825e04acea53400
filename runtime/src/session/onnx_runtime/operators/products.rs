//! Products: with a constant matrix in tasks of some rows, others in tasks of a matrix.

use std::sync::{Mutex, PoisonError};

use mimir_bundle::kernels::{COLUMNS, MATMUL_BFLOAT16, PANEL, PRODUCT, PRODUCT_BFLOAT16, TRANSPOSED};
use ort::operator::{BoxedKernel, ComputeContext, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType;

use crate::session::kernels::{Matrices, Panels, matmul_bfloat16, product_bfloat16, product_float32};

/// Products with a constant matrix in panels, by their factors.
#[derive(Debug, Clone, Copy)]
pub(super) enum Product {
    Float32,
    Bfloat16,
}

impl Operator for Product {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        match self {
            Self::Float32 => PRODUCT,
            Self::Bfloat16 => PRODUCT_BFLOAT16,
        }
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        let float = TensorElementType::Float32;
        let optional = [OperatorInput::optional(float), OperatorInput::optional(float)];
        [OperatorInput::required(float), OperatorInput::required(float)].into_iter().chain(optional)
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<BoxedKernel<'attr>> {
        let columns = context.get::<i64>(COLUMNS).and_then(|columns| usize::try_from(columns).ok());
        let columns = columns.filter(|columns| *columns > 0).ok_or_else(|| misfit(self.name()))?;
        let product = *self;
        Ok(Box::new(move |context: &ComputeContext| compute(product, columns, context)))
    }
}

fn misfit(operator: &str) -> ort::Error {
    ort::Error::new(format!("{operator}: the inputs do not fit"))
}

pub(super) struct MatMulBfloat16;

impl Operator for MatMulBfloat16 {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        MATMUL_BFLOAT16
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [
            OperatorInput::required(TensorElementType::Float32),
            OperatorInput::required(TensorElementType::Float32),
        ]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<BoxedKernel<'attr>> {
        let transposed: Vec<i64> = context.get(TRANSPOSED).unwrap_or_default();
        let &[left, right] = &transposed[..] else { return Err(misfit(MATMUL_BFLOAT16)) };
        let transposed = [left == 1, right == 1];
        Ok(Box::new(move |context: &ComputeContext| multiply(transposed, context)))
    }
}

/// Rows of a task: their factors stay in the second cache, and the weights are read once for all of them.
const ROWS_PER_TASK: usize = 96;

fn compute(product: Product, columns: usize, context: &ComputeContext) -> ort::Result<()> {
    let misfit = || misfit(product.name());
    let (x, weights) = (context.input(0)?.ok_or_else(misfit)?, context.input(1)?.ok_or_else(misfit)?);
    let optional = |index| if context.num_inputs()? > index { context.input(index) } else { Ok(None) };
    let (bias, factor) = (optional(2)?, optional(3)?);
    let (shape, x) = x.try_extract_tensor::<f32>()?;
    let (weight_shape, weights) = weights.try_extract_tensor::<f32>()?;
    let bias = match &bias {
        Some(bias) => bias.try_extract_tensor::<f32>()?.1,
        None => &[],
    };
    let factor = factor.as_ref().map(|factor| factor.try_extract_tensor::<f32>()).transpose()?;
    let mut result_shape = shape.to_vec();
    let last = result_shape.last_mut().ok_or_else(misfit)?;
    let inner = usize::try_from(*last).ok().filter(|inner| *inner > 0).ok_or_else(misfit)?;
    *last = columns as i64;
    let depth = match product {
        Product::Float32 => inner,
        Product::Bfloat16 => inner.div_ceil(2),
    };
    let wanted = [columns.div_ceil(PANEL), depth, PANEL].map(|size| size as i64);
    if weight_shape[..] != wanted || !(bias.is_empty() || bias.len() == columns) {
        return Err(misfit());
    }
    let mut result = context.output(0, result_shape)?.ok_or_else(misfit)?;
    let (_, result) = result.try_extract_tensor_mut::<f32>()?;
    let factor = factor.map_or(&[][..], |(_, factor)| factor);
    if !factor.is_empty() && factor.len() != result.len() {
        return Err(misfit());
    }
    let panels = Panels { weights: weights.as_chunks().0, bias, depth, columns };
    let parts = x.chunks(ROWS_PER_TASK * inner).zip(result.chunks_mut(ROWS_PER_TASK * columns));
    let tasks: Vec<_> = parts.map(Mutex::new).collect();
    if tasks.is_empty() {
        return Ok(());
    }
    context.par_for(tasks.len(), 0, |index| {
        let mut task = tasks[index].lock().unwrap_or_else(PoisonError::into_inner);
        let (x, result) = &mut *task;
        match product {
            Product::Float32 => product_float32(x, panels, result),
            Product::Bfloat16 => product_bfloat16(x, inner, panels, result),
        }
        // Where there is none, nothing is multiplied.
        let factor = factor.get(index * ROWS_PER_TASK * columns..).unwrap_or_default();
        result.iter_mut().zip(factor).for_each(|(number, factor)| *number *= factor);
    })
}

fn multiply(transposed: [bool; 2], context: &ComputeContext) -> ort::Result<()> {
    let misfit = || misfit(MATMUL_BFLOAT16);
    let (left, right) = (context.input(0)?.ok_or_else(misfit)?, context.input(1)?.ok_or_else(misfit)?);
    let (left_shape, left) = left.try_extract_tensor::<f32>()?;
    let (right_shape, right) = right.try_extract_tensor::<f32>()?;
    let (leading, [rows, inner]) = split(left_shape, transposed[0]).ok_or_else(misfit)?;
    let (same_leading, [same_inner, columns]) = split(right_shape, transposed[1]).ok_or_else(misfit)?;
    if leading != same_leading || inner != same_inner {
        return Err(misfit());
    }
    let mut shape = leading.to_vec();
    shape.extend([rows as i64, columns as i64]);
    let mut result = context.output(0, shape)?.ok_or_else(misfit)?;
    let (_, result) = result.try_extract_tensor_mut::<f32>()?;
    let matrices = left.chunks_exact(rows * inner).zip(right.chunks_exact(inner * columns));
    let tasks = matrices.zip(result.chunks_exact_mut(rows * columns));
    let tasks: Vec<_> = tasks.map(Mutex::new).collect();
    if tasks.is_empty() {
        return Ok(());
    }
    context.par_for(tasks.len(), 0, |index| {
        let mut task = tasks[index].lock().unwrap_or_else(PoisonError::into_inner);
        let ((left, right), result) = &mut *task;
        matmul_bfloat16(Matrices { left, right, rows, inner, columns, transposed }, result);
    })
}

/// The axes before the last two, and the last two in their order, neither of which is empty.
fn split(shape: &[i64], is_transposed: bool) -> Option<(&[i64], [usize; 2])> {
    let (leading, &[rows, columns]) = shape.split_last_chunk::<2>()?;
    let [rows, columns] = [rows, columns].map(|size| usize::try_from(size).ok().filter(|size| *size > 0));
    let sizes = if is_transposed { [columns?, rows?] } else { [rows?, columns?] };
    Some((leading, sizes))
}
