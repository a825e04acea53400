//! The gradient of MaxPool, in tasks of a few channels.

use std::sync::{Mutex, PoisonError};

use mimir_bundle::kernels::MAX_POOL_GRADIENT;
use ort::operator::{BoxedKernel, ComputeContext, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType;

use super::task::ELEMENTS_PER_TASK;
use crate::session::kernels::{PoolAxis, PoolWindows, max_pool_gradient};

pub(super) struct MaxPoolGradient;

impl Operator for MaxPoolGradient {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        MAX_POOL_GRADIENT
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        std::iter::repeat_with(|| OperatorInput::required(TensorElementType::Float32)).take(3)
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<BoxedKernel<'attr>> {
        let numbers = |name: &str| -> ort::Result<Vec<usize>> {
            let stated: Vec<i64> = context.get(name).ok_or_else(|| malformed(name))?;
            stated.iter().map(|number| usize::try_from(*number).map_err(|_| malformed(name))).collect()
        };
        let attributes = Attributes {
            kernel: numbers("kernel_shape")?,
            strides: numbers("strides")?,
            dilations: numbers("dilations")?,
            begins: numbers("pads")?,
        };
        Ok(Box::new(move |context: &ComputeContext| compute(&attributes, context)))
    }
}

fn malformed(name: &str) -> ort::Error {
    ort::Error::new(format!("{MAX_POOL_GRADIENT}: `{name}` is missing or does not fit"))
}

/// One number for each spatial axis.
struct Attributes {
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    begins: Vec<usize>,
}

impl Attributes {
    /// The windows over images `[N, C, …]`, of which there are `[N, C, …]`.
    fn windows(&self, x: &[i64], y: &[i64]) -> Option<PoolWindows> {
        let axis = |index: usize| {
            Some(PoolAxis {
                input: usize::try_from(*x.get(index + 2)?).ok()?,
                output: usize::try_from(*y.get(index + 2)?).ok()?,
                kernel: *self.kernel.get(index)?,
                stride: *self.strides.get(index)?,
                dilation: *self.dilations.get(index)?,
                begin: *self.begins.get(index)?,
            })
        };
        let axes: Option<Vec<PoolAxis>> = (0..x.len().checked_sub(2)?).map(axis).collect();
        PoolWindows::new(&axes?)
    }
}

/// One task: some channels.
struct Task<'a> {
    x: &'a [f32],
    y: &'a [f32],
    g: &'a [f32],
    dx: &'a mut [f32],
}

fn compute(attributes: &Attributes, context: &ComputeContext) -> ort::Result<()> {
    let missing = || ort::Error::new("an input is missing");
    let [x, y, g] = [context.input(0)?, context.input(1)?, context.input(2)?];
    let (x, y, g) = (x.ok_or_else(missing)?, y.ok_or_else(missing)?, g.ok_or_else(missing)?);
    let (shape, x) = x.try_extract_tensor::<f32>()?;
    let (windows, y) = y.try_extract_tensor::<f32>()?;
    let (_, g) = g.try_extract_tensor::<f32>()?;
    let mut output = context.output(0, shape.to_vec())?.ok_or_else(missing)?;
    let (_, dx) = output.try_extract_tensor_mut::<f32>()?;
    if x.is_empty() {
        return Ok(());
    }
    let windows = attributes.windows(shape, windows).ok_or_else(|| malformed("kernel_shape"))?;
    let channels = x.len() / windows.input();
    if y.len() != channels * windows.output() || g.len() != y.len() {
        return Err(ort::Error::new("the inputs do not have the same windows"));
    }
    let some = (ELEMENTS_PER_TASK / windows.input()).max(1);
    let inputs = x.chunks(some * windows.input()).zip(dx.chunks_mut(some * windows.input()));
    let outputs = y.chunks(some * windows.output()).zip(g.chunks(some * windows.output()));
    let tasks: Vec<Mutex<Task>> =
        inputs.zip(outputs).map(|((x, dx), (y, g))| Mutex::new(Task { x, y, g, dx })).collect();
    context.par_for(tasks.len(), 0, |index| {
        let mut task = tasks[index].lock().unwrap_or_else(PoisonError::into_inner);
        let Task { x, y, g, dx } = &mut *task;
        max_pool_gradient(&windows, x, y, g, dx);
    })
}
