//! A bundle in the words of others: a CycloneDX ML-BOM, a Hugging Face model card, a page of Markdown.
//!
//! Each is a function of the bundle alone: the same bundle gives the same bytes. None says that a model is robust: the
//! attacked accuracy is an upper bound of the robust accuracy, and each of them says so beside the number.

mod cyclone_dx;
mod facts;
mod markdown;
mod model_card;
mod text;

use std::path::Path;

use crate::error::{Error, ErrorKind, OrKind, Result};
use crate::opened_bundle::open_bundle;

/// How a bundle is described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DescriptionFormat {
    /// CycloneDX 1.6 in JSON: a component of type `machine-learning-model` with its model card.
    CycloneDx,
    /// `README.md` of a model on Hugging Face, with `model-index` in its front matter.
    ModelCard,
    /// Markdown without a front matter.
    Markdown,
}

/// Describes a bundle.
///
/// # Errors
/// [`ErrorKind::Model`] when the bundle has a fault anywhere.
pub fn describe(path: &Path, format: DescriptionFormat) -> Result<String> {
    let bundle = open_bundle(path)?;
    let name = name(path)?;
    match format {
        DescriptionFormat::CycloneDx => cyclone_dx::document(&bundle, &name).or_kind(ErrorKind::Internal),
        DescriptionFormat::ModelCard => Ok(model_card::document(&bundle, &name)),
        DescriptionFormat::Markdown => Ok(markdown::document(&bundle, &name)),
    }
}

/// What the model is called: the name of its bundle without `.mimir`.
fn name(path: &Path) -> Result<String> {
    let resolved = path.canonicalize().or_kind(ErrorKind::Model)?;
    let name = resolved.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.ok_or_else(|| Error::new(ErrorKind::Options, "the bundle has no name"))?;
    Ok(name.strip_suffix(".mimir").unwrap_or(&name).to_owned())
}
