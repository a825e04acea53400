//! Convolutions with the batch as the last axis, in tasks of a block of outputs.

use std::sync::{Mutex, PoisonError};

use mimir_bundle::kernels::CONVOLUTION_BATCH_LAST;
use ort::operator::{BoxedKernel, ComputeContext, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType;

use crate::session::kernels::{Axis, Convolution, Epilogue, Geometry, Packed};

pub(super) struct ConvolutionBatchLast;

impl Operator for ConvolutionBatchLast {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        CONVOLUTION_BATCH_LAST
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        let required = std::iter::repeat_with(|| OperatorInput::required(TensorElementType::Float32)).take(3);
        required.chain(std::iter::repeat_with(|| OperatorInput::optional(TensorElementType::Float32)).take(2))
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<BoxedKernel<'attr>> {
        let geometry = geometry(context)?;
        let by_winograd = context.get::<i64>("winograd") == Some(1);
        let convolution = Convolution::new(&geometry, by_winograd).ok_or_else(|| malformed("input_shape"))?;
        let relu = context.get::<i64>("relu") == Some(1);
        Ok(Box::new(move |context: &ComputeContext| compute(&convolution, relu, context)))
    }
}

fn malformed(name: &str) -> ort::Error {
    ort::Error::new(format!("{CONVOLUTION_BATCH_LAST}: `{name}` is missing or does not fit"))
}

fn geometry(context: &KernelContext) -> ort::Result<Geometry> {
    let numbers = |name: &str, count: usize| -> ort::Result<Vec<usize>> {
        let stated: Vec<i64> = context.get(name).ok_or_else(|| malformed(name))?;
        let numbers: Option<Vec<usize>> = stated.iter().map(|number| usize::try_from(*number).ok()).collect();
        numbers.filter(|numbers| numbers.len() == count).ok_or_else(|| malformed(name))
    };
    let (input, output) = (numbers("input_shape", 3)?, numbers("output_shape", 3)?);
    let (kernel, strides) = (numbers("kernel_shape", 2)?, numbers("strides", 2)?);
    let (dilations, begins) = (numbers("dilations", 2)?, numbers("pads", 2)?);
    let axis = |index: usize| Axis {
        input: input[index + 1],
        output: output[index + 1],
        kernel: kernel[index],
        stride: strides[index],
        dilation: dilations[index],
        begin: begins[index],
    };
    Ok(Geometry {
        channels: input[0],
        outputs: output[0],
        rows: axis(0),
        columns: axis(1),
        transposed: context.get::<i64>("transposed") == Some(1),
    })
}

fn compute(convolution: &Convolution, relu: bool, context: &ComputeContext) -> ort::Result<()> {
    let missing = || ort::Error::new("an input is missing");
    let x = context.input(0)?.ok_or_else(missing)?;
    let weights = context.input(1)?.ok_or_else(missing)?;
    let bias = context.input(2)?.ok_or_else(missing)?;
    let (residual, gate) = (context.input(3)?, context.input(4)?);
    let (shape, x) = x.try_extract_tensor::<f32>()?;
    let (blocking, weights) = weights.try_extract_tensor::<f32>()?;
    let (_, bias) = bias.try_extract_tensor::<f32>()?;
    let images = shape.last().and_then(|size| usize::try_from(*size).ok()).unwrap_or(0);
    let [inputs, outputs] = convolution.elements();
    let mut y = context.output(0, [outputs as i64, images as i64])?.ok_or_else(missing)?;
    let (_, y) = y.try_extract_tensor_mut::<f32>()?;
    let residual = residual.as_ref().map(|value| value.try_extract_tensor::<f32>()).transpose()?;
    let gate = gate.as_ref().map(|value| value.try_extract_tensor::<f32>()).transpose()?;
    let epilogue =
        Epilogue { residual: residual.map(|tensor| tensor.1), relu, gate: gate.map(|tensor| tensor.1) };
    let has_shape_of_output =
        |tensor: Option<&[f32]>| tensor.is_none_or(|tensor| tensor.len() == outputs * images);
    let block = blocking.last().and_then(|size| usize::try_from(*size).ok()).unwrap_or(0);
    let packed = Packed { weights, bias, block };
    let part = convolution.part(packed).ok_or_else(|| malformed("weights"))?;
    if x.len() != inputs * images || ![epilogue.residual, epilogue.gate].into_iter().all(has_shape_of_output)
    {
        return Err(ort::Error::new("the inputs do not have the sizes of the attributes"));
    }
    if images == 0 {
        return Ok(());
    }
    let parts = y.chunks_mut(outputs / convolution.outputs() * part * images);
    let count = parts.len();
    let weights = weights.chunks_exact(weights.len() / count).zip(bias.chunks_exact(bias.len() / count));
    let tasks: Vec<_> = parts.zip(weights).map(Mutex::new).collect();
    context.par_for(tasks.len(), 0, |index| {
        let mut task = tasks[index].lock().unwrap_or_else(PoisonError::into_inner);
        let (y, (weights, bias)) = &mut *task;
        let packed = Packed { weights, bias, block };
        convolution.compute(x, packed, index * part, images, epilogue, y);
    })
}
