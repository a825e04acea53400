//! CaiT (Touvron et al., arXiv 2103.17239; timm `cait.py`).
//!
//! The patches go through blocks with talking heads and LayerScale; then two class-attention blocks let the class token
//! read them and leave them as they are. The features are the class token after those, then the patches.
//!
//! Departures: none.

use super::layers::Layers;
use super::parameters::Parameters;
use super::weights::POSITIONS;
use super::{Network, vit};
use crate::error::Result;
use crate::graph::ValueId;

/// Class-attention blocks after the others.
const CLASS_BLOCKS: usize = 2;

/// The tensors of the encoder.
pub(super) fn parameters(network: &Network, list: &mut Parameters) {
    let architecture = &network.architecture;
    vit::patch_parameters(network, list);
    list.tensor("cls_token", &[1, 1, architecture.width]);
    list.tensor(POSITIONS, &[1, architecture.patches(), architecture.width]);
    for index in 0..architecture.depth {
        let block = format!("blocks.{index}");
        around(network, list, &block, |list| {
            list.linear(&format!("{block}.attn.qkv"), architecture.width, 3 * architecture.width);
            list.linear(&format!("{block}.attn.proj"), architecture.width, architecture.width);
            list.linear(&format!("{block}.attn.proj_l"), architecture.heads, architecture.heads);
            list.linear(&format!("{block}.attn.proj_w"), architecture.heads, architecture.heads);
        });
    }
    for index in 0..CLASS_BLOCKS {
        let block = format!("blocks_token_only.{index}");
        around(network, list, &block, |list| {
            for layer in ["q", "k", "v", "proj"] {
                list.linear(&format!("{block}.attn.{layer}"), architecture.width, architecture.width);
            }
        });
    }
}

/// What both kinds of blocks have around their attention.
fn around(network: &Network, list: &mut Parameters, block: &str, attention: impl FnOnce(&mut Parameters)) {
    let width = network.architecture.width;
    list.tensor(format!("{block}.gamma_1"), &[width]);
    list.tensor(format!("{block}.gamma_2"), &[width]);
    list.norm(&format!("{block}.norm1"), width);
    attention(list);
    list.norm(&format!("{block}.norm2"), width);
    list.mlp(&format!("{block}.mlp"), width, network.hidden());
}

/// `[N, C, S, S] → [N, 1 + L, D]`
pub(super) fn encode(layers: &mut Layers<'_>, images: ValueId) -> Result<ValueId> {
    let patches = vit::embed(layers, images)?;
    layers.enter("tokens");
    let positions = layers.weight(POSITIONS)?;
    let mut tokens = layers.op("Add", &[patches, positions], [])?; // [N, L, D]
    for index in 0..layers.network().architecture.depth {
        tokens = block(layers, tokens, index)?;
    }
    layers.enter("class_token");
    let class_token = layers.weight("cls_token")?;
    let mut class_token = layers.for_each_image(class_token, images)?; // [N, 1, D]
    for index in 0..CLASS_BLOCKS {
        class_token = class_block(layers, class_token, tokens, index)?;
    }
    layers.enter("tokens");
    layers.concat(&[class_token, tokens])
}

fn block(layers: &mut Layers<'_>, x: ValueId, index: usize) -> Result<ValueId> {
    let block = format!("blocks.{index}");
    let normed = layers.norm(x, &format!("{block}.norm1"))?;
    let attended = talking_heads(layers, normed, &format!("{block}.attn"))?;
    let x = add_scaled(layers, x, attended, &block, "gamma_1")?;
    mlp_branch(layers, x, &block)
}

fn mlp_branch(layers: &mut Layers<'_>, x: ValueId, block: &str) -> Result<ValueId> {
    let normed = layers.norm(x, &format!("{block}.norm2"))?;
    let mixed = layers.mlp(normed, &format!("{block}.mlp"))?;
    add_scaled(layers, x, mixed, block, "gamma_2")
}

