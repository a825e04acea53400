//! Keys, and envelopes that they sign: DSSE with Ed25519 or ECDSA over P-256, nothing home-made below the envelope.
//!
//! Keys are PKCS#8 and SPKI PEM, so that openssl makes and checks them; `docs/signing.md` shows how.

mod envelope;
mod key;

pub use envelope::{Envelope, EnvelopeError, EnvelopeSignature, Verified};
pub use key::{Algorithm, KeyError, KeyId, PrivateKey, PublicKey};
