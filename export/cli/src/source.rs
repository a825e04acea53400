//! The models that are shown and compared: ONNX files, and those of bundles.

use std::path::Path;

use anyhow::Context;
use mimir_bundle::bundle::{Bundle, BundleManifest, MANIFEST, MODEL};
use mimir_export::difference::{Difference, compare, compare_bundles};
use mimir_export::onnx::listing::{Listing, read_listing, read_listing_bundled};
use mimir_export::onnx::{Limits, check_bundled};
use serde::Serialize;

use crate::failure::Failure;

/// What stands in a file or a bundle.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Source {
    /// An ONNX file.
    File(Listing),
    /// A bundle: its description and its model.
    Bundle {
        /// `manifest.json`
        manifest: Box<BundleManifest>,
        /// `model.onnx`
        model: Listing,
        /// All of it.
        #[serde(skip)]
        bundle: Box<Bundle>,
    },
}

impl Source {
    /// Reads a file, or opens a bundle and checks all of it.
    ///
    /// # Errors
    /// Names the file, and what is wrong with it.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let limits = Limits::default();
        if !Bundle::is_at(path) {
            return Ok(Self::File(read_listing(path, &limits)?));
        }
        let bundle = Bundle::open(path)?;
        check_bundled(&bundle, &limits).with_context(|| format!("bundle {}", path.display()))?;
        let model = read_listing_bundled(&bundle, MODEL, &limits)
            .with_context(|| format!("bundle {}", path.display()))?;
        Ok(Self::Bundle { manifest: Box::new(bundle.manifest().clone()), model, bundle: Box::new(bundle) })
    }

    /// The model.
    fn model(&self) -> &Listing {
        match self {
            Self::File(model) | Self::Bundle { model, .. } => model,
        }
    }

    /// What differs between two of them. Where only one is a bundle, its description has nothing to be held against.
    ///
    /// # Errors
    /// When a gradient graph is not well-formed.
    pub(crate) fn compare(&self, after: &Self, tolerance: f64) -> Result<Difference, Failure> {
        match (self, after) {
            (Self::Bundle { bundle: before, .. }, Self::Bundle { bundle: after, .. }) => {
                Ok(compare_bundles(before, after, tolerance, &Limits::default())?)
            }
            _ => Ok(compare(self.model(), after.model(), tolerance)),
        }
    }

    /// Whether it is a bundle.
    pub(crate) fn is_bundle(&self) -> bool {
        matches!(self, Self::Bundle { .. })
    }

    /// Canonical text; of a bundle after that of its description.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::File(model) => model.to_string(),
            Self::Bundle { bundle, model, .. } => {
                let text = bundle.file(MANIFEST).map(|file| String::from_utf8_lossy(file.bytes()));
                format!("{}{model}", text.unwrap_or_default())
            }
        }
    }
}
