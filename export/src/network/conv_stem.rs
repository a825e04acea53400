//! The convolutional stem of Singh et al. (arXiv 2303.01870), under the names of their code: `patch_embed.proj.stem.N`,
//! N counting convolutions, normalisations and activations alike.
//!
//! Four times convolution 3×3 of stride 2, normalisation over the channels, GELU; then a convolution 1×1 to the width.

use super::Network;
use super::layers::{ConvGeometry, Layers};
use super::parameters::Parameters;
use crate::error::Result;
use crate::graph::ValueId;

/// Output channels of the four stages, each of which halves the image.
const CHANNELS: [usize; 4] = [48, 96, 192, 384];

/// The name of module number `index`.
fn module(index: usize) -> String {
    format!("patch_embed.proj.stem.{index}")
}

/// The tensors of the stem.
pub(super) fn parameters(network: &Network, list: &mut Parameters) {
    let mut inputs = network.channels;
    for (stage, outputs) in CHANNELS.into_iter().enumerate() {
        list.conv(&module(3 * stage), inputs, outputs, 3);
        list.norm(&module(3 * stage + 1), outputs);
        inputs = outputs;
    }
    list.conv(&module(3 * CHANNELS.len()), inputs, network.architecture.width, 1);
}

/// `[N, C, S, S] → [N, L, D]`
pub(super) fn embed(layers: &mut Layers<'_>, images: ValueId) -> Result<ValueId> {
    let mut x = images;
    for stage in 0..CHANNELS.len() {
        x = layers.conv(x, &module(3 * stage), ConvGeometry { stride: 2, padding: 1 })?;
        let pixels = layers.transpose(x, &[0, 2, 3, 1])?; // [N, S', S', C']
        let normed = layers.norm(pixels, &module(3 * stage + 1))?;
        layers.enter(&module(3 * stage + 2));
        let active = layers.gelu(normed)?;
        x = layers.transpose(active, &[0, 3, 1, 2])?;
    }
    x = layers.conv(x, &module(3 * CHANNELS.len()), ConvGeometry { stride: 1, padding: 0 })?;
    layers.flatten(x)
}
