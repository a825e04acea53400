//! `mimir_policy`: what a model must show before it is loaded.

use std::ffi::c_char;
use std::time::Duration;

use mimir_bundle::policy::{
    Age, AttackRule, Compared, Digest, EvaluationRule, Fraction, ModelRule, POLICY_VERSION, Policy,
    PresetName, Radius, SignatureRule, TrustedKey,
};
use mimir_bundle::signature::PublicKey;

use crate::error::mimir_error;
use crate::guard::{Result, guarded, made, or};
use crate::input;
use crate::text::{read_path, read_text};

/// What a model must show.
#[derive(Debug, Clone)]
pub struct mimir_policy {
    pub(crate) rules: Policy,
    /// Keys that the policy names by their ids only.
    pub(crate) keys: Vec<PublicKey>,
}

impl mimir_policy {
    fn of(rules: Policy) -> Self {
        Self { rules, keys: Vec::new() }
    }

    /// The evaluation that is being described.
    fn evaluation(&mut self) -> Result<&mut EvaluationRule> {
        self.rules.evaluation.last_mut().ok_or_else(|| {
            mimir_error::argument("no ball is required yet: call mimir_policy_require_ball first")
        })
    }
}

fn empty() -> Policy {
    Policy { version: POLICY_VERSION, ..Policy::default() }
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_policy_new() -> Option<Box<mimir_policy>> {
    or(None, || Some(Box::new(mimir_policy::of(empty()))))
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_policy_allow_anything() -> Option<Box<mimir_policy>> {
    or(None, || Some(Box::new(mimir_policy::of(Policy { allow_anything: true, ..empty() }))))
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_policy_from_file(
    path: *const c_char,
    out: Option<&mut *mut mimir_policy>,
) -> Option<Box<mimir_error>> {
    made(out, || {
        // SAFETY: the caller's promise.
        let path = unsafe { read_path(path, "path") }?;
        Ok(mimir_policy::of(mimir_certify::read_policy(path)?))
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_policy_from_text(
    text: *const c_char,
    text_len: usize,
    out: Option<&mut *mut mimir_policy>,
) -> Option<Box<mimir_error>> {
    made(out, || {
        // SAFETY: the caller's promise.
        let text = unsafe { input::read(text.cast::<u8>(), text_len, "text") }?;
        let text = std::str::from_utf8(text).map_err(|error| mimir_error::argument(error.to_string()))?;
        let mut no_files = |name: &str| Err(format!("{name}: a policy in memory has no files beside it"));
        let rules = Policy::from_toml(text, &mut no_files);
        Ok(mimir_policy::of(rules.map_err(|error| mimir_error::argument(error.to_string()))?))
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_policy_clone(policy: Option<&mimir_policy>) -> Option<Box<mimir_policy>> {
    or(None, || policy.map(|policy| Box::new(policy.clone())))
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_policy_delete(policy: Option<Box<mimir_policy>>) {
    or((), || drop(policy));
}

/// Changes a policy; one that a change fails on is as it was.
fn change(
    policy: Option<&mut mimir_policy>,
    change: impl FnOnce(&mut mimir_policy) -> Result<()>,
) -> Option<Box<mimir_error>> {
    guarded(|| {
        let policy = policy.ok_or_else(|| mimir_error::null("policy"))?;
        if policy.rules.allow_anything {
            return Err(mimir_error::argument("a policy that allows anything requires nothing"));
        }
        let mut changed = policy.clone();
        change(&mut changed)?;
        *policy = changed;
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_policy_trust_key(
    policy: Option<&mut mimir_policy>,
    pem: *const c_char,
    pem_len: usize,
) -> Option<Box<mimir_error>> {
    change(policy, |policy| {
        // SAFETY: the caller's promise.
        let pem = unsafe { input::read(pem.cast::<u8>(), pem_len, "pem") }?;
        let pem = std::str::from_utf8(pem).map_err(|error| mimir_error::argument(error.to_string()))?;
        let key = PublicKey::from_pem(pem).map_err(|error| mimir_error::argument(error.to_string()))?;
        let id = key.id();
        let rule =
            policy.rules.signature.get_or_insert(SignatureRule { trusted: vec![], min_signatures: None });
        if rule.trusted.iter().any(|known| matches!(known, TrustedKey::Id(known) if *known == id)) {
            policy.keys.push(key);
        } else {
            rule.trusted.push(TrustedKey::Key(key));
        }
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_policy_require_signatures(
    policy: Option<&mut mimir_policy>,
    least: usize,
) -> Option<Box<mimir_error>> {
    change(policy, |policy| {
        let rule = policy.rules.signature.as_mut();
        let rule = rule.ok_or_else(|| {
            mimir_error::argument("no key is trusted yet: call mimir_policy_trust_key first")
        })?;
        if least == 0 {
            return Err(mimir_error::argument("least is 0, wanted at least 1"));
        }
        rule.min_signatures = Some(least);
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_policy_require_digest(
    policy: Option<&mut mimir_policy>,
    sha256: *const c_char,
) -> Option<Box<mimir_error>> {
    change(policy, |policy| {
        // SAFETY: the caller's promise.
        let text = unsafe { read_text(sha256, "sha256") }?;
        let digest = Digest::try_from(text.to_owned()).map_err(mimir_error::argument)?;
        policy.rules.model.get_or_insert(ModelRule { digest: Vec::new() }).digest.push(digest);
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_policy_require_ball(
    policy: Option<&mut mimir_policy>,
    norm: i32,
    epsilon: f64,
) -> Option<Box<mimir_error>> {
    change(policy, |policy| {
        let norm = crate::certificate::norm_of(norm)?;
        let wanted = "wanted a positive finite number";
        let radius = Radius::new(epsilon);
        let radius =
            radius.ok_or_else(|| mimir_error::argument(format!("epsilon is {epsilon}, {wanted}")))?;
        policy.rules.evaluation.push(EvaluationRule::new(norm, radius));
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_policy_require_attacked_accuracy(
    policy: Option<&mut mimir_policy>,
    least: f64,
    compared: i32,
) -> Option<Box<mimir_error>> {
    change(policy, |policy| {
        let compared = match compared {
            1 => Compared::Estimate,
            2 => Compared::Lower,
            other => {
                return Err(mimir_error::argument(format!(
                    "compared is {other}, which is no mimir_compared"
                )));
            }
        };
        let rule = policy.evaluation()?;
        rule.min_attacked_accuracy = Some(fraction(least)?);
        rule.gate_on = compared;
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_policy_require_clean_accuracy(
    policy: Option<&mut mimir_policy>,
    least: f64,
) -> Option<Box<mimir_error>> {
    change(policy, |policy| {
        policy.evaluation()?.min_clean_accuracy = Some(fraction(least)?);
        Ok(())
    })
}

fn fraction(value: f64) -> Result<Fraction> {
    Fraction::try_from(value).map_err(mimir_error::argument)
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_policy_require_preset(
    policy: Option<&mut mimir_policy>,
    name: *const c_char,
) -> Option<Box<mimir_error>> {
    change(policy, |policy| {
        // SAFETY: the caller's promise.
        let name = unsafe { read_text(name, "name") }?;
        let preset = PresetName::try_from(name.to_owned()).map_err(mimir_error::argument)?;
        policy.evaluation()?.min_preset = Some(preset);
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_policy_require_attack(
    policy: Option<&mut mimir_policy>,
    name: *const c_char,
) -> Option<Box<mimir_error>> {
    change(policy, |policy| {
        // SAFETY: the caller's promise.
        let name = unsafe { read_text(name, "name") }?;
        let rule = policy.evaluation()?;
        let attack = AttackRule { attack: name.to_owned(), parameters: [].into() };
        attack.wanted(rule.norm).map_err(mimir_error::argument)?;
        rule.attacks.push(attack);
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_policy_require_samples(
    policy: Option<&mut mimir_policy>,
    least: usize,
) -> Option<Box<mimir_error>> {
    change(policy, |policy| {
        if least == 0 {
            return Err(mimir_error::argument("least is 0, which every certificate has"));
        }
        policy.evaluation()?.min_images = Some(least);
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_policy_require_max_age(
    policy: Option<&mut mimir_policy>,
    seconds: u64,
) -> Option<Box<mimir_error>> {
    change(policy, |policy| {
        policy.evaluation()?.max_age = Some(Age::new(Duration::from_secs(seconds)));
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_policy_deny_warnings(policy: Option<&mut mimir_policy>) -> Option<Box<mimir_error>> {
    change(policy, |policy| {
        policy.evaluation()?.deny_warnings = true;
        Ok(())
    })
}
