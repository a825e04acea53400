//! Attention and its gradient, in tasks of some images.

use std::sync::{Mutex, PoisonError};

use mimir_bundle::kernels::{ATTENTION, ATTENTION_GRADIENT, HEADS, TOKENS};
use ort::operator::{BoxedKernel, ComputeContext, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType;

use super::task::ELEMENTS_PER_TASK;
use crate::session::kernels::{self, Heads, Tokens};

pub(super) struct Attention;

impl Operator for Attention {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        ATTENTION
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        let float = TensorElementType::Float32;
        [OperatorInput::required(float), OperatorInput::optional(float)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        let float = TensorElementType::Float32;
        [OperatorOutput::required(float), OperatorOutput::optional(float)]
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<BoxedKernel<'attr>> {
        let attributes = Attributes::of(context).ok_or_else(|| malformed(ATTENTION))?;
        Ok(Box::new(move |context: &ComputeContext| compute(attributes, context)))
    }
}

pub(super) struct AttentionGradient;

impl Operator for AttentionGradient {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        ATTENTION_GRADIENT
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        let float = TensorElementType::Float32;
        let required = std::iter::repeat_with(move || OperatorInput::required(float)).take(3);
        required.chain([OperatorInput::optional(float)])
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        let float = TensorElementType::Float32;
        [OperatorOutput::required(float), OperatorOutput::optional(float)]
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<BoxedKernel<'attr>> {
        let attributes = Attributes::of(context).ok_or_else(|| malformed(ATTENTION_GRADIENT))?;
        Ok(Box::new(move |context: &ComputeContext| compute_gradient(attributes, context)))
    }
}

fn malformed(operator: &str) -> ort::Error {
    ort::Error::new(format!("{operator}: attributes and inputs do not fit"))
}

fn missing() -> ort::Error {
    ort::Error::new("a tensor is missing")
}

#[derive(Debug, Clone, Copy)]
struct Attributes {
    heads: usize,
    /// Of an image.
    queries: usize,
    keys: usize,
}

impl Attributes {
    fn of(context: &KernelContext) -> Option<Self> {
        let positive = |number: i64| usize::try_from(number).ok().filter(|number| *number > 0);
        let tokens: Vec<i64> = context.get(TOKENS)?;
        let &[queries, keys] = &tokens[..] else { return None };
        let heads = positive(context.get::<i64>(HEADS)?)?;
        Some(Self { heads, queries: positive(queries)?, keys: positive(keys)? })
    }

    /// Sizes of an image, and how many images there are, where the numbers of the tensors fit.
    fn sizes(self, tokens: &Tokens<&[f32]>, first_shape: &[i64]) -> Option<(Heads, usize)> {
        let Self { heads, queries, keys } = self;
        let &[rows, columns] = first_shape else { return None };
        let images = usize::try_from(rows).ok()? / queries;
        let parts = if matches!(tokens, Tokens::Packed(_)) { 3 * heads } else { heads };
        let width = usize::try_from(columns).ok()? / parts;
        let heads = Heads { heads, width, queries, keys };
        let fits = width > 0
            && match tokens {
                Tokens::Packed(all) => queries == keys && all.len() == 3 * heads.of_keys() * images,
                Tokens::Apart(queries, others) => {
                    queries.len() == heads.of_queries() * images
                        && others.len() == 2 * heads.of_keys() * images
                }
            };
        fits.then_some((heads, images))
    }
}

/// Images of one task.
fn images_per_task(heads: Heads) -> usize {
    (ELEMENTS_PER_TASK / (heads.of_queries() + 2 * heads.of_keys())).max(1)
}

/// Images of a task, one after the other.
fn split<'a>(heads: Heads, tokens: &Tokens<&'a [f32]>, some: usize) -> Vec<Tokens<&'a [f32]>> {
    match tokens {
        Tokens::Packed(all) => all.chunks(3 * heads.of_keys() * some).map(Tokens::Packed).collect(),
        Tokens::Apart(queries, others) => {
            let others = others.chunks(2 * heads.of_keys() * some);
            let pairs = queries.chunks(heads.of_queries() * some).zip(others);
            pairs.map(|(queries, others)| Tokens::Apart(queries, others)).collect()
        }
    }
}

fn split_mut(heads: Heads, tokens: Tokens<&mut [f32]>, some: usize) -> Vec<Tokens<&mut [f32]>> {
    match tokens {
        Tokens::Packed(all) => all.chunks_mut(3 * heads.of_keys() * some).map(Tokens::Packed).collect(),
        Tokens::Apart(queries, others) => {
            let others = others.chunks_mut(2 * heads.of_keys() * some);
            let pairs = queries.chunks_mut(heads.of_queries() * some).zip(others);
            pairs.map(|(queries, others)| Tokens::Apart(queries, others)).collect()
        }
    }
}

/// One task: some images.
struct Task<'a> {
    tokens: Tokens<&'a [f32]>,
    averages: &'a mut [f32],
    /// Empty where nobody wants them.
    probabilities: &'a mut [f32],
}