/// `x + gamma·branch`
fn add_scaled(
    layers: &mut Layers<'_>,
    x: ValueId,
    branch: ValueId,
    block: &str,
    gamma: &str,
) -> Result<ValueId> {
    layers.enter(&format!("{block}.{gamma}"));
    let gamma = layers.weight(&format!("{block}.{gamma}"))?;
    let branch = layers.op("Mul", &[branch, gamma], [])?;
    layers.op("Add", &[x, branch], [])
}

/// Attention whose heads exchange scores before the softmax (`proj_l`) and weights after it (`proj_w`).
fn talking_heads(layers: &mut Layers<'_>, x: ValueId, layer: &str) -> Result<ValueId> {
    let patches = layers.network().architecture.patches();
    let qkv = layers.linear(x, &format!("{layer}.qkv"))?;
    layers.enter(layer);
    let parts = layers.split(qkv, 3)?;
    let scores = layers.scores(parts[0], parts[1], patches, patches)?; // [N, H, L, L]
    let scores = exchange(layers, scores, &format!("{layer}.proj_l"))?;
    layers.enter(layer);
    let weights = layers.softmax(scores)?;
    let weights = exchange(layers, weights, &format!("{layer}.proj_w"))?;
    layers.enter(layer);
    let values = layers.heads(parts[2], patches)?;
    let mixed = layers.op("MatMul", &[weights, values], [])?;
    let mixed = layers.join_heads(mixed, patches)?;
    layers.linear(mixed, &format!("{layer}.proj"))
}

/// A Linear over the axis of heads of `[N, H, L, L]`, as one product with `[H, L·L]`, which needs no transposed copy.
fn exchange(layers: &mut Layers<'_>, x: ValueId, layer: &str) -> Result<ValueId> {
    let (heads, patches) =
        (layers.network().architecture.heads as i64, layers.network().architecture.patches() as i64);
    layers.enter(layer);
    let weight = layers.weight(&format!("{layer}.weight"))?; // [H, H]
    let bias = layers.take(&format!("{layer}.bias"))?;
    let bias = bias.reshaped(vec![heads as usize, 1])?;
    let bias = layers.constant(&format!("{layer}.bias"), bias);
    let rows = layers.reshape(x, &[-1, heads, patches * patches])?;
    let mixed = layers.op("MatMul", &[weight, rows], [])?;
    let mixed = layers.op("Add", &[mixed, bias], [])?;
    layers.reshape(mixed, &[-1, heads, patches, patches])
}

/// A class-attention block: queries come from the class token alone, and only the class token is updated.
fn class_block(
    layers: &mut Layers<'_>,
    class_token: ValueId,
    patches: ValueId,
    index: usize,
) -> Result<ValueId> {
    let block = format!("blocks_token_only.{index}");
    layers.enter(&block);
    let tokens = layers.concat(&[class_token, patches])?;
    let normed = layers.norm(tokens, &format!("{block}.norm1"))?;
    let attended = class_attention(layers, normed, &format!("{block}.attn"))?;
    let class_token = add_scaled(layers, class_token, attended, &block, "gamma_1")?;
    mlp_branch(layers, class_token, &block)
}

/// Attention from the first token to all: `[N, 1 + L, D] → [N, 1, D]`.
fn class_attention(layers: &mut Layers<'_>, x: ValueId, layer: &str) -> Result<ValueId> {
    let tokens = layers.network().tokens();
    layers.enter(layer);
    let first = layers.slice(x, 0, 1)?;
    let q = layers.linear(first, &format!("{layer}.q"))?;
    let k = layers.linear(x, &format!("{layer}.k"))?;
    let v = layers.linear(x, &format!("{layer}.v"))?;
    layers.enter(layer);
    let scores = layers.scores(q, k, 1, tokens)?; // [N, H, 1, T]
    let weights = layers.softmax(scores)?;
    let values = layers.heads(v, tokens)?;
    let mixed = layers.op("MatMul", &[weights, values], [])?;
    let mixed = layers.join_heads(mixed, 1)?;
    layers.linear(mixed, &format!("{layer}.proj"))
}
