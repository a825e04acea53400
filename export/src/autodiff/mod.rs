//! Reverse-mode automatic differentiation, `Graph → Graph`.
//!
//! [`differentiate`] copies a classifier's forward graph and appends nodes that compute the gradient of a scalar per
//! image with respect to the images. The result is an ordinary ONNX graph: any runtime evaluates it, and one run
//! costs one forward and one backward pass.
//!
//! In the order of the data:
//! - `losses` appends a loss with its inputs, and says which cotangent the logits start with;
//! - `activity` finds the values that carry gradient from the logits to the images, and explains a cut path;
//! - `sweep` walks the nodes backwards and asks the rule of each operator ([`operators`](crate::operators)) for its
//!   contributions;
//! - `operators::gradient::ledger` keeps the contributions to each value and adds them up, or tiles them where they are
//!   slices;
//! - `operators::gradient::step` is what one rule sees.
//!
//! Words: the *cotangent* of a value `v` is `∂L/∂v`, of the same shape as `v`. Gradients of constants are never
//! computed.

mod activity;
mod catalogue;
mod kernels;
mod losses;
mod sweep;
#[cfg(test)]
pub(crate) mod testing;

pub(crate) use activity::{carrying_values, needed_values};
pub use catalogue::{Operator, operators};
pub use kernels::Kernels;

use mimir_bundle::{Loss, tensor_names};

use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Builder, Graph, ValueId};
pub use crate::operators::gradient::GradientKind;
use crate::tensor::DataType;

/// Lowest opset whose operator forms the rules know: from 18 on every axis argument is an input.
const LOWEST_OPSET: u32 = 18;

/// The gradient graph of a classifier.
///
/// `forward` is in topological order, typed by [`crate::shape`], at opset 18 or newer, and has one input (the images,
/// `[N, …]`) and the logits `[N, K]` as its first output. The result has the input `images` and those that [`Loss`] lists,
/// and the outputs `logits`, `loss` where the graph computes it, `images_gradient`, and further outputs of `forward`; `N` stays dynamic where it is.
/// `kernels` says whether operators of our own may be in it.
///
/// # Errors
/// - [`ErrorKind::NotAClassifier`] when inputs and outputs are not as above;
/// - [`ErrorKind::Unsupported`] when an operator between images and logits has no rule, naming node and operator;
/// - [`ErrorKind::NoGradient`] when every path from the images to the logits is cut, naming the nodes that cut it;
/// - [`ErrorKind::Shape`] when a value on the way has no known shape.
pub fn differentiate(forward: &Graph, loss: Loss, kernels: Kernels) -> Result<Graph> {
    check_opset(forward)?;
    let images = sole_input(forward.inputs())?;
    let (logits, further) = logits_and_further(forward.outputs())?;
    let mut graph = forward.clone();
    graph.rename(images, tensor_names::IMAGES)?;
    graph.rename(logits, tensor_names::LOGITS)?;
    let (value, seed) = losses::append(&mut graph, loss, logits)?;
    let gradient = match graph.find(tensor_names::RADIUS) {
        Some(radius) if loss.is_relaxed() => {
            sweep::pull_back_relaxed(&mut graph, [images, radius], logits, seed)?
        }
        _ => sweep::pull_back(&mut graph, images, logits, seed)?,
    };
    let named = Builder::new(&mut graph, "gradient").op("Identity", &[gradient])?;
    graph.rename(named, tensor_names::IMAGES_GRADIENT)?;
    let outputs = [Some(logits), value, Some(named)].into_iter().flatten();
    graph.set_outputs(outputs.chain(further.iter().copied()).collect());
    if kernels == Kernels::Standard {
        kernels::lower(&mut graph)?;
    }
    graph.prune();
    Ok(graph)
}

