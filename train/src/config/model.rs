//! `[model]`: a network by name, or a family with its own sizes.

use serde::{Deserialize, Serialize};

use crate::config::ConfigError;
use crate::model::{Architecture, Family, Preset};

/// Which network on which images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// A network of the paper, for example `vit_tiny`; defines family, width, depth and heads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Preset>,
    /// Family of a network of other sizes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
    /// Width of a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<i64>,
    /// Number of blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<i64>,
    /// Attention heads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heads: Option<i64>,
    /// Side of a patch in pixels.
    pub patch_size: i64,
    /// Side of the square image in pixels.
    pub image_size: i64,
}

impl ModelConfig {
    /// The sizes, from the name or from the separate keys.
    ///
    /// # Errors
    /// A size together with a name, or a missing size without a name.
    pub fn architecture(&self) -> Result<Architecture, ConfigError> {
        match self.name {
            Some(name) => self.named(name),
            None => self.custom(),
        }
    }

    fn named(&self, name: Preset) -> Result<Architecture, ConfigError> {
        let given = [
            ("family", self.family.is_some()),
            ("width", self.width.is_some()),
            ("depth", self.depth.is_some()),
            ("heads", self.heads.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((key, _)) => Err(ConfigError::no_effect(
                format!("model.{key}"),
                "together with model.name, which defines it (or remove the name and give family, width, depth and heads)",
            )),
            None => Ok(name.architecture(self.image_size, self.patch_size)),
        }
    }

    fn custom(&self) -> Result<Architecture, ConfigError> {
        let needed = |key: &str, value: Option<i64>| {
            value.ok_or_else(|| ConfigError::missing(format!("model.{key}"), "if model.name is not given"))
        };
        let family =
            self.family.ok_or_else(|| ConfigError::missing("model.family", "if model.name is not given"))?;
        Ok(Architecture {
            family,
            width: needed("width", self.width)?,
            depth: needed("depth", self.depth)?,
            heads: needed("heads", self.heads)?,
            image_size: self.image_size,
            patch_size: self.patch_size,
        })
    }
}