fn compute(attributes: Attributes, context: &ComputeContext) -> ort::Result<()> {
    let first = context.input(0)?.ok_or_else(missing)?;
    let second = if context.num_inputs()? > 1 { context.input(1)? } else { None };
    let (shape, first) = first.try_extract_tensor::<f32>()?;
    let tokens = match &second {
        Some(others) => Tokens::Apart(first, others.try_extract_tensor::<f32>()?.1),
        None => Tokens::Packed(first),
    };
    let (heads, images) = attributes.sizes(&tokens, shape).ok_or_else(|| malformed(ATTENTION))?;
    let rows = shape[0];
    let wide = |size: usize| vec![rows, (size / heads.queries) as i64];
    let mut averages = context.output(0, wide(heads.of_queries()))?.ok_or_else(missing)?;
    let mut probabilities =
        if context.num_outputs()? > 1 { context.output(1, wide(heads.of_probabilities()))? } else { None };
    let (_, averages) = averages.try_extract_tensor_mut::<f32>()?;
    let probabilities = match &mut probabilities {
        Some(probabilities) => probabilities.try_extract_tensor_mut::<f32>()?.1,
        None => &mut [],
    };
    if images == 0 {
        return Ok(());
    }
    let some = images_per_task(heads);
    let mut kept = probabilities.chunks_mut(heads.of_probabilities() * some);
    let parts = split(heads, &tokens, some).into_iter().zip(averages.chunks_mut(heads.of_queries() * some));
    let tasks: Vec<Mutex<Task>> = parts
        .map(|(tokens, averages)| {
            Mutex::new(Task { tokens, averages, probabilities: kept.next().unwrap_or_default() })
        })
        .collect();
    context.par_for(tasks.len(), 0, |index| {
        let mut task = tasks[index].lock().unwrap_or_else(PoisonError::into_inner);
        let Task { tokens, averages, probabilities } = &mut *task;
        kernels::attention(heads, tokens, averages, probabilities);
    })
}

/// One task of the gradient: some images.
struct GradientTask<'a> {
    g: &'a [f32],
    probabilities: &'a [f32],
    tokens: Tokens<&'a [f32]>,
    gradients: Tokens<&'a mut [f32]>,
}

fn compute_gradient(attributes: Attributes, context: &ComputeContext) -> ort::Result<()> {
    let [g, probabilities, first] = [context.input(0)?, context.input(1)?, context.input(2)?];
    let (g, probabilities) = (g.ok_or_else(missing)?, probabilities.ok_or_else(missing)?);
    let (first, second) =
        (first.ok_or_else(missing)?, if context.num_inputs()? > 3 { context.input(3)? } else { None });
    let (_, g) = g.try_extract_tensor::<f32>()?;
    let (_, probabilities) = probabilities.try_extract_tensor::<f32>()?;
    let (shape, first) = first.try_extract_tensor::<f32>()?;
    let second = second.as_ref().map(|others| others.try_extract_tensor::<f32>()).transpose()?;
    let tokens = match second {
        Some((_, others)) => Tokens::Apart(first, others),
        None => Tokens::Packed(first),
    };
    let (heads, images) = attributes.sizes(&tokens, shape).ok_or_else(|| malformed(ATTENTION_GRADIENT))?;
    if g.len() != heads.of_queries() * images || probabilities.len() != heads.of_probabilities() * images {
        return Err(malformed(ATTENTION_GRADIENT));
    }
    let mut by_first = context.output(0, shape.to_vec())?.ok_or_else(missing)?;
    let mut by_second = match second {
        Some((shape, _)) => Some(context.output(1, shape.to_vec())?.ok_or_else(missing)?),
        None => None,
    };
    let (_, by_first) = by_first.try_extract_tensor_mut::<f32>()?;
    let gradients = match &mut by_second {
        Some(by_second) => Tokens::Apart(by_first, by_second.try_extract_tensor_mut::<f32>()?.1),
        None => Tokens::Packed(by_first),
    };
    if images == 0 {
        return Ok(());
    }
    let some = images_per_task(heads);
    let cotangents =
        g.chunks(heads.of_queries() * some).zip(probabilities.chunks(heads.of_probabilities() * some));
    let parts = split(heads, &tokens, some).into_iter().zip(split_mut(heads, gradients, some));
    let tasks: Vec<Mutex<GradientTask>> = cotangents
        .zip(parts)
        .map(|((g, probabilities), (tokens, gradients))| {
            Mutex::new(GradientTask { g, probabilities, tokens, gradients })
        })
        .collect();
    context.par_for(tasks.len(), 0, |index| {
        let mut task = tasks[index].lock().unwrap_or_else(PoisonError::into_inner);
        let GradientTask { g, probabilities, tokens, gradients } = &mut *task;
        kernels::attention_gradient(heads, g, probabilities, tokens, gradients);
    })
}
