//! Operations of a forward pass: two for each multiplication and addition of matrix products and attention. Patches, heads,
//! normalisation, ConViT's positional attention and CaiT's talking heads and class attention are not counted.

use crate::model::{Architecture, DecoderShape, Mask};

/// Of a classifier, for an image.
pub(super) fn classifier(architecture: &Architecture) -> f64 {
    blocks(architecture.depth, architecture.width, architecture.num_patches() + 1)
}

/// Of a masked autoencoder with the paper's decoder at a mask ratio of 0.75, for an image.
pub(super) fn autoencoder(architecture: &Architecture) -> f64 {
    let patches = architecture.num_patches();
    let DecoderShape { width, depth, .. } = DecoderShape::default();
    let visible = Mask::visible_patches(patches, 0.75) + 1;
    blocks(architecture.depth, architecture.width, visible) + blocks(depth, width, patches + 1)
}

/// Of so many blocks: queries, keys, values and projection 4·D², the MLP 8·D² for each token; 2·D for each pair of tokens.
fn blocks(depth: i64, width: i64, tokens: i64) -> f64 {
    let (depth, width, tokens) = (depth as f64, width as f64, tokens as f64);
    2.0 * depth * (tokens * 12.0 * width * width + 2.0 * tokens * tokens * width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Preset;

    /// Section 7.4 of the specification, in 10⁹ operations: forward, and a pre-training of 800 epochs of 50,000 images in 10¹⁵.
    #[test]
    fn counts_are_those_of_the_specification() {
        let cases = [
            (Preset::VitTiny, 2, 3.3, 240.0),
            (Preset::VitSmall, 2, 12.1, 746.0),
            (Preset::VitBase, 2, 46.1, 2752.0),
            (Preset::VitTiny, 4, 0.73, 57.0),
            (Preset::VitSmall, 4, 2.84, 188.0),
            (Preset::VitBase, 4, 11.2, 709.0),
        ];
        for (preset, patch, forward, pretraining) in cases {
            let architecture = preset.architecture(32, patch);
            let found = classifier(&architecture) / 1e9;
            assert!((found / forward - 1.0).abs() < 0.02, "{} {patch}: {found}", preset.name());
            // An attack and a training step, each a pass forward and two back.
            let found = 6.0 * autoencoder(&architecture) * 800.0 * 50_000.0 / 1e15;
            assert!((found / pretraining - 1.0).abs() < 0.03, "{} {patch}: {found}", preset.name());
        }
    }
}
