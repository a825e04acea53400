//! Private and public keys: made, read, written, and what they sign.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::pkcs8::KeypairBytes;
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::elliptic_curve::Generate as _;
use p256::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, Document, EncodePrivateKey as _, EncodePublicKey as _,
    LineEnding, ObjectIdentifier, PrivateKeyInfoRef, SecretDocument, SubjectPublicKeyInfoRef,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::digest::{digest_bytes, is_sha256};

/// How a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Ed25519 (RFC 8032): the signature is 64 bytes.
    Ed25519,
    /// ECDSA over P-256 of the SHA-256 of the message: the signature is ASN.1 DER of `(r, s)`.
    EcdsaP256,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Ed25519, Self::EcdsaP256];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa-p256",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a key is called: the SHA-256 of its SPKI in DER, in lowercase hexadecimal.
///
/// `openssl pkey -pubin -in KEY.pub -outform DER | sha256sum` prints it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

impl KeyId {
    /// As envelopes have it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match is_sha256(text) {
            true => Ok(Self(text.to_owned())),
            false => Err(format!("`{text}` is not a key id: wanted 64 lowercase hexadecimal digits")),
        }
    }
}

impl TryFrom<String> for KeyId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no key that we use. The caller knows the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A private key behind a password.
    #[error("the private key is encrypted; decrypt it with `openssl pkey -in FILE -out PLAIN.key`")]
    Encrypted,
    /// Any other block of PEM than the wanted one.
    #[error("found PEM `{found}`, wanted `{wanted}`; {way_out}")]
    Label {
        /// The label found.
        found: String,
        /// The label wanted.
        wanted: &'static str,
        /// What makes one of the other.
        way_out: &'static str,
    },
    /// A key of an algorithm that we do not use.
    #[error(
        "the key is of algorithm {0}; wanted ed25519 or ecdsa-p256: `mimir-certify keygen NAME` makes one"
    )]
    Algorithm(String),
    /// No PEM, or PEM of something else.
    #[error("not a key in PEM: {0}")]
    Malformed(String),
}

const PRIVATE_LABEL: &str = "PRIVATE KEY";
const PUBLIC_LABEL: &str = "PUBLIC KEY";

/// A key that signatures are checked with.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(Public);

#[derive(Clone, PartialEq, Eq)]
enum Public {
    Ed25519(ed25519_dalek::VerifyingKey),
    EcdsaP256(p256::ecdsa::VerifyingKey),
}

impl PublicKey {
    /// Reads a public key: SPKI in PEM.
    ///
    /// # Errors
    /// When the text is no PEM, PEM of something else, or a key of another algorithm.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let text = check_label(text, PUBLIC_LABEL)?;
        let (_, document) = Document::from_pem(text).map_err(malformed)?;
        let spki: SubjectPublicKeyInfoRef<'_> = document.decode_msg().map_err(malformed)?;
        let parameters = spki.algorithm.parameters_oid().ok();
        match algorithm(spki.algorithm.oid, parameters)? {
            Algorithm::Ed25519 => {
                let key = ed25519_dalek::VerifyingKey::from_public_key_der(document.as_bytes());
                let key = key.map_err(malformed)?;
                // Such a key would accept a signature of any message.
                if key.is_weak() {
                    return Err(KeyError::Malformed("a point of small order".into()));
                }
                Ok(Self(Public::Ed25519(key)))
            }
            Algorithm::EcdsaP256 => {
                let key = p256::ecdsa::VerifyingKey::from_public_key_der(document.as_bytes());
                Ok(Self(Public::EcdsaP256(key.map_err(malformed)?)))
            }
        }
    }

    /// The key as SPKI in PEM.
    ///
    /// # Errors
    /// When it cannot be encoded, which no key is known to cause.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let pem = match &self.0 {
            Public::Ed25519(key) => key.to_public_key_pem(LineEnding::LF),
            Public::EcdsaP256(key) => key.to_public_key_pem(LineEnding::LF),
        };
        pem.map_err(malformed)
    }

    /// How it signs.
    pub fn algorithm(&self) -> Algorithm {
        match &self.0 {
            Public::Ed25519(_) => Algorithm::Ed25519,
            Public::EcdsaP256(_) => Algorithm::EcdsaP256,
        }
    }

    /// What it is called.
    pub fn id(&self) -> KeyId {
        let der = match &self.0 {
            Public::Ed25519(key) => key.to_public_key_der(),
            Public::EcdsaP256(key) => key.to_public_key_der(),
        };
        // A key that could not be encoded would be called like no key in any envelope.
        KeyId(der.map(|der| digest_bytes(der.as_bytes())).unwrap_or_default())
    }

    /// Whether this is the key's signature of that message.
    ///
    /// Ed25519 is checked strictly: no key and no point of small order, no `s` beyond the group order. ECDSA accepts
    /// `(r, n - s)` for `(r, s)`, as openssl does and must: a signature identifies nothing here.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.0 {
            Public::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            Public::EcdsaP256(key) => p256::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.algorithm(), self.id())
    }
}

/// A key that signs. It is wiped from memory when it is dropped, and `Debug` does not show it.
pub struct PrivateKey(Private);

enum Private {
    Ed25519(ed25519_dalek::SigningKey),
    EcdsaP256(p256::ecdsa::SigningKey),
}

