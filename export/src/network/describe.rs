//! Which network the tensors of a file are, from its header, from what the user says, and from names and shapes.

use mimir_bundle::architecture::{Architecture, Family, Pooling};
use mimir_bundle::checkpoint::{CheckpointHeader, Stage};

use super::checkpoint::Checkpoint;
use super::timm::{self, Named};
use super::weights::POSITIONS;
use super::{Network, positions};
use crate::error::{Error, Result};

/// What the user says about a checkpoint. What is left out is read from the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Name of the network, as timm or `mimir-train` spells it.
    pub architecture: Option<String>,
    /// Side of the images in pixels; positions for another grid are resampled.
    pub image_size: Option<usize>,
    /// Side of a patch in pixels.
    pub patch_size: Option<usize>,
    /// Attention heads.
    pub heads: Option<usize>,
    /// Number of classes.
    pub classes: Option<usize>,
}

/// The network. That its tensors are all there is for [`build`](super::build) to see.
///
/// # Errors
/// A masked autoencoder; a distilled network; what the user says contradicts the header; sizes that neither says.
pub fn describe(checkpoint: &Checkpoint, wanted: &Wanted) -> Result<Network> {
    check_not_distilled(checkpoint)?;
    let named = wanted.architecture.as_deref().map(timm::named).transpose()?;
    let network = match &checkpoint.header {
        Some(header) => from_header(checkpoint, header, named, wanted)?,
        None => from_shapes(checkpoint, named, wanted)?,
    };
    network.check()?;
    Ok(network)
}

fn check_not_distilled(checkpoint: &Checkpoint) -> Result<()> {
    let names = ["dist_token", "head_dist.weight", "head_dist.bias"];
    let found: Vec<&str> = names.into_iter().filter(|name| checkpoint.dims(name).is_some()).collect();
    if found.is_empty() {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "has {}: a distilled DeiT, whose two heads are not supported; use the file without distillation",
        found.join(", ")
    )))
}

fn from_header(
    checkpoint: &Checkpoint,
    header: &CheckpointHeader,
    named: Option<Named>,
    wanted: &Wanted,
) -> Result<Network> {
    let (Stage::Finetune, Some(pooling), Some(classes)) = (header.stage, header.pooling, header.classes)
    else {
        return Err(Error::unsupported(
            "is a masked autoencoder, which has no head; export a checkpoint of `mimir-train finetune`",
        ));
    };
    let said = header.architecture;
    let sizes = named.map_or(Vec::new(), |named| {
        vec![("width", named.width, said.width), ("depth", named.depth, said.depth)]
    });
    let heads = wanted.heads.or(named.map(|named| named.heads)).map(|heads| ("heads", heads, said.heads));
    let patch = wanted.patch_size.or(named.and_then(|named| named.patch_size));
    let patch = patch.map(|patch| ("patch_size", patch, said.patch_size));
    let count = wanted.classes.map(|wanted| ("classes", wanted, classes));
    if let Some(family) = named.map(|named| named.family).filter(|family| *family != said.family) {
        return Err(contradiction("family", family.name(), said.family.name()));
    }
    for (key, asked, says) in sizes.into_iter().chain(heads).chain(patch).chain(count) {
        if asked != says {
            return Err(contradiction(key, &asked.to_string(), &says.to_string()));
        }
    }
    check_grid(checkpoint, &said)?;
    let image_size = wanted.image_size.or(named.and_then(|named| named.image_size));
    let image_size = image_size.unwrap_or(said.image_size);
    Ok(Network::new(Architecture { image_size, ..said }, pooling, classes))
}

/// A file that says which grid its positions are for has them for that grid.
fn check_grid(checkpoint: &Checkpoint, said: &Architecture) -> Result<()> {
    let rows = said.patches() + said.family.prefix_tokens();
    match checkpoint.dims(POSITIONS) {
        Some(&[1, found, width]) if width == said.width && found != rows => {
            Err(Error::format(format!("has {found} rows, but the header says {rows}")).at_tensor(POSITIONS))
        }
        _ => Ok(()),
    }
}

