//! Networks by the names that timm and `mimir-train` give them.

use mimir_bundle::architecture::Family;

use crate::error::{Error, Result};

/// A network by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Named {
    /// The name without patch and image size.
    pub(super) name: &'static str,
    /// Kind of encoder.
    pub(super) family: Family,
    /// Width of a token.
    pub(super) width: usize,
    /// Number of blocks.
    pub(super) depth: usize,
    /// Attention heads.
    pub(super) heads: usize,
    /// Side of a patch, where the name says it.
    pub(super) patch_size: Option<usize>,
    /// Side of an image, where the name says it.
    pub(super) image_size: Option<usize>,
}

const fn row(name: &'static str, family: Family, width: usize, depth: usize, heads: usize) -> Named {
    Named { name, family, width, depth, heads, patch_size: None, image_size: None }
}

/// Sizes by name. Patch and image size follow the name in timm: `vit_tiny_patch16_224`, `cait_xxs24_224`.
const NETWORKS: [Named; 21] = [
    row("vit_tiny", Family::Vit, 192, 12, 3),
    row("vit_small", Family::Vit, 384, 12, 6),
    row("vit_base", Family::Vit, 768, 12, 12),
    row("vit_large", Family::Vit, 1024, 24, 16),
    row("deit_tiny", Family::Vit, 192, 12, 3),
    row("deit_small", Family::Vit, 384, 12, 6),
    row("deit_base", Family::Vit, 768, 12, 12),
    row("vit_small_convstem", Family::VitConvStem, 384, 12, 6),
    row("vit_base_convstem", Family::VitConvStem, 768, 12, 12),
    row("convit_tiny", Family::Convit, 192, 12, 4),
    row("convit_small", Family::Convit, 432, 12, 9),
    row("convit_base", Family::Convit, 768, 12, 16),
    row("cait_xxs24", Family::Cait, 192, 24, 4),
    row("cait_xxs36", Family::Cait, 192, 36, 4),
    row("cait_xs24", Family::Cait, 288, 24, 6),
    row("cait_xs36", Family::Cait, 288, 36, 6),
    row("cait_s24", Family::Cait, 384, 24, 8),
    row("cait_s36", Family::Cait, 384, 36, 8),
    row("cait_m24", Family::Cait, 768, 24, 16),
    row("cait_m36", Family::Cait, 768, 36, 16),
    row("cait_m48", Family::Cait, 768, 48, 16),
];

/// The network of that name. What follows a point names weights and not a network: `vit_tiny_patch16_224.augreg_in21k`.
///
/// # Errors
/// Lists the names that are known.
pub(super) fn named(name: &str) -> Result<Named> {
    let plain = name.split('.').next().unwrap_or_default();
    if plain.contains("_distilled") {
        return Err(Error::unsupported(format!(
            "architecture `{name}` has a distillation token and a second head (`dist_token`, `head_dist`), which are not \
             supported; export the network without distillation"
        )));
    }
    let found = NETWORKS.iter().filter_map(|network| with_sizes(network, plain.strip_prefix(network.name)?));
    found.max_by_key(|network| network.name.len()).ok_or_else(|| {
        let known: Vec<&str> = NETWORKS.iter().map(|network| network.name).collect();
        Error::unsupported(format!(
            "architecture `{name}` is not known; known are, with `_patchP` and `_SIZE` behind them as in timm: {}",
            known.join(", ")
        ))
    })
}

/// The network with the sizes of ``, `_patch16`, `_224` or `_patch16_224`; none for another ending.
fn with_sizes(network: &Named, ending: &str) -> Option<Named> {
    let mut sized = Named { patch_size: default_patch(network), ..*network };
    for part in ending.split('_').skip(1) {
        match part.strip_prefix("patch") {
            Some(patch) => sized.patch_size = Some(patch.parse().ok()?),
            None => sized.image_size = Some(part.parse().ok()?),
        }
    }
    (ending.is_empty() || ending.starts_with('_')).then_some(sized)
}

/// The patches that all networks of timm's with that name have.
fn default_patch(network: &Named) -> Option<usize> {
    matches!(network.family, Family::VitConvStem).then_some(16)
}

/// The heads of a plain ViT of that width, where all known ones agree.
pub(super) fn heads_of_width(width: usize) -> Option<usize> {
    let known = NETWORKS.iter().find(|network| network.family == Family::Vit && network.width == width);
    known.map(|network| network.heads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_timm_say_patch_and_image() {
        let sizes = |name| {
            let found = named(name).unwrap();
            (found.name, found.heads, found.patch_size, found.image_size)
        };
        assert_eq!(sizes("vit_tiny_patch16_224.augreg_in21k"), ("vit_tiny", 3, Some(16), Some(224)));
        assert_eq!(sizes("vit_base_patch8_384"), ("vit_base", 12, Some(8), Some(384)));
        assert_eq!(sizes("deit_small_patch16_224"), ("deit_small", 6, Some(16), Some(224)));
        assert_eq!(sizes("convit_tiny"), ("convit_tiny", 4, None, None));
        assert_eq!(sizes("cait_xxs24_224"), ("cait_xxs24", 4, None, Some(224)));
        assert_eq!(sizes("vit_small_convstem"), ("vit_small_convstem", 6, Some(16), None));
    }

    #[test]
    fn other_names_are_refused_and_the_known_ones_listed() {
        let refused = |name| named(name).unwrap_err().to_string();
        for name in
            ["vit_huge_patch14_224", "vit_tinyer", "vit_tiny_patch16_clip_224", "vit_base_r50_s16", ""]
        {
            assert!(refused(name).contains("cait_m48"), "{name}: {}", refused(name));
        }
        assert!(refused("deit_tiny_distilled_patch16_224").contains("`dist_token`"));
    }
}