impl PrivateKey {
    /// A new key, from the random numbers of the operating system.
    ///
    /// # Errors
    /// When the operating system has none, in words.
    pub fn generate(algorithm: Algorithm) -> Result<Self, String> {
        match algorithm {
            Algorithm::Ed25519 => <[u8; 32]>::try_generate()
                .map(Zeroizing::new)
                .map(|secret| Self(Private::Ed25519(ed25519_dalek::SigningKey::from_bytes(&secret))))
                .map_err(|error| error.to_string()),
            Algorithm::EcdsaP256 => p256::ecdsa::SigningKey::try_generate()
                .map(|key| Self(Private::EcdsaP256(key)))
                .map_err(|error| error.to_string()),
        }
    }

    /// Reads a private key: PKCS#8 in PEM, not encrypted.
    ///
    /// # Errors
    /// When the text is no PEM, PEM of something else, encrypted, or a key of another algorithm.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let text = check_label(text, PRIVATE_LABEL)?;
        let (_, document) = SecretDocument::from_pem(text).map_err(malformed)?;
        let info: PrivateKeyInfoRef<'_> = document.decode_msg().map_err(malformed)?;
        match algorithm(info.algorithm.oid, info.algorithm.parameters_oid().ok())? {
            Algorithm::Ed25519 => {
                let key = ed25519_dalek::SigningKey::from_pkcs8_der(document.as_bytes());
                Ok(Self(Private::Ed25519(key.map_err(malformed)?)))
            }
            Algorithm::EcdsaP256 => {
                let key = p256::ecdsa::SigningKey::from_pkcs8_der(document.as_bytes());
                Ok(Self(Private::EcdsaP256(key.map_err(malformed)?)))
            }
        }
    }

    /// The key as PKCS#8 in PEM. Wiped from memory when it is dropped.
    ///
    /// # Errors
    /// When it cannot be encoded, which no key is known to cause.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        let pem = match &self.0 {
            // Without the public key: openssl before 3.2 does not read version 2 of PKCS#8, which has it.
            Private::Ed25519(key) => {
                KeypairBytes { secret_key: key.to_bytes(), public_key: None }.to_pkcs8_pem(LineEnding::LF)
            }
            Private::EcdsaP256(key) => key.to_pkcs8_pem(LineEnding::LF),
        };
        pem.map_err(malformed)
    }

    /// The key that checks its signatures.
    pub fn public(&self) -> PublicKey {
        PublicKey(match &self.0 {
            Private::Ed25519(key) => Public::Ed25519(key.verifying_key()),
            Private::EcdsaP256(key) => Public::EcdsaP256(*key.verifying_key()),
        })
    }

    /// Its signature of that message: the same each time (RFC 8032, RFC 6979), so that no random number can betray the
    /// key.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.0 {
            Private::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
            Private::EcdsaP256(key) => {
                let signature: p256::ecdsa::DerSignature = key.sign(message);
                signature.as_bytes().to_vec()
            }
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {})", self.public().id())
    }
}

/// The text from its first block on, which has the wanted label.
fn check_label<'a>(text: &'a str, wanted: &'static str) -> Result<&'a str, KeyError> {
    const BEGIN: &str = "-----BEGIN ";
    let text = text.find(BEGIN).and_then(|start| text.get(start..));
    let label = text.and_then(|text| Some(text.get(BEGIN.len()..)?.split_once("-----")?.0));
    let (Some(text), Some(found)) = (text, label) else {
        return Err(KeyError::Malformed(format!("there is no `{BEGIN}{wanted}-----`")));
    };
    if found == wanted {
        return Ok(text);
    }
    let way_out = match (found, wanted) {
        ("ENCRYPTED PRIVATE KEY", PRIVATE_LABEL) => return Err(KeyError::Encrypted),
        ("CERTIFICATE", PUBLIC_LABEL) => "`openssl x509 -in FILE -noout -pubkey` prints its public key",
        (_, PUBLIC_LABEL) if found.ends_with(PRIVATE_LABEL) => {
            "this is a secret: `openssl pkey -in FILE -pubout` prints its public key"
        }
        (PUBLIC_LABEL, PRIVATE_LABEL) => "only the private key signs",
        (_, PRIVATE_LABEL) if found.ends_with(PRIVATE_LABEL) => {
            "`openssl pkcs8 -topk8 -nocrypt -in FILE -out PLAIN.key` converts it"
        }
        _ => "`mimir-certify keygen NAME` makes keys",
    };
    Err(KeyError::Label { found: found.chars().take(40).collect(), wanted, way_out })
}

const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");

/// The algorithm of these object identifiers.
fn algorithm(oid: ObjectIdentifier, parameters: Option<ObjectIdentifier>) -> Result<Algorithm, KeyError> {
    match (oid, parameters) {
        (ED25519, None) => Ok(Algorithm::Ed25519),
        (EC, Some(P256)) => Ok(Algorithm::EcdsaP256),
        (oid, parameters) => {
            let named = match oid.to_string().as_str() {
                "1.2.840.113549.1.1.1" => "RSA".to_owned(),
                "1.3.101.113" => "Ed448".to_owned(),
                other => other.to_owned(),
            };
            let curve = parameters.map(|oid| format!(" with curve {oid}")).unwrap_or_default();
            Err(KeyError::Algorithm(format!("{named}{curve}")))
        }
    }
}

fn malformed(error: impl fmt::Display) -> KeyError {
    KeyError::Malformed(error.to_string())
}

#[cfg(test)]
mod tests;
