//! Values of a policy: each is checked where it is read, so that no number of a policy is out of its range.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use crate::attack::Preset;
use crate::digest::is_sha256;
use crate::signature::{KeyId, PublicKey};

/// A share of images, in `[0, 1]`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Deserialize)]
#[serde(try_from = "f64")]
pub struct Fraction(f64);

impl Fraction {
    /// The share; `None` where it is not in `[0, 1]` (40 % is `0.40`).
    pub fn new(value: f64) -> Option<Self> {
        (0.0..=1.0).contains(&value).then_some(Self(value))
    }

    /// In `[0, 1]`.
    pub fn value(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Fraction {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        Self::new(value).ok_or_else(|| format!("{value}: wanted a share from 0 to 1 (40 % is 0.40)"))
    }
}

/// A radius in pixels of `[0, 1]`: `8/255`, or a decimal number.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Deserialize)]
#[serde(try_from = "Spelling")]
pub struct Radius(f64);

/// How a policy may spell a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Spelling {
    Text(String),
    Number(f64),
}

impl Radius {
    /// The radius; `None` where it is not a positive finite number.
    pub fn new(value: f64) -> Option<Self> {
        (value.is_finite() && value > 0.0).then_some(Self(value))
    }

    /// In pixels of `[0, 1]`.
    pub fn value(self) -> f64 {
        self.0
    }
}

impl TryFrom<Spelling> for Radius {
    type Error = String;

    fn try_from(spelling: Spelling) -> Result<Self, String> {
        let (text, value) = match spelling {
            Spelling::Number(value) => (value.to_string(), Some(value)),
            Spelling::Text(text) => {
                let number = |part: &str| part.trim().parse::<f64>().ok();
                let value = match text.split_once('/') {
                    Some((numerator, denominator)) => {
                        number(numerator).zip(number(denominator)).map(|(n, d)| n / d)
                    }
                    None => number(&text),
                };
                (text, value)
            }
        };
        let wanted = "wanted a positive number for pixels in [0, 1], such as \"8/255\" or 0.5";
        value.and_then(Self::new).ok_or_else(|| format!("radius {text}: {wanted}"))
    }
}

/// A time span: `90d`, `12h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Age(Duration);

impl Age {
    /// A time span.
    pub fn new(duration: Duration) -> Self {
        Self(duration)
    }

    /// The time span.
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl TryFrom<String> for Age {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wanted = "wanted a time span, such as \"90d\" or \"12h\"";
        humantime::parse_duration(&text).map(Self).map_err(|error| format!("`{text}`: {error}; {wanted}"))
    }
}

/// Versions of an engine, as Cargo writes them: `>=1.22, <2`, `=0.27.0`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Versions(semver::VersionReq);

impl Versions {
    /// Whether that version is one of them. A text that is no version is none of them, and a pre-release only where the
    /// requirement names one.
    pub fn contain(&self, version: &str) -> bool {
        semver::Version::parse(version).is_ok_and(|version| self.0.matches(&version))
    }
}

impl TryFrom<String> for Versions {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wanted = "wanted versions, such as \">=1.22, <2\", \"=0.27.0\" or \"*\"";
        semver::VersionReq::parse(&text).map(Self).map_err(|error| format!("`{text}`: {error}; {wanted}"))
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A SHA-256 digest in lowercase hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Digest(String);

impl Digest {
    /// The 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match is_sha256(&text) {
            true => Ok(Self(text)),
            false => Err(format!("`{text}` is not a SHA-256 digest: wanted 64 lowercase hexadecimal digits")),
        }
    }
}

/// A list of attacks with all their parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PresetName(pub Preset);

impl TryFrom<String> for PresetName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let names = Preset::NAMES.join(", ");
        Preset::named(&text).map(Self).ok_or_else(|| format!("there is no preset `{text}`: {names}"))
    }
}

/// Which number is held against the required attacked accuracy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compared {
    /// The attacked accuracy on the images of the certificate.
    #[default]
    Estimate,
    /// The lower end of its two-sided 95 % interval (Clopper–Pearson).
    Lower,
}

/// A parameter of an attack.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Number {
    /// Steps, restarts, targets, queries: at least so many.
    Count(usize),
    /// Any other number: exactly this.
    Real(f64),
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Real(number) => number.fmt(f),
        }
    }
}

/// A key that a policy trusts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum TrustedKey {
    /// The key itself.
    Key(PublicKey),
    /// What the key is called; the key itself is given with the bundle.
    Id(KeyId),
    /// A file with the key, still to be read: beside the policy, where it is relative.
    File(String),
}

impl TryFrom<String> for TrustedKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.contains("-----BEGIN") {
            return PublicKey::from_pem(&text).map(Self::Key).map_err(|error| error.to_string());
        }
        match text.parse() {
            Ok(id) => Ok(Self::Id(id)),
            Err(_) if text.trim().is_empty() => Err("an empty name is no key".into()),
            Err(_) => Ok(Self::File(text)),
        }
    }
}

impl TrustedKey {
    /// What it is called; none for a file that was not read.
    pub fn id(&self) -> Option<KeyId> {
        match self {
            Self::Key(key) => Some(key.id()),
            Self::Id(id) => Some(id.clone()),
            Self::File(_) => None,
        }
    }
}

/// Schemas of values that are written as one JSON type with a rule.
macro_rules! schemas {
    ($($type:ident: $schema:tt;)*) => {
        $(impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        })*
    };
}

schemas! {
    Fraction: {"description": "A share of images.", "type": "number", "minimum": 0, "maximum": 1};
    Radius: {"description": "A radius in pixels of [0, 1]: \"8/255\", or a number.", "type": ["number", "string"]};
    Age: {"description": "A time span, such as \"90d\".", "type": "string"};
    Versions: {"description": "Versions, such as \">=1.22, <2\".", "type": "string"};
    Digest: {"description": "SHA-256 in lowercase hexadecimal.", "type": "string", "pattern": "^[0-9a-f]{64}$"};
    PresetName: {"description": "A list of attacks.", "type": "string", "enum": ["standard", "plus", "rand", "fast", "mimir"]};
    TrustedKey: {"description": "A public key in PEM, a key id, or the name of a file with the key.", "type": "string"};
}