/// The gradient graph of a classifier that is cut open at a tensor inside, where a cotangent enters beside that of the logits.
///
/// `forward` is as for [`differentiate`], and its last output are the values of the tensor, `[N, F]`. The result has the
/// inputs `images`, `cotangent` `[N, K]` and `features_cotangent` `[N, F]`, and the outputs `logits`, `images_gradient` and
/// those of `forward` between its first and its last; the gradient is that of `Σ_k cotangent_k · logits_k + Σ_j
/// features_cotangent_j · features_j`.
///
/// # Errors
/// As [`differentiate`], for both outputs.
pub fn differentiate_cut_open(forward: &Graph, kernels: Kernels) -> Result<Graph> {
    check_opset(forward)?;
    let images = sole_input(forward.inputs())?;
    let (logits, further) = logits_and_further(forward.outputs())?;
    let Some((features, further)) = further.split_last() else {
        return Err(Error::new(ErrorKind::NotAClassifier, "the graph has one output, wanted features too"));
    };
    let mut graph = forward.clone();
    graph.rename(images, tensor_names::IMAGES)?;
    graph.rename(logits, tensor_names::LOGITS)?;
    let mut seeds = Vec::with_capacity(2);
    for (output, name) in [(logits, tensor_names::COTANGENT), (*features, tensor_names::FEATURES_COTANGENT)] {
        activity::active_values(&graph, images, output)?;
        let tensor_type = graph.tensor_type(output)?.clone();
        let seed = graph.add_value(name, Some(tensor_type))?;
        graph.add_input(seed);
        seeds.push((output, seed));
    }
    let gradient = sweep::pull_back_all(&mut graph, &[images], &seeds)?.remove(0);
    let named = Builder::new(&mut graph, "gradient").op("Identity", &[gradient])?;
    graph.rename(named, tensor_names::IMAGES_GRADIENT)?;
    graph.set_outputs([logits, named].into_iter().chain(further.iter().copied()).collect());
    if kernels == Kernels::Standard {
        kernels::lower(&mut graph)?;
    }
    graph.prune();
    Ok(graph)
}

/// The graph of products of vectors with the Jacobian matrices of any function, not only of classifiers.
///
/// `forward` is in topological order, typed by [`crate::shape`], at opset 18 or newer, with any number of inputs and
/// outputs of any fixed or batched shapes. `wanted` are some of its inputs, of type `float`. The result has the inputs
/// of `forward`, and for each `float` output `y` an input `cotangent_y` of its shape; its outputs are `gradient_x` for
/// each wanted input `x`, in their order: `Σ_y (∂y/∂x)ᵀ · cotangent_y`, of the shape of `x`.
///
/// # Errors
/// - [`ErrorKind::Unsupported`] when an operator between a wanted input and the outputs has no rule, naming node and
///   operator;
/// - [`ErrorKind::NoGradient`] when every path from a wanted input to the outputs is cut, naming the nodes that cut it;
/// - [`ErrorKind::NotAClassifier`] when no output depends on a wanted input, or there is no `float` output;
/// - [`ErrorKind::Shape`] when a value on the way has no known shape;
/// - [`ErrorKind::Format`] when a name that the result needs is taken.
pub fn vector_jacobian_product(forward: &Graph, wanted: &[ValueId]) -> Result<Graph> {
    check_opset(forward)?;
    let mut graph = forward.clone();
    let mut seeds = Vec::with_capacity(forward.outputs().len());
    for output in forward.outputs() {
        let tensor_type = forward.tensor_type(*output)?.clone();
        if tensor_type.dtype == DataType::Float32 {
            let name = format!("cotangent_{}", forward.value(*output).name);
            let seed = graph.add_value(&name, Some(tensor_type))?;
            graph.add_input(seed);
            seeds.push((*output, seed));
        }
    }
    let cotangents = sweep::pull_back_all(&mut graph, wanted, &seeds)?;
    let mut gradients = Vec::with_capacity(wanted.len());
    for (input, cotangent) in wanted.iter().zip(cotangents) {
        let name = format!("gradient_{}", forward.value(*input).name);
        // An output must be produced by a node, and its name comes from the prefix.
        let gradient = Builder::new(&mut graph, &name).op("Identity", &[cotangent])?;
        graph.rename(gradient, &name)?;
        gradients.push(gradient);
    }
    graph.set_outputs(gradients);
    kernels::lower(&mut graph)?;
    graph.prune();
    Ok(graph)
}

fn check_opset(forward: &Graph) -> Result<()> {
    if forward.opset < LOWEST_OPSET {
        return Err(Error::unsupported(format!(
            "opset {} cannot be differentiated directly: upgrade the graph to opset {LOWEST_OPSET} or newer first",
            forward.opset
        )));
    }
    Ok(())
}

fn sole_input(inputs: &[ValueId]) -> Result<ValueId> {
    match inputs {
        [images] => Ok(*images),
        _ => Err(Error::new(
            ErrorKind::NotAClassifier,
            format!("the graph has {} inputs, wanted one: images", inputs.len()),
        )),
    }
}

fn logits_and_further(outputs: &[ValueId]) -> Result<(ValueId, &[ValueId])> {
    match outputs {
        [logits, further @ ..] => Ok((*logits, further)),
        [] => Err(Error::new(ErrorKind::NotAClassifier, "the graph has no outputs, wanted logits")),
    }
}

#[cfg(test)]
mod tests;
