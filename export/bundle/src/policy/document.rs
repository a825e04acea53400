//! `policy.toml`: its keys, and what it cannot say.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::values::{Age, Compared, Digest, Fraction, Number, PresetName, Radius, TrustedKey, Versions};
use crate::Norm;
use crate::attack::{Argument, AttackSpec, Preset};
use crate::signature::PublicKey;

/// The version of the format that this crate reads.
pub const POLICY_VERSION: u32 = 1;

/// The engines that certificates name.
const ENGINES: [&str; 2] = ["onnxruntime", "rten"];

/// What a bundle must show. Every part that is there must be met.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// [`POLICY_VERSION`].
    pub version: u32,
    /// Nothing is asked for. It must be said, and nothing else with it.
    #[serde(default)]
    pub allow_anything: bool,
    /// Who must have signed.
    pub signature: Option<SignatureRule>,
    /// Which model it must be.
    pub model: Option<ModelRule>,
    /// What certificates must show: for each entry one certificate that meets all of it.
    #[serde(default)]
    pub evaluation: Vec<EvaluationRule>,
}

/// Who must have signed the bundle.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignatureRule {
    /// Keys whose signatures count.
    pub trusted: Vec<TrustedKey>,
    /// Signatures by different trusted keys, at least; 1 where absent.
    pub min_signatures: Option<usize>,
}

/// Which model the bundle must hold.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelRule {
    /// Digests of models that are accepted: `model_digest` of their certificates.
    pub digest: Vec<Digest>,
}

/// What one certificate must show.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluationRule {
    /// The norm of the threat model.
    pub norm: Norm,
    /// Its radius, at least: whoever withstands a larger ball withstands the smaller one inside.
    pub min_epsilon: Radius,
    /// Whether a certificate of perturbations in 8-bit levels counts. An adversary may do more than these.
    #[serde(default)]
    pub accept_8bit: bool,
    /// A list of attacks that must have run, with at least its parameters.
    pub min_preset: Option<PresetName>,
    /// Attacks that must have run; none where absent.
    #[serde(default, deserialize_with = "one_or_more")]
    #[schemars(length(min = 1))]
    pub attacks: Vec<AttackRule>,
    /// The attacked accuracy, at least.
    pub min_attacked_accuracy: Option<Fraction>,
    /// Which number is held against it.
    #[serde(default)]
    pub gate_on: Compared,
    /// The accuracy on the images as they are, at least.
    pub min_clean_accuracy: Option<Fraction>,
    /// Images, at least.
    pub min_images: Option<usize>,
    /// The images and labels, one of these; any where absent.
    #[serde(default, deserialize_with = "one_or_more")]
    #[schemars(length(min = 1))]
    pub data: Vec<DataRule>,
    /// The age of the certificate, at most.
    pub max_age: Option<Age>,
    /// Engines that may have run the model, and their versions; any where absent.
    #[serde(default, deserialize_with = "one_or_more")]
    #[schemars(extend("minProperties" = 1))]
    pub engines: BTreeMap<String, Versions>,
    /// Whether gradients of attacks may have been approximated or cut.
    #[serde(default)]
    pub accept_gradient_approximations: bool,
    /// Whether an evaluation counts that stopped when its own gate was decided. Images that it was not done with never
    /// count as robust.
    #[serde(default)]
    pub accept_gate_decided: bool,
    /// Whether any other warning that weakens the numbers is refused.
    #[serde(default)]
    pub deny_warnings: bool,
    /// Whether the processor of the evaluation must have the instruction sets of the one that the bundle is for: 8-bit
    /// products may differ between processors.
    #[serde(default)]
    pub same_processor_features: bool,
}

/// An attack that must have run.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct AttackRule {
    /// Its name.
    pub attack: String,
    /// Its parameters that are not the customary ones, by their names in certificates. Of counts, such as `steps`, these
    /// are the least.
    #[serde(flatten)]
    pub parameters: BTreeMap<String, Number>,
}

/// Images with their labels.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataRule {
    /// `images_digest` of certificates.
    pub images_digest: Digest,
    /// `labels_digest` of certificates.
    pub labels_digest: Digest,
}