fn contradiction(key: &str, asked: &str, says: &str) -> Error {
    Error::format(format!("{key} {asked} is asked for, but the header of the file says {says}"))
}

fn from_shapes(checkpoint: &Checkpoint, named: Option<Named>, wanted: &Wanted) -> Result<Network> {
    let family = named.map_or_else(|| family(checkpoint), |named| named.family);
    let pick = |known: Option<usize>, key: &str, flag: &str| {
        known.ok_or_else(|| {
            Error::unsupported(format!(
                "the file does not show the {key} of its network, and has no header that says it: give {flag}"
            ))
        })
    };
    let by_name = "--architecture NAME";
    let width = pick(named.map(|named| named.width).or_else(|| width(checkpoint)), "width", by_name)?;
    let depth = pick(named.map(|named| named.depth).or_else(|| depth(checkpoint)), "depth", by_name)?;
    let heads = wanted.heads.or(named.map(|named| named.heads)).or_else(|| heads(checkpoint, family, width));
    let heads = pick(heads, "number of attention heads", "--architecture NAME or --heads N")?;
    let patch_size = wanted.patch_size.or_else(|| named?.patch_size).or_else(|| patch(checkpoint, family));
    let patch_size = pick(patch_size, "patch size", "--patch-size N")?;
    let mut architecture = Architecture { family, width, depth, heads, image_size: patch_size, patch_size };
    let image_size =
        wanted.image_size.or_else(|| named?.image_size).or_else(|| image(checkpoint, &architecture));
    architecture.image_size = pick(image_size, "image size", "--image-size N")?;
    let classes = wanted.classes.or_else(|| checkpoint.dims("head.weight")?.first().copied());
    let classes = pick(classes, "number of classes", "--classes N")?;
    Ok(Network::new(architecture, pooling(checkpoint), classes))
}

fn family(checkpoint: &Checkpoint) -> Family {
    let has = |name: &str| checkpoint.dims(name).is_some();
    if has("blocks.0.attn.gating_param") {
        Family::Convit
    } else if has("blocks_token_only.0.gamma_1") {
        Family::Cait
    } else if has("patch_embed.proj.stem.0.weight") {
        Family::VitConvStem
    } else {
        Family::Vit
    }
}

fn pooling(checkpoint: &Checkpoint) -> Pooling {
    match checkpoint.dims("fc_norm.weight") {
        Some(_) => Pooling::Mean,
        None => Pooling::ClassToken,
    }
}

fn width(checkpoint: &Checkpoint) -> Option<usize> {
    checkpoint.dims("cls_token")?.last().copied()
}

/// One more than the largest number of a block.
fn depth(checkpoint: &Checkpoint) -> Option<usize> {
    let number = |name: &String| name.strip_prefix("blocks.")?.split('.').next()?.parse::<usize>().ok();
    checkpoint.tensors.keys().filter_map(number).max().map(|last| last.saturating_add(1))
}

/// From the tensors with one row a head, or from the width of a plain ViT.
fn heads(checkpoint: &Checkpoint, family: Family, width: usize) -> Option<usize> {
    match family {
        Family::Convit => checkpoint.dims("blocks.0.attn.gating_param")?.first().copied(),
        Family::Cait => checkpoint.dims("blocks.0.attn.proj_l.weight")?.first().copied(),
        Family::Vit | Family::VitConvStem => timm::heads_of_width(width),
    }
}

fn patch(checkpoint: &Checkpoint, family: Family) -> Option<usize> {
    match family {
        Family::VitConvStem => Some(16),
        Family::Vit | Family::Convit | Family::Cait => {
            checkpoint.dims("patch_embed.proj.weight")?.last().copied()
        }
    }
}

fn image(checkpoint: &Checkpoint, architecture: &Architecture) -> Option<usize> {
    let rows = *checkpoint.dims(POSITIONS)?.get(1)?;
    positions::grid_of(rows, architecture)?.checked_mul(architecture.patch_size)
}
