//! The envelope around signed bytes: DSSE 1.0 (<https://github.com/secure-systems-lab/dsse>).

use std::collections::BTreeSet;

use base64ct::{Base64, Encoding as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::key::{KeyId, PrivateKey, PublicKey};
use crate::strict_json;

/// Signed bytes, what they are, and their signatures.
///
/// DSSE lets readers ignore fields that they do not know. This one refuses them: nothing in the file is unread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// The bytes, in standard base64 with padding.
    pub payload: String,
    /// What the bytes are; it is signed too.
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    /// One signature a key.
    pub signatures: Vec<EnvelopeSignature>,
}

/// One key's signature of the payload and its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvelopeSignature {
    /// Which key: [`KeyId`].
    pub keyid: String,
    /// The signature, in standard base64 with padding: 64 bytes for Ed25519, ASN.1 DER for ECDSA.
    pub sig: String,
}

/// What an envelope shows to whoever trusts some keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The bytes that were signed.
    pub payload: Vec<u8>,
    /// The trusted keys that signed them, at least one.
    pub keys: BTreeSet<KeyId>,
    /// Key ids of signatures that were not checked, because no trusted key has that id.
    pub unchecked: Vec<String>,
}

/// Why an envelope shows nothing.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Not JSON, a field twice, a field too many, missing or of the wrong type.
    #[error("not an envelope of a signature: {0}")]
    Format(#[from] serde_json::Error),
    /// The payload or a signature is not base64.
    #[error("{0} is not standard base64 with padding")]
    Base64(String),
    /// Other bytes are signed than the reader wants.
    #[error("payloadType is `{found}`, wanted `{wanted}`")]
    PayloadType {
        /// In the envelope.
        found: String,
        /// What the reader wants.
        wanted: &'static str,
    },
    /// Nobody signed.
    #[error("there is no signature in the envelope")]
    Unsigned,
    /// Two signatures of one key.
    #[error("key {0} signed twice")]
    Twice(String),
    /// A trusted key did not sign these bytes.
    #[error("the signature of key {0} is not one of this payload")]
    Wrong(KeyId),
    /// No signature is of a trusted key.
    #[error("no trusted key signed; signatures are of {}", .0.join(", "))]
    Untrusted(Vec<String>),
}

impl Envelope {
    /// An envelope that nobody has signed yet.
    pub fn new(payload_type: &str, payload: &[u8]) -> Self {
        Self {
            payload: Base64::encode_string(payload),
            payload_type: payload_type.into(),
            signatures: Vec::new(),
        }
    }

    /// Reads an envelope.
    ///
    /// # Errors
    /// When it is not JSON of this form, or has no signature or two of one key.
    pub fn from_json(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let envelope: Self = strict_json::from_slice(bytes)?;
        if envelope.signatures.is_empty() {
            return Err(EnvelopeError::Unsigned);
        }
        let mut keys = BTreeSet::new();
        match envelope.signatures.iter().find(|signature| !keys.insert(&signature.keyid)) {
            Some(twice) => Err(EnvelopeError::Twice(twice.keyid.clone())),
            None => Ok(envelope),
        }
    }

    /// The envelope as a file.
    ///
    /// # Errors
    /// Never: strings have a JSON form.
    pub fn to_json(&self) -> Result<String, EnvelopeError> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// The bytes inside, whoever signed them.
    ///
    /// # Errors
    /// When they are not base64.
    pub fn payload(&self) -> Result<Vec<u8>, EnvelopeError> {
        Base64::decode_vec(&self.payload).map_err(|_| EnvelopeError::Base64("payload".into()))
    }

    /// Adds the key's signature, in the place of an earlier one of the same key.
    ///
    /// # Errors
    /// When the payload is not base64.
    pub fn sign(&mut self, key: &PrivateKey) -> Result<(), EnvelopeError> {
        let message = pre_authentication_encoding(&self.payload_type, &self.payload()?);
        let keyid = key.public().id().to_string();
        let signature =
            EnvelopeSignature { keyid: keyid.clone(), sig: Base64::encode_string(&key.sign(&message)) };
        self.signatures.retain(|signature| signature.keyid != keyid);
        self.signatures.push(signature);
        Ok(())
    }

    /// The bytes inside, if at least one trusted key signed them.
    ///
    /// A signature whose `keyid` is that of a trusted key must be right; one wrong signature is enough to refuse. Those
    /// of other keys are listed and not checked.
    ///
    /// # Errors
    /// When the payload is of another type, a trusted key's signature is wrong, or no trusted key signed.
    pub fn verify(
        &self,
        payload_type: &'static str,
        trusted: &[PublicKey],
    ) -> Result<Verified, EnvelopeError> {
        if self.payload_type != payload_type {
            return Err(EnvelopeError::PayloadType {
                found: self.payload_type.clone(),
                wanted: payload_type,
            });
        }
        let payload = self.payload()?;
        let message = pre_authentication_encoding(payload_type, &payload);
        let mut verified = Verified { payload, keys: BTreeSet::new(), unchecked: Vec::new() };
        for EnvelopeSignature { keyid, sig } in &self.signatures {
            let Some(key) = trusted.iter().find(|key| key.id().as_str() == keyid) else {
                verified.unchecked.push(keyid.clone());
                continue;
            };
            let signature = Base64::decode_vec(sig)
                .map_err(|_| EnvelopeError::Base64(format!("the signature of key {keyid}")))?;
            if !key.verifies(&message, &signature) {
                return Err(EnvelopeError::Wrong(key.id()));
            }
            verified.keys.insert(key.id());
        }
        if verified.keys.is_empty() {
            return Err(EnvelopeError::Untrusted(verified.unchecked));
        }
        Ok(verified)
    }
}

/// The message that keys sign: `DSSEv1 SP LEN(type) SP type SP LEN(payload) SP payload`, lengths in decimal.
pub(super) fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut message = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    message.extend_from_slice(payload);
    message
}

#[cfg(test)]
mod tests;
