//! Parameter groups: weight decay and layer-wise learning-rate decay.

use crate::model::Architecture;

/// The parameter groups of a run, from its configuration.
#[derive(Debug)]
pub struct ParameterGroups {
    /// Weight decay of all parameters that decay, at least 0.
    pub weight_decay: f64,
    /// Parameters that do not decay, by their whole name. Biases and other tensors of one axis never do. The authors
    /// name `pos_embed` and `cls_token` in fine-tuning and nothing in pre-training.
    pub no_decay: Vec<String>,
    /// Lower learning rates towards the input, where fine-tuning uses them.
    pub layer_decay: Option<LayerDecay>,
}

/// Layer-wise learning rates: a parameter of layer `id` learns at `decay^(last − id)` times the schedule's rate
/// (BEiT, MAE).
#[derive(Debug, Clone, Copy)]
pub struct LayerDecay {
    /// Factor from one layer to the one before, in (0, 1].
    pub decay: f64,
    /// Says which layer a name belongs to ([`Architecture::layer_id`]).
    pub architecture: Architecture,
}

/// Learning rate and weight decay of one parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ParameterGroup {
    /// Factor on the schedule's learning rate.
    pub learning_rate_scale: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
}

impl ParameterGroups {
    /// The group of the parameter of that name and shape.
    pub fn group(&self, name: &str, shape: &[i64]) -> ParameterGroup {
        let decays =
            shape.len() > 1 && !name.ends_with(".bias") && !self.no_decay.iter().any(|kept| kept == name);
        let learning_rate_scale = self.layer_decay.as_ref().map_or(1.0, |layers| layers.scale(name));
        ParameterGroup { learning_rate_scale, weight_decay: if decays { self.weight_decay } else { 0.0 } }
    }
}

impl LayerDecay {
    fn scale(&self, name: &str) -> f64 {
        let below = self.architecture.num_layers() - 1 - self.architecture.layer_id(name);
        libm::pow(self.decay, below as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Preset;

    fn fine_tuning(decay: f64) -> ParameterGroups {
        ParameterGroups {
            weight_decay: 0.05,
            no_decay: vec!["pos_embed".into(), "cls_token".into()],
            layer_decay: Some(LayerDecay { decay, architecture: Preset::VitTiny.architecture(32, 4) }),
        }
    }

    #[test]
    fn scales_of_twelve_blocks_are_those_of_the_specification() {
        // Section 3.1, d = 0.65, layer 0 to 13.
        let table = [
            0.0037, 0.0057, 0.0088, 0.0135, 0.0207, 0.0319, 0.0490, 0.0754, 0.1160, 0.1785, 0.2746, 0.4225,
            0.65, 1.0,
        ];
        let mut names = vec!["patch_embed.proj.weight".to_owned()];
        names.extend((0..12).map(|block| format!("blocks.{block}.attn.qkv.weight")));
        names.push("head.weight".to_owned());
        let groups = fine_tuning(0.65);
        for (name, wanted) in names.iter().zip(table) {
            let found = groups.group(name, &[2, 2]).learning_rate_scale;
            // The table has four decimals.
            assert!((found - wanted).abs() <= 0.5e-4, "{name}: {found} for {wanted}");
        }
    }

    #[test]
    fn vectors_biases_and_named_parameters_do_not_decay() {
        let cases: [(&str, &[i64], bool); 7] = [
            ("blocks.0.attn.qkv.weight", &[6, 2], true),
            ("blocks.0.attn.qkv.bias", &[6], false),
            ("norm.weight", &[2], false),
            ("odd.bias", &[2, 2], false),
            ("pos_embed", &[1, 5, 2], false),
            ("cls_token", &[1, 1, 2], false),
            ("mask_token", &[1, 1, 2], true),
        ];
        for (name, shape, decays) in cases {
            assert_eq!(fine_tuning(1.0).group(name, shape).weight_decay > 0.0, decays, "{name}");
        }
        let authors = ParameterGroups { weight_decay: 0.05, no_decay: Vec::new(), layer_decay: None };
        assert_eq!(
            authors.group("cls_token", &[1, 1, 2]),
            ParameterGroup { learning_rate_scale: 1.0, weight_decay: 0.05 }
        );
    }
}
