//! The networks of the paper by name.

use serde::{Deserialize, Serialize};

use crate::model::{Architecture, Family};

/// A network of the paper (tables 1–12 and the authors' README), without its image and patch size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// ViT-T.
    VitTiny,
    /// ViT-S.
    VitSmall,
    /// ViT-B.
    VitBase,
    /// ConViT-T.
    ConvitTiny,
    /// ConViT-S.
    ConvitSmall,
    /// ConViT-B.
    ConvitBase,
    /// ViT-S behind the convolutional stem.
    VitSmallConvstem,
    /// ViT-B behind the convolutional stem.
    VitBaseConvstem,
    /// CaiT-XXS24.
    CaitXxs24,
    /// CaiT-S36.
    CaitS36,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::VitTiny,
        Self::VitSmall,
        Self::VitBase,
        Self::ConvitTiny,
        Self::ConvitSmall,
        Self::ConvitBase,
        Self::VitSmallConvstem,
        Self::VitBaseConvstem,
        Self::CaitXxs24,
        Self::CaitS36,
    ];

    /// Its name in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::VitTiny => "vit_tiny",
            Self::VitSmall => "vit_small",
            Self::VitBase => "vit_base",
            Self::ConvitTiny => "convit_tiny",
            Self::ConvitSmall => "convit_small",
            Self::ConvitBase => "convit_base",
            Self::VitSmallConvstem => "vit_small_convstem",
            Self::VitBaseConvstem => "vit_base_convstem",
            Self::CaitXxs24 => "cait_xxs24",
            Self::CaitS36 => "cait_s36",
        }
    }

    /// For square images and patches of these sides in pixels; [`Architecture::check`] says whether they fit.
    pub fn architecture(self, image_size: i64, patch_size: i64) -> Architecture {
        let (family, width, depth, heads) = match self {
            Self::VitTiny => (Family::Vit, 192, 12, 3),
            Self::VitSmall => (Family::Vit, 384, 12, 6),
            Self::VitBase => (Family::Vit, 768, 12, 12),
            Self::ConvitTiny => (Family::Convit, 192, 12, 4),
            Self::ConvitSmall => (Family::Convit, 432, 12, 9),
            Self::ConvitBase => (Family::Convit, 768, 12, 16),
            Self::VitSmallConvstem => (Family::VitConvStem, 384, 12, 6),
            Self::VitBaseConvstem => (Family::VitConvStem, 768, 12, 12),
            Self::CaitXxs24 => (Family::Cait, 192, 24, 4),
            Self::CaitS36 => (Family::Cait, 384, 36, 8),
        };
        Architecture { family, width, depth, heads, image_size, patch_size }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_spells_them_as_they_call_themselves() {
        for preset in Preset::ALL {
            assert_eq!(serde_json::to_value(preset).unwrap(), preset.name());
            assert_eq!(preset.architecture(224, 16).check(), Ok(()));
        }
    }
}
