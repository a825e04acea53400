//! ConViT (d'Ascoli et al., arXiv 2103.10697; timm `convit.py`).
//!
//! All blocks but the last two mix attention by content with attention by position over the patches; the class token
//! joins before the last two, which have plain attention. `qk`, `v` and `qkv` have no bias.
//!
//! Attention by position depends on the weights alone, so it is computed here, in float64, and stored as a constant
//! `[1, H, L, L]` already multiplied by the gate. Departure from timm: the mix is not divided by the sum of its rows,
//! which is 1 up to rounding.

use mimir_bundle::architecture::CONVIT_PLAIN_BLOCKS;

use super::layers::Layers;
use super::parameters::Parameters;
use super::weights::POSITIONS;
use super::{Network, vit};
use crate::error::{Error, Result};
use crate::graph::ValueId;
use crate::tensor::Tensor;

/// Numbers that describe the offset of a patch to another: dx, dy, dx² + dy².
const OFFSETS: usize = 3;

/// The tensors of the encoder.
pub(super) fn parameters(network: &Network, list: &mut Parameters) {
    let architecture = &network.architecture;
    vit::patch_parameters(network, list);
    list.tensor("cls_token", &[1, 1, architecture.width]);
    list.tensor(POSITIONS, &[1, architecture.patches(), architecture.width]);
    for index in 0..architecture.depth {
        match index < architecture.depth - CONVIT_PLAIN_BLOCKS {
            true => positional_parameters(network, list, index),
            false => vit::block_parameters(network, list, index, false),
        }
    }
}

fn positional_parameters(network: &Network, list: &mut Parameters, index: usize) {
    let (width, heads) = (network.architecture.width, network.architecture.heads);
    let block = format!("blocks.{index}");
    list.norm(&format!("{block}.norm1"), width);
    list.linear_without_bias(&format!("{block}.attn.qk"), width, 2 * width);
    list.linear_without_bias(&format!("{block}.attn.v"), width, width);
    list.linear(&format!("{block}.attn.proj"), width, width);
    list.linear(&format!("{block}.attn.pos_proj"), OFFSETS, heads);
    list.tensor(format!("{block}.attn.gating_param"), &[heads]);
    list.norm(&format!("{block}.norm2"), width);
    list.mlp(&format!("{block}.mlp"), width, network.hidden());
}

/// `[N, C, S, S] → [N, 1 + L, D]`
pub(super) fn encode(layers: &mut Layers<'_>, images: ValueId) -> Result<ValueId> {
    let architecture = layers.network().architecture;
    let patches = vit::embed(layers, images)?;
    layers.enter("tokens");
    let positions = layers.weight(POSITIONS)?;
    let mut tokens = layers.op("Add", &[patches, positions], [])?; // [N, L, D]
    let first_plain = architecture.depth - CONVIT_PLAIN_BLOCKS;
    for index in 0..first_plain {
        tokens = positional_block(layers, tokens, index)?;
    }
    layers.enter("class_token");
    let class_token = layers.weight("cls_token")?;
    let class_token = layers.for_each_image(class_token, images)?;
    tokens = layers.concat(&[class_token, tokens])?;
    for index in first_plain..architecture.depth {
        tokens = vit::block(layers, tokens, index)?;
    }
    Ok(tokens)
}

fn positional_block(layers: &mut Layers<'_>, x: ValueId, index: usize) -> Result<ValueId> {
    let block = format!("blocks.{index}");
    let normed = layers.norm(x, &format!("{block}.norm1"))?;
    let attended = positional_attention(layers, normed, &format!("{block}.attn"))?;
    layers.enter(&block);
    let x = layers.op("Add", &[x, attended], [])?;
    vit::mlp_branch(layers, x, &block)
}

/// `projection(((1 - g)·softmax(q·kᵀ/√d) + g·P)·v)`, `g` the gate of a head and `P` its attention by position.
fn positional_attention(layers: &mut Layers<'_>, x: ValueId, layer: &str) -> Result<ValueId> {
    let patches = layers.network().architecture.patches();
    let (content_share, by_position) = constants(layers, layer)?;
    let qk = layers.linear(x, &format!("{layer}.qk"))?;
    layers.enter(layer);
    let parts = layers.split(qk, 2)?;
    let scores = layers.scores(parts[0], parts[1], patches, patches)?; // [N, H, L, L]
    let by_content = layers.softmax(scores)?;
    let by_content = layers.op("Mul", &[by_content, content_share], [])?;
    let weights = layers.op("Add", &[by_content, by_position], [])?;
    let values = layers.linear(x, &format!("{layer}.v"))?;
    layers.enter(layer);
    let values = layers.heads(values, patches)?; // [N, H, L, d]
    let mixed = layers.op("MatMul", &[weights, values], [])?;
    let mixed = layers.join_heads(mixed, patches)?;
    layers.linear(mixed, &format!("{layer}.proj"))
}

/// `1 - g` `[1, H, 1, 1]` and `g·P` `[1, H, L, L]`.
fn constants(layers: &mut Layers<'_>, layer: &str) -> Result<(ValueId, ValueId)> {
    let architecture = layers.network().architecture;
    let (heads, patches) = (architecture.heads, architecture.patches());
    let gate = numbers(layers, &format!("{layer}.gating_param"))?;
    let weight = numbers(layers, &format!("{layer}.pos_proj.weight"))?;
    let bias = numbers(layers, &format!("{layer}.pos_proj.bias"))?;
    let (mut shares, mut table) = (Vec::with_capacity(heads), Vec::new());
    for (head, (weight, bias)) in weight.as_chunks::<OFFSETS>().0.iter().zip(bias).enumerate() {
        let share = 1.0 / (1.0 + libm::exp(-gate[head]));
        shares.push((1.0 - share) as f32);
        append_head(&mut table, architecture.grid(), weight, bias, share);
    }
    let shares = Tensor::from_f32(&[1, heads, 1, 1], &shares);
    let table = Tensor::from_f32(&[1, heads, patches, patches], &table);
    let shares = layers.constant(&format!("{layer}.content_share"), shares);
    Ok((shares, layers.constant(&format!("{layer}.attention_by_position"), table)))
}

fn numbers(layers: &mut Layers<'_>, name: &str) -> Result<Vec<f64>> {
    let values = layers.take(name)?.to_f32();
    let values = values.ok_or_else(|| Error::format("is not float32").at_tensor(name))?;
    Ok(values.into_iter().map(f64::from).collect())
}

/// `share` times the softmax over all patches of `weight·(dx, dy, dx² + dy²) + bias`, for each patch of the grid.
fn append_head(table: &mut Vec<f32>, side: usize, weight: &[f64; OFFSETS], bias: f64, share: f64) {
    let score = |from: usize, to: usize| {
        let dx = (to % side) as f64 - (from % side) as f64;
        let dy = (to / side) as f64 - (from / side) as f64;
        weight[0] * dx + weight[1] * dy + weight[2] * (dx * dx + dy * dy) + bias
    };
    for from in 0..side * side {
        let scores: Vec<f64> = (0..side * side).map(|to| score(from, to)).collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = scores.iter().map(|score| libm::exp(score - largest)).collect();
        let sum: f64 = powers.iter().sum();
        table.extend(powers.iter().map(|power| (share * power / sum) as f32));
    }
}
