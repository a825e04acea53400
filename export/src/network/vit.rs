//! ViT (Dosovitskiy et al., arXiv 2010.11929; timm `vision_transformer.py`), behind a patch convolution or the
//! convolutional stem.
//!
//! Departures: none. The class token is the first; positions are added to it too.

use mimir_bundle::architecture::Family;

use super::layers::{ConvGeometry, Layers};
use super::parameters::Parameters;
use super::weights::POSITIONS;
use super::{Network, conv_stem};
use crate::error::Result;
use crate::graph::ValueId;

/// The tensors of the encoder.
pub(super) fn parameters(network: &Network, list: &mut Parameters) {
    let architecture = &network.architecture;
    match architecture.family {
        Family::VitConvStem => conv_stem::parameters(network, list),
        Family::Vit | Family::Convit | Family::Cait => patch_parameters(network, list),
    }
    list.tensor("cls_token", &[1, 1, architecture.width]);
    list.tensor(POSITIONS, &[1, network.tokens(), architecture.width]);
    (0..architecture.depth).for_each(|index| block_parameters(network, list, index, true));
}

/// Those of the patch convolution.
pub(super) fn patch_parameters(network: &Network, list: &mut Parameters) {
    let architecture = &network.architecture;
    list.conv("patch_embed.proj", network.channels, architecture.width, architecture.patch_size);
}

/// Those of a block with plain attention.
pub(super) fn block_parameters(network: &Network, list: &mut Parameters, index: usize, qkv_bias: bool) {
    let (width, block) = (network.architecture.width, format!("blocks.{index}"));
    list.norm(&format!("{block}.norm1"), width);
    match qkv_bias {
        true => list.linear(&format!("{block}.attn.qkv"), width, 3 * width),
        false => list.linear_without_bias(&format!("{block}.attn.qkv"), width, 3 * width),
    }
    list.linear(&format!("{block}.attn.proj"), width, width);
    list.norm(&format!("{block}.norm2"), width);
    list.mlp(&format!("{block}.mlp"), width, network.hidden());
}

/// `[N, C, S, S] → [N, T, D]`
pub(super) fn encode(layers: &mut Layers<'_>, images: ValueId) -> Result<ValueId> {
    let network = layers.network();
    let patches = match network.architecture.family {
        Family::VitConvStem => conv_stem::embed(layers, images)?,
        Family::Vit | Family::Convit | Family::Cait => embed(layers, images)?,
    };
    layers.enter("tokens");
    let class_token = layers.weight("cls_token")?;
    let class_token = layers.for_each_image(class_token, images)?; // [N, 1, D]
    let tokens = layers.concat(&[class_token, patches])?;
    let positions = layers.weight(POSITIONS)?;
    let mut tokens = layers.op("Add", &[tokens, positions], [])?;
    for index in 0..network.architecture.depth {
        tokens = block(layers, tokens, index)?;
    }
    Ok(tokens)
}

/// Patches of the image, each by itself: `[N, C, S, S] → [N, L, D]`.
pub(super) fn embed(layers: &mut Layers<'_>, images: ValueId) -> Result<ValueId> {
    let stride = layers.network().architecture.patch_size;
    let patches = layers.conv(images, "patch_embed.proj", ConvGeometry { stride, padding: 0 })?;
    layers.flatten(patches)
}

/// A block with plain attention over the class token and the patches.
pub(super) fn block(layers: &mut Layers<'_>, x: ValueId, index: usize) -> Result<ValueId> {
    let block = format!("blocks.{index}");
    let normed = layers.norm(x, &format!("{block}.norm1"))?;
    let attended = attention(layers, normed, &format!("{block}.attn"))?;
    layers.enter(&block);
    let x = layers.op("Add", &[x, attended], [])?;
    mlp_branch(layers, x, &block)
}

/// `x + mlp(norm2(x))`
pub(super) fn mlp_branch(layers: &mut Layers<'_>, x: ValueId, block: &str) -> Result<ValueId> {
    let normed = layers.norm(x, &format!("{block}.norm2"))?;
    let mixed = layers.mlp(normed, &format!("{block}.mlp"))?;
    layers.enter(block);
    layers.op("Add", &[x, mixed], [])
}

/// `projection(softmax(q·kᵀ/√d)·v)`
fn attention(layers: &mut Layers<'_>, x: ValueId, layer: &str) -> Result<ValueId> {
    let tokens = layers.network().tokens();
    let qkv = layers.linear(x, &format!("{layer}.qkv"))?; // [N, T, 3·D]
    layers.enter(layer);
    let parts = layers.split(qkv, 3)?;
    let scores = layers.scores(parts[0], parts[1], tokens, tokens)?; // [N, H, T, T]
    let weights = layers.softmax(scores)?;
    let values = layers.heads(parts[2], tokens)?; // [N, H, T, d]
    let mixed = layers.op("MatMul", &[weights, values], [])?;
    let mixed = layers.join_heads(mixed, tokens)?;
    layers.linear(mixed, &format!("{layer}.proj"))
}