/// Why a text is no policy.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PolicyError {
    /// Not TOML, a key too many, a key missing, or a value out of its range.
    #[error("{0}")]
    Format(String),
    /// Another version of the format.
    #[error("version is {0}, this program reads version {POLICY_VERSION}")]
    Version(u32),
    /// Nothing is asked for.
    #[error(
        "the policy asks for nothing: give [signature], [model] or [[evaluation]], or say `allow_anything = true`"
    )]
    Empty,
    /// Nothing is asked for, and something is.
    #[error("`allow_anything = true` excludes everything else: delete it, or the rest")]
    AnythingAndMore,
    /// A key or value that cannot stand where it stands.
    #[error("{place}: {message}")]
    Rule {
        /// The table.
        place: String,
        /// What is wrong, and what is wanted.
        message: String,
    },
}

impl Policy {
    /// Reads a policy. `read_key` gives the text of a file that `signature.trusted` names.
    ///
    /// # Errors
    /// Names the line or the table, what was found and what is wanted.
    pub fn from_toml(
        text: &str,
        read_key: &mut dyn FnMut(&str) -> Result<String, String>,
    ) -> Result<Self, PolicyError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let Version { version } = toml::from_str(text).map_err(|error| format_error(&error))?;
        if version != POLICY_VERSION {
            return Err(PolicyError::Version(version));
        }
        let mut policy: Self = toml::from_str(text).map_err(|error| format_error(&error))?;
        policy.check()?;
        policy.read_keys(read_key)?;
        Ok(policy)
    }

    /// Checks that the keys can stand together.
    ///
    /// # Errors
    /// Names the table, what was found and what is wanted.
    pub fn check(&self) -> Result<(), PolicyError> {
        let Self { signature, model, evaluation, .. } = self;
        let is_empty = signature.is_none() && model.is_none() && evaluation.is_empty();
        match (self.allow_anything, is_empty) {
            (true, true) => return Ok(()),
            (true, false) => return Err(PolicyError::AnythingAndMore),
            (false, true) => return Err(PolicyError::Empty),
            (false, false) => {}
        }
        let refuse = |place: &str, message: String| PolicyError::Rule { place: place.into(), message };
        if let Some(rule) = signature {
            rule.check().map_err(|message| refuse("signature", message))?;
        }
        if model.as_ref().is_some_and(|rule| rule.digest.is_empty()) {
            return Err(refuse("model", "digest is empty: no model would be accepted".into()));
        }
        for (index, rule) in evaluation.iter().enumerate() {
            let place = format!("evaluation {}", index + 1);
            rule.check().map_err(|message| refuse(&place, message))?;
        }
        Ok(())
    }

    fn read_keys(
        &mut self,
        read_key: &mut dyn FnMut(&str) -> Result<String, String>,
    ) -> Result<(), PolicyError> {
        for trusted in self.signature.iter_mut().flat_map(|rule| &mut rule.trusted) {
            let TrustedKey::File(name) = trusted else { continue };
            let key = read_key(name)
                .and_then(|text| PublicKey::from_pem(&text).map_err(|error| format!("{name}: {error}")));
            let refuse = |message| PolicyError::Rule { place: "signature".into(), message };
            *trusted = TrustedKey::Key(key.map_err(refuse)?);
        }
        self.signature
            .as_ref()
            .map_or(Ok(()), SignatureRule::check_number)
            .map_err(|message| PolicyError::Rule { place: "signature".into(), message })
    }
}

impl SignatureRule {
    /// How many keys must have signed.
    pub fn min_signatures(&self) -> usize {
        self.min_signatures.unwrap_or(1)
    }

    fn check(&self) -> Result<(), String> {
        match (self.trusted.is_empty(), self.min_signatures()) {
            (true, _) => Err("trusted is empty: nobody could sign".into()),
            (_, 0) => Err("min_signatures is 0: without [signature] none is asked for".into()),
            _ => self.check_number(),
        }
    }

    /// No more signatures are asked for than there are keys.
    fn check_number(&self) -> Result<(), String> {
        let ids: BTreeSet<_> = self.trusted.iter().filter_map(TrustedKey::id).collect();
        let files = self.trusted.iter().filter(|key| matches!(key, TrustedKey::File(_))).count();
        let (keys, wanted) = (ids.len() + files, self.min_signatures());
        match wanted <= keys {
            true => Ok(()),
            false => Err(format!("min_signatures is {wanted}, but {keys} different keys are trusted")),
        }
    }
}

impl EvaluationRule {
    /// Only that the model was evaluated in a ball as large as this.
    pub fn new(norm: Norm, min_epsilon: Radius) -> Self {
        Self {
            norm,
            min_epsilon,
            accept_8bit: false,
            min_preset: None,
            attacks: Vec::new(),
            min_attacked_accuracy: None,
            gate_on: Compared::default(),
            min_clean_accuracy: None,
            min_images: None,
            data: Vec::new(),
            max_age: None,
            engines: BTreeMap::new(),
            accept_gradient_approximations: false,
            accept_gate_decided: false,
            deny_warnings: false,
            same_processor_features: false,
        }
    }

