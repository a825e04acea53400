//! From weights to a graph.

use mimir_bundle::architecture::{Family, Pooling};
use mimir_bundle::{Normalisation, tensor_names};

use super::checkpoint::Checkpoint;
use super::description::norm_name;
use super::layers::Layers;
use super::weights::Weights;
use super::{Network, cait, convit, random, vit};
use crate::error::{Error, Result};
use crate::graph::{Builder, Dim, Graph, Shape, TensorType, ValueId};
use crate::normalisation;
use crate::tensor::{DataType, Tensor};

/// The opset that is written unless another is asked for: the first one with a Gelu operator.
pub const DEFAULT_OPSET: u32 = 20;

/// Opsets that can be written. LayerNormalization came with 17.
pub const BUILT_OPSETS: std::ops::RangeInclusive<u32> = 17..=23;

/// How a graph is written.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildOptions {
    /// Opset of the graph, in [`BUILT_OPSETS`].
    pub opset: u32,
    /// What to do to pixels in `[0, 1]` inside the graph; none leaves it to whoever runs it.
    pub normalisation: Option<Normalisation>,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self { opset: DEFAULT_OPSET, normalisation: None }
    }
}

/// The network with the weights of the checkpoint: from `images` `[N, C, S, S]` to `logits` `[N, K]`, both float32.
/// The tokens before the head are inside under the name [`tensor_names::FEATURES`].
///
/// # Errors
/// One that lists every tensor that is too many, missing, of another shape or of another type; sizes, an opset or a
/// normalisation that do not fit.
pub fn build(checkpoint: Checkpoint, network: &Network, options: &BuildOptions) -> Result<Graph> {
    network.check()?;
    assemble(Weights::of(checkpoint, network)?, network, options)
}

/// The same with weights drawn from `seed`.
///
/// # Errors
/// Sizes, an opset or a normalisation that do not fit.
pub fn build_random(network: &Network, seed: u64, options: &BuildOptions) -> Result<Graph> {
    network.check()?;
    assemble(random::drawn(network, seed), network, options)
}

fn assemble(weights: Weights, network: &Network, options: &BuildOptions) -> Result<Graph> {
    if !BUILT_OPSETS.contains(&options.opset) {
        let (oldest, newest) = BUILT_OPSETS.into_inner();
        return Err(Error::unsupported(format!("opset {}; wanted {oldest} to {newest}", options.opset)));
    }
    let architecture = &network.architecture;
    let mut graph = Graph::new(architecture.family.name(), options.opset);
    let side = Dim::Fixed(architecture.image_size);
    let shape = Shape(vec![Dim::N, Dim::Fixed(network.channels), side, side]);
    let images =
        graph.add_value(tensor_names::IMAGES, Some(TensorType { dtype: DataType::Float32, shape }))?;
    graph.add_input(images);
    let mut layers = Layers::new(Builder::new(&mut graph, "normalisation"), weights, *network);
    let pixels = normalise(&mut layers, images, options.normalisation.as_ref())?;
    let features = match architecture.family {
        Family::Vit | Family::VitConvStem => vit::encode(&mut layers, pixels)?,
        Family::Convit => convit::encode(&mut layers, pixels)?,
        Family::Cait => cait::encode(&mut layers, pixels)?,
    };
    let logits = head(&mut layers, features)?;
    graph.rename(features, tensor_names::FEATURES)?;
    graph.rename(logits, tensor_names::LOGITS)?;
    graph.add_output(logits);
    Ok(graph)
}

fn normalise(layers: &mut Layers<'_>, images: ValueId, wanted: Option<&Normalisation>) -> Result<ValueId> {
    let Some(wanted) = wanted else { return Ok(images) };
    normalisation::check(wanted, layers.network().channels)?;
    normalisation::steps(wanted).into_iter().try_fold(images, |x, step| {
        let operand = Tensor::from_f32(&[1, step.values.len(), 1, 1], &step.values);
        let operand = layers.constant("normalisation/constant", operand);
        layers.op(step.operator, &[x, operand], [])
    })
}

/// `[N, T, D] → [N, K]`. Normalisation acts on each token alone, so the class token is taken before it.
fn head(layers: &mut Layers<'_>, tokens: ValueId) -> Result<ValueId> {
    let network = layers.network();
    layers.enter("pool");
    let pooled = match network.pooling {
        Pooling::ClassToken => layers.token(tokens, 0)?,
        Pooling::Mean => {
            let patches = layers.slice(tokens, 1, network.tokens())?;
            layers.mean(patches, network.tokens() - 1)?
        }
    };
    let normed = layers.norm(pooled, norm_name(network.pooling))?;
    layers.enter("head");
    let weight = layers.weight("head.weight")?;
    let bias = layers.weight("head.bias")?;
    layers.op("Gemm", &[normed, weight, bias], [("transB", 1.into())])
}
