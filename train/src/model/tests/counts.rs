//! Numbers of parameters, to the last scalar (section 4 of the facts, measured with timm).

use crate::model::{Architecture, Classifier, DecoderShape, Family, MaskedAutoencoder, Pooling, Preset};
use crate::parameters::Parameters;

/// Image side, patch side and classes of the three data sets.
const CIFAR: (i64, i64, i64) = (32, 2, 10);
const TINY: (i64, i64, i64) = (64, 4, 200);
const IMAGENET: (i64, i64, i64) = (224, 16, 1000);

fn classifier(architecture: &Architecture, pooling: Pooling, classes: i64) -> usize {
    let mut parameters = Parameters::shapes_only();
    Classifier::new(&mut parameters.root(), architecture, pooling, classes, 0.02, tch::Kind::Float);
    parameters.count()
}

fn autoencoder(architecture: &Architecture) -> Parameters {
    let mut parameters = Parameters::shapes_only();
    let decoder = DecoderShape::default();
    MaskedAutoencoder::new(&mut parameters.root(), architecture, decoder, tch::Kind::Float);
    parameters
}

fn trained(parameters: &Parameters) -> usize {
    parameters.trainable().map(|parameter| parameter.tensor.numel()).sum()
}

#[test]
fn classifiers() {
    let cases = [
        (Preset::VitTiny, [5_392_714, 5_436_296, 5_717_416]),
        (Preset::VitSmall, [21_402_250, 21_489_224, 22_050_664]),
        (Preset::VitBase, [85_271_818, 85_445_576, 86_567_656]),
        (Preset::ConvitTiny, [5_385_810, 5_429_392, 5_710_512]),
        (Preset::ConvitSmall, [27_047_980, 27_145_802, 27_777_322]),
        (Preset::ConvitBase, [85_244_202, 85_417_960, 86_540_040]),
    ];
    for (preset, wanted) in cases {
        let found = [CIFAR, TINY, IMAGENET].map(|(image, patch, classes)| {
            let architecture = preset.architecture(image, patch);
            classifier(&architecture, architecture.family.pooling(), classes)
        });
        assert_eq!(found, wanted, "{}", preset.name());
    }
}

#[test]
fn classifiers_on_larger_patches_and_behind_the_stem() {
    let cases = [
        (Preset::VitTiny, (32, 4, 10), 5_362_762),
        (Preset::VitSmall, (32, 4, 10), 21_342_346),
        (Preset::VitBase, (32, 4, 10), 85_152_010),
        (Preset::VitSmallConvstem, IMAGENET, 22_777_576),
        (Preset::VitBaseConvstem, IMAGENET, 87_147_112),
        (Preset::CaitXxs24, IMAGENET, 11_956_264),
        (Preset::CaitS36, IMAGENET, 68_220_712),
    ];
    for (preset, (image, patch, classes), wanted) in cases {
        let architecture = preset.architecture(image, patch);
        let found = classifier(&architecture, architecture.family.pooling(), classes);
        assert_eq!(found, wanted, "{}", preset.name());
    }
}

#[test]
fn sizes_of_our_own() {
    let vit_large =
        Architecture { width: 1024, depth: 24, heads: 16, ..Preset::VitBase.architecture(224, 16) };
    assert_eq!(classifier(&vit_large, Pooling::Mean, 1000), 304_326_632);
    let xxs36 = Architecture { depth: 36, ..Preset::CaitXxs24.architecture(224, 16) };
    assert_eq!(classifier(&xxs36, Pooling::ClassToken, 1000), 17_299_720);
}

#[test]
fn stems() {
    for (preset, wanted) in [(Preset::VitSmallConvstem, 1_022_208), (Preset::VitBaseConvstem, 1_170_048)] {
        let parameters = autoencoder(&preset.architecture(224, 16));
        let stem = parameters.iter().filter(|parameter| parameter.name.starts_with("patch_embed."));
        assert_eq!(stem.map(|parameter| parameter.tensor.numel()).sum::<usize>(), wanted);
    }
}

#[test]
fn autoencoders() {
    let cases = [
        (Preset::VitTiny, [5_846_860, 5_858_416, 6_070_336]),
        (Preset::VitSmall, [21_879_052, 21_897_520, 22_236_160]),
        (Preset::VitBase, [85_793_932, 85_826_224, 86_418_304]),
        (Preset::ConvitTiny, [5_846_900, 5_858_456, 6_070_376]),
        (Preset::ConvitSmall, [27_546_030, 27_566_226, 27_936_546]),
        (Preset::ConvitBase, [85_793_996, 85_826_288, 86_418_368]),
    ];
    for (preset, wanted) in cases {
        let found = [CIFAR, TINY, IMAGENET]
            .map(|(image, patch, _)| autoencoder(&preset.architecture(image, patch)).count());
        // The authors pre-train ConViT with biases on q, k and v that their fine-tuning then drops; ours has none of
        // either, in the encoder and in the two blocks of the decoder.
        let Architecture { family, width, depth, .. } = preset.architecture(32, 2);
        let biases = if family == Family::Convit { 3 * width * depth + 3 * 128 * 2 } else { 0 };
        assert_eq!(found, wanted.map(|wanted: usize| wanted - biases as usize), "{}", preset.name());
    }
}

#[test]
fn trained_parts_of_autoencoders() {
    let cases = [(Preset::VitTiny, 5_764_620), (Preset::VitSmall, 21_747_468), (Preset::VitBase, 85_563_660)];
    for (preset, wanted) in cases {
        assert_eq!(trained(&autoencoder(&preset.architecture(32, 2))), wanted, "{}", preset.name());
    }
    // ConViT's positions are trained; only the decoder's table is not.
    let convit = autoencoder(&Preset::ConvitTiny.architecture(32, 2));
    assert_eq!(convit.count() - trained(&convit), 256 * 128);
}

#[test]
fn decoders() {
    let cases = [
        (Preset::VitTiny, [456_076, 460_720, 545_920]),
        (Preset::VitSmall, [480_652, 485_296, 570_496]),
        (Preset::VitBase, [529_804, 534_448, 619_648]),
    ];
    for (preset, wanted) in cases {
        let found = [CIFAR, TINY, IMAGENET].map(|(image, patch, _)| {
            let parameters = autoencoder(&preset.architecture(image, patch));
            let decoder = parameters
                .iter()
                .filter(|parameter| parameter.name.starts_with("decoder_") || parameter.name == "mask_token");
            decoder.map(|parameter| parameter.tensor.numel()).sum::<usize>()
        });
        assert_eq!(found, wanted, "{}", preset.name());
    }
}