    fn check(&self) -> Result<(), String> {
        let epsilon = self.min_epsilon.value();
        if self.norm == Norm::Linf && epsilon > 1.0 {
            return Err(format!(
                "min_epsilon is {epsilon}: in pixels of [0, 1] no L∞ radius is larger than 1"
            ));
        }
        for rule in &self.attacks {
            rule.wanted(self.norm)?;
        }
        if self.min_attacked_accuracy.is_some() && self.min_preset.is_none() && self.attacks.is_empty() {
            return Err("min_attacked_accuracy says nothing without the attacks that must have run: give \
                        min_preset or attacks"
                .into());
        }
        if self.gate_on == Compared::Lower && self.min_attacked_accuracy.is_none() {
            return Err("gate_on has no effect without min_attacked_accuracy".into());
        }
        if self.min_images == Some(0) {
            return Err("min_images is 0, which every certificate has".into());
        }
        match self.engines.keys().find(|name| !ENGINES.contains(&name.as_str())) {
            Some(unknown) => {
                let near = near_word(unknown, &ENGINES);
                Err(format!("engines: there is no engine `{unknown}`{near} ({})", ENGINES.join(", ")))
            }
            None => Ok(()),
        }
    }
}

/// A list that is there names something. Whoever leaves one empty meant something that would not be asked for.
fn one_or_more<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default + PartialEq,
{
    let list = T::deserialize(deserializer)?;
    match list == T::default() {
        true => {
            Err(D::Error::custom("is empty: name at least one, or omit the key, which then asks for nothing"))
        }
        false => Ok(list),
    }
}

impl AttackRule {
    /// The attack that it asks for: the customary parameters for that norm, and its own.
    ///
    /// # Errors
    /// When there is no such attack, no such parameter, or a value out of its range.
    pub fn wanted(&self, norm: Norm) -> Result<AttackSpec, String> {
        let Some(mut spec) = Preset::standard_form(&self.attack, norm) else {
            let near = near_word(&self.attack, AttackSpec::NAMES);
            let names = AttackSpec::NAMES.join(", ");
            return Err(format!("attacks: there is no attack `{}`{near} ({names})", self.attack));
        };
        for (name, value) in &self.parameters {
            let is_set = match *value {
                Number::Count(count) => {
                    spec.set(name, Argument::Count(count)) || spec.set(name, Argument::Number(count as f64))
                }
                Number::Real(number) => spec.set(name, Argument::Number(number)),
            };
            if !is_set && let Some(Argument::Count(_)) = spec.get(name) {
                let attack = &self.attack;
                return Err(format!(
                    "attacks: {attack}: {name} is {value}, must be a whole number from 1 to 1000000"
                ));
            }
            if !is_set {
                let known: Vec<&str> = spec.parameters().iter().map(|parameter| parameter.name).collect();
                let near = near_word(name, &known);
                let (attack, known) = (&self.attack, known.join(", "));
                return Err(format!("attacks: {attack} has no number `{name}`{near} ({known})"));
            }
        }
        spec.check().map_err(|error| format!("attacks: {error}"))?;
        Ok(spec)
    }
}

/// The error of the TOML reader, with the nearest known key where one is unknown.
fn format_error(error: &toml::de::Error) -> PolicyError {
    let text = error.to_string();
    // serde: "unknown field `x`, expected one of `a`, `b`".
    let mut quoted = error.message().strip_prefix("unknown field ").into_iter().flat_map(|rest| {
        rest.split('`').enumerate().filter(|(index, _)| index % 2 == 1).map(|(_, word)| word)
    });
    let hint = quoted.next().map(|unknown| near_word(unknown, &quoted.collect::<Vec<_>>()));
    PolicyError::Format(text.trim_end().to_owned() + &hint.unwrap_or_default())
}

/// `, did you mean …?`, or nothing where no word is near.
fn near_word(word: &str, known: &[&str]) -> String {
    // The similarity above which clap, too, makes a suggestion.
    const SIMILAR: f64 = 0.7;
    let similarity = |candidate: &str| strsim::jaro_winkler(word, candidate);
    let near = known.iter().max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
    let near = near.filter(|near| similarity(near) > SIMILAR);
    near.map_or_else(String::new, |near| format!(", did you mean `{near}`?"))
}

#[cfg(test)]
mod tests;
