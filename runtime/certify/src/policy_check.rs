//! Holds a policy against a bundle: reads the files that [`mimir_bundle::policy::evaluate`] does not.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mimir_bundle::bundle::Bundle;
use mimir_bundle::policy::{Evidence, Policy, SignatureRule, TrustedKey, Verdict, evaluate};
use mimir_bundle::signature::{KeyId, PublicKey};
use mimir_bundle::statement;

use crate::error::{ErrorKind, OrKind, Result, with_causes};
use crate::opened_bundle::open_bundle;
use crate::signing::TrustedKeyFile;

/// The answer of a policy. `Display` is the summary.
#[derive(Debug, Clone)]
pub struct PolicyCheck {
    /// Where the bundle is.
    pub bundle: PathBuf,
    /// The policy's file.
    pub policy: PathBuf,
    /// Every requirement.
    pub verdict: Verdict,
    /// Whether a signature was asked for.
    pub asks_for_signature: bool,
    /// Keys that the policy names by their ids, and that were not given: their signatures could not be verified.
    pub missing_keys: Vec<KeyId>,
}

/// Opens a bundle, with all checks that this makes, and holds a policy against it.
///
/// Keys of `trusted` are those that the policy names by their ids; they are added to none. Where the policy asks for no
/// signature, one by one of them is asked for.
///
/// # Errors
/// [`ErrorKind::Options`] when the policy or a key cannot be read, [`ErrorKind::Model`] when the bundle has a fault
/// anywhere. A requirement that is not met is no error.
pub fn check_policy(bundle: &Path, policy: &Path, trusted: &[TrustedKeyFile]) -> Result<PolicyCheck> {
    let rules = with_trusted(read_policy(policy)?, trusted);
    let opened = open_bundle(bundle)?;
    let keys = keys(&rules, trusted);
    let verdict = judge(&opened, &rules, &keys);
    Ok(PolicyCheck {
        bundle: bundle.to_owned(),
        policy: policy.to_owned(),
        verdict,
        asks_for_signature: rules.signature.is_some(),
        missing_keys: missing_keys(&rules, &keys),
    })
}

/// Holds a policy against a bundle that was opened, on this machine and now.
pub(crate) fn judge(bundle: &Bundle, rules: &Policy, keys: &[PublicKey]) -> Verdict {
    let (verified, signature_fault) = verified_keys(bundle, keys);
    let here = mimir_runtime::processor::detect();
    let evidence = Evidence {
        processor: Some(&here),
        signature_fault,
        ..Evidence::new(bundle, &verified, SystemTime::now())
    };
    evaluate(rules, &evidence)
}

/// Reads a policy, and the keys that it names by files beside it.
///
/// # Errors
/// [`ErrorKind::Options`] when it or a key cannot be read, or asks for what cannot be.
pub fn read_policy(path: &Path) -> Result<Policy> {
    let text = crate::signing::read_text(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut read_key =
        |name: &str| crate::signing::read_text(&folder.join(name)).map_err(|error| with_causes(&error));
    let policy = Policy::from_toml(&text, &mut read_key).or_kind(ErrorKind::Options);
    policy.map_err(|error| error.context(path.display()))
}

fn with_trusted(policy: Policy, trusted: &[TrustedKeyFile]) -> Policy {
    if trusted.is_empty() || policy.signature.is_some() || policy.allow_anything {
        return policy;
    }
    let trusted = trusted.iter().map(|one| TrustedKey::Key(one.key.clone())).collect();
    Policy { signature: Some(SignatureRule { trusted, min_signatures: None }), ..policy }
}

/// Keys that a policy names by their ids, and that are not at hand: no signature of theirs can be verified.
fn missing_keys(policy: &Policy, keys: &[PublicKey]) -> Vec<KeyId> {
    let named = policy.signature.iter().flat_map(|rule| &rule.trusted);
    let is_missing = |id: &&KeyId| keys.iter().all(|key| key.id() != **id);
    let ids = named.filter_map(|key| match key {
        TrustedKey::Id(id) => Some(id),
        TrustedKey::Key(_) | TrustedKey::File(_) => None,
    });
    ids.filter(is_missing).cloned().collect()
}

/// All keys at hand. Which of them count, the policy says.
fn keys(policy: &Policy, trusted: &[TrustedKeyFile]) -> Vec<PublicKey> {
    let others = trusted.iter().map(|one| one.key.clone());
    keys_of(policy).chain(others).collect()
}

/// The keys that a policy holds.
pub(crate) fn keys_of(policy: &Policy) -> impl Iterator<Item = PublicKey> {
    policy.signature.iter().flat_map(|rule| &rule.trusted).filter_map(|key| match key {
        TrustedKey::Key(key) => Some(key.clone()),
        TrustedKey::Id(_) | TrustedKey::File(_) => None,
    })
}

fn verified_keys(bundle: &Bundle, keys: &[PublicKey]) -> (BTreeSet<KeyId>, Option<String>) {
    match statement::verify(bundle, keys) {
        Ok(signed) => (signed.keys, None),
        Err(error) => (BTreeSet::new(), Some(error.to_string())),
    }
}

impl fmt::Display for PolicyCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.verdict)?;
        let (policy, bundle) = (self.policy.display(), self.bundle.display());
        for id in &self.missing_keys {
            writeln!(
                f,
                "\n{policy} names the key {id} by its id, and the key itself was not given: its signatures were not \
                 verified; give it with --trust FILE"
            )?;
        }
        if !self.asks_for_signature {
            writeln!(
                f,
                "\n{policy} asks for no signature: whoever can write {bundle} decides what it shows"
            )?;
        }
        Ok(())
    }
}
