//! Bundles: what the makers and the users of a model hand over, as a folder or as one `.mimir` file.
//!
//! `docs/bundle-format.md` is the format. Nothing in a bundle is trusted: [`Bundle::open`] checks names, kinds and sizes
//! before it reads, reads each file once, and compares all of them with the manifest. Nothing outside it is read.
//!
//! ```no_run
//! use mimir_bundle::bundle::Bundle;
//!
//! let bundle = Bundle::open("model.mimir".as_ref())?;
//! let model = bundle.file("model.onnx").map(|file| file.bytes());
//! for known in bundle.certificates() {
//!     println!("{}: {}", known.name, known.certificate.threat_model);
//! }
//! # Ok::<(), mimir_bundle::bundle::BundleError>(())
//! ```
//!
//! A bundle is made of a description and files, [`Bundle::new`], and written with [`Bundle::write_new`]; a certificate or
//! a signature is added with [`Bundle::change`].

mod agreement;
mod archive;
mod container;
mod content;
mod error;
mod folder;
mod manifest;
mod manifest_check;
mod names;
mod open;
mod reading;
mod save;

pub use content::{Bundle, BundleCertificate, BundleFile};
pub use error::{BundleError, BundleErrorKind};
pub use manifest::{
    BUNDLE_FORMAT, BUNDLE_VERSION, BundleManifest, Classes, FeatureTensor, InputFacts, Provenance,
};
pub use names::{CERTIFICATE, CERTIFICATES, EXTENSION, FileKind, MANIFEST, MODEL, MODEL_DATA, SIGNATURE};
pub use save::Changed;

#[cfg(test)]
pub(crate) mod tests;
