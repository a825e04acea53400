//! Keys on disk, and signatures of bundles: what [`mimir_bundle::signature`] and [`mimir_bundle::statement`] make,
//! read and written. `docs/signing.md` describes the formats.

mod keys;
mod sign;
mod verify;

pub(crate) use keys::read as read_text;
pub use keys::{KeyFiles, generate_keys, read_private_key, read_public_key, readable_by_others};
pub use sign::{ForeignSignature, SignedBundle, sign_bundle};
pub use verify::{SignatureCheck, TrustedKeyFile, verify_bundle};
