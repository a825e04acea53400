//! The networks of the paper by name.

use serde::{Deserialize, Serialize};

use crate::model::{Architecture, Family};

/// One row a network: its variant, its name in a configuration, and its sizes. Everything else about presets follows
/// from the rows.
macro_rules! presets {
    ($($(#[$doc:meta])* $variant:ident = $name:literal: $family:ident, width $width:literal, depth $depth:literal, heads $heads:literal;)+) => {
        /// A network of the paper (tables 1–12 and the authors' README), without its image and patch size.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Preset {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)+
        }

        impl Preset {
            /// All of them, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name in a configuration.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// For square images and patches of these sides in pixels; [`Architecture::check`] says whether they fit.
            pub fn architecture(self, image_size: i64, patch_size: i64) -> Architecture {
                let (family, width, depth, heads) = match self {
                    $(Self::$variant => (Family::$family, $width, $depth, $heads),)+
                };
                Architecture { family, width, depth, heads, image_size, patch_size }
            }
        }
    };
}

presets! {
    /// ViT-T.
    VitTiny = "vit_tiny": Vit, width 192, depth 12, heads 3;
    /// ViT-S.
    VitSmall = "vit_small": Vit, width 384, depth 12, heads 6;
    /// ViT-B.
    VitBase = "vit_base": Vit, width 768, depth 12, heads 12;
    /// ConViT-T.
    ConvitTiny = "convit_tiny": Convit, width 192, depth 12, heads 4;
    /// ConViT-S.
    ConvitSmall = "convit_small": Convit, width 432, depth 12, heads 9;
    /// ConViT-B.
    ConvitBase = "convit_base": Convit, width 768, depth 12, heads 16;
    /// ViT-S behind the convolutional stem.
    VitSmallConvstem = "vit_small_convstem": VitConvStem, width 384, depth 12, heads 6;
    /// ViT-B behind the convolutional stem.
    VitBaseConvstem = "vit_base_convstem": VitConvStem, width 768, depth 12, heads 12;
    /// CaiT-XXS24.
    CaitXxs24 = "cait_xxs24": Cait, width 192, depth 24, heads 4;
    /// CaiT-S36.
    CaitS36 = "cait_s36": Cait, width 384, depth 36, heads 8;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_fits_imagenet_and_parses_from_its_name() {
        for preset in Preset::ALL {
            assert_eq!(serde_json::from_value::<Preset>(preset.name().into()).unwrap(), *preset);
            assert_eq!(preset.architecture(224, 16).check(), Ok(()));
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = serde_json::from_str::<Preset>("\"vit_huge\"").unwrap_err().to_string();
        assert!(error.contains("vit_huge"), "{error}");
        assert!(Preset::ALL.iter().all(|preset| error.contains(&format!("`{}`", preset.name()))), "{error}");
    }
}
