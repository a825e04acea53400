//! Which names of a checkpoint are known, and what may be left out.

use tch::{Kind, Tensor};

use super::torch_file::type_name_of;

/// Prefixes that wrappers add: data parallel, adversarial training, `torch.compile`.
const PREFIXES: [&str; 4] = ["module.", "base_model.", "model.", "_orig_mod."];

/// Modules of a block with a weight and perhaps a bias.
const BLOCK_MODULES: [&str; 12] = [
    "norm1",
    "norm2",
    "mlp.fc1",
    "mlp.fc2",
    "attn.qkv",
    "attn.qk",
    "attn.q",
    "attn.k",
    "attn.v",
    "attn.proj",
    "attn.pos_proj",
    "attn.proj_l",
];
/// Tensors of a block without a module of their own, and one more module.
const BLOCK_TENSORS: [&str; 5] =
    ["attn.gating_param", "gamma_1", "gamma_2", "attn.proj_w.weight", "attn.proj_w.bias"];

/// What to do with a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// Write it.
    Keep,
    /// Leave it out: the network computes the same without it.
    Drop(String),
    /// It is not understood, and leaving it out could change what the network computes.
    Unknown(String),
}

/// The name without the prefixes of wrappers, of which there may be several.
pub(super) fn strip_prefixes(key: &str) -> &str {
    match PREFIXES.iter().find_map(|prefix| key.strip_prefix(prefix)) {
        Some(rest) => strip_prefixes(rest),
        None => key,
    }
}

/// Decides by name and values. `is_convit`: whether the file is of a ConViT, whose q, k and v have no bias here.
pub(super) fn decide(name: &str, tensor: &Tensor, is_convit: bool) -> Decision {
    let unknown = |why: &str| Decision::Unknown(why.to_owned());
    if !matches!(tensor.kind(), Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16) {
        return Decision::Unknown(format!("numbers of type {}", type_name_of(tensor.kind())));
    }
    if !holds(&tensor.isfinite()) {
        return unknown("holds numbers that are not finite");
    }
    if let "normalize.mean" | "normalize.std" = name {
        let identity = if name == "normalize.mean" { 0.0 } else { 1.0 };
        return match holds(&tensor.eq(identity)) {
            true => Decision::Drop("normalises nothing".to_owned()),
            false => unknown("networks here take pixels in [0, 1] as they are"),
        };
    }
    if is_convit && is_query_bias(name) {
        return match holds(&tensor.eq(0.0)) {
            true => Decision::Drop("all 0; ConViT has no bias on q, k and v here".to_owned()),
            false => unknown(
                "ConViT has no bias on q, k and v here; without it the network computes something else",
            ),
        };
    }
    if is_known(name) { Decision::Keep } else { unknown("no network here has it") }
}

fn holds(flags: &Tensor) -> bool {
    flags.all().int64_value(&[]) == 1
}

/// A bias of ConViT's q, k or v.
fn is_query_bias(name: &str) -> bool {
    let block = name.strip_prefix("decoder_").unwrap_or(name);
    let module = block.strip_prefix("blocks.").and_then(after_number);
    matches!(module, Some("attn.qk.bias" | "attn.v.bias" | "attn.qkv.bias"))
}

/// Whether some network here has a tensor of that name.
fn is_known(name: &str) -> bool {
    match name {
        "cls_token" | "pos_embed" | "mask_token" | "decoder_pos_embed" => return true,
        _ => {}
    }
    let blocks = ["blocks.", "blocks_token_only.", "decoder_blocks."];
    if let Some(rest) = blocks.iter().find_map(|prefix| name.strip_prefix(prefix)) {
        return after_number(rest).is_some_and(is_known_in_a_block);
    }
    match name.strip_suffix(".weight").or_else(|| name.strip_suffix(".bias")) {
        Some(
            "patch_embed.proj" | "norm" | "fc_norm" | "head" | "decoder_embed" | "decoder_norm"
            | "decoder_pred",
        ) => true,
        Some(module) => module.strip_prefix("patch_embed.proj.stem.").is_some_and(is_number),
        None => false,
    }
}

fn is_known_in_a_block(name: &str) -> bool {
    let module = name.strip_suffix(".weight").or_else(|| name.strip_suffix(".bias"));
    BLOCK_TENSORS.contains(&name) || module.is_some_and(|module| BLOCK_MODULES.contains(&module))
}

/// What follows `NUMBER.`.
fn after_number(text: &str) -> Option<&str> {
    let (number, rest) = text.split_once('.')?;
    is_number(number).then_some(rest)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Classifier, DecoderShape, MaskedAutoencoder, Preset};
    use crate::parameters::Parameters;

    #[test]
    fn every_tensor_of_every_network_is_known() {
        for preset in Preset::ALL {
            let architecture = preset.architecture(32, 16);
            let mut parameters = [Parameters::shapes_only(), Parameters::shapes_only()];
            let pooling = architecture.family.pooling();
            let _ = Classifier::new(&mut parameters[0].root(), &architecture, pooling, 10, 0.02, Kind::Float);
            let shape = DecoderShape::default();
            let _ = MaskedAutoencoder::new(&mut parameters[1].root(), &architecture, shape, Kind::Float);
            for parameter in parameters.iter().flat_map(Parameters::iter) {
                assert!(is_known(&parameter.name), "{}: {}", preset.name(), parameter.name);
            }
        }
    }

    #[test]
    fn other_names_are_not() {
        for name in [
            "",
            "dist_token",
            "blocks.0",
            "blocks.x.norm1.weight",
            "blocks..norm1.weight",
            "blocks.0.norm3.weight",
            "blocks.0.attn.proj_w",
            "xblocks.0.norm1.weight",
            "head.weights",
            "patch_embed.proj.stem..weight",
            "cls_token.weight",
        ] {
            assert!(!is_known(name), "{name}");
        }
    }

    #[test]
    fn prefixes_go_in_any_number() {
        assert_eq!(strip_prefixes("module.base_model.blocks.0.norm1.weight"), "blocks.0.norm1.weight");
        assert_eq!(strip_prefixes("modules.x"), "modules.x");
    }

    #[test]
    fn what_changes_nothing_is_dropped_and_what_does_is_not() {
        let (zeros, ones) =
            (Tensor::zeros([2], tch::kind::FLOAT_CPU), Tensor::ones([2], tch::kind::FLOAT_CPU));
        let is_dropped =
            |name, tensor: &Tensor, is_convit| matches!(decide(name, tensor, is_convit), Decision::Drop(_));
        let is_unknown = |name, tensor: &Tensor| matches!(decide(name, tensor, true), Decision::Unknown(_));
        assert!(is_dropped("normalize.mean", &zeros, false) && is_dropped("normalize.std", &ones, false));
        assert!(is_unknown("normalize.mean", &ones) && is_unknown("normalize.std", &zeros));
        assert!(is_dropped("decoder_blocks.1.attn.v.bias", &zeros, true));
        assert!(is_unknown("blocks.1.attn.qk.bias", &ones));
        assert_eq!(decide("blocks.1.attn.v.bias", &ones, false), Decision::Keep);
        assert!(is_unknown("cls_token", &(ones.shallow_clone() * f64::NAN)));
        let integers = Tensor::ones([2], (Kind::Int64, tch::Device::Cpu));
        assert_eq!(
            decide("cls_token", &integers, false),
            Decision::Unknown("numbers of type int64".to_owned())
        );
    }
}
