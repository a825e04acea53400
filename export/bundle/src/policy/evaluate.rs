//! The one function that holds a policy against a bundle.

use super::document::{EvaluationRule, ModelRule, Policy, SignatureRule};
use super::evidence::Evidence;
use super::rules::{Finding, findings};
use super::values::{Digest, TrustedKey};
use super::verdict::{Requirement, Verdict};
use crate::Certificate;

/// Holds a policy against a bundle: every requirement with what is wanted, what is found, and whether that is enough.
///
/// It is total: any policy and any evidence have a verdict. A stricter policy is met by no bundle that fails a laxer one.
/// For each entry of `[[evaluation]]` one certificate must meet everything; where several do, the first by name is shown,
/// and where none does, the one that misses least.
pub fn evaluate(policy: &Policy, evidence: &Evidence<'_>) -> Verdict {
    let mut requirements = Vec::new();
    if policy.allow_anything {
        let finding = Finding::new("allow_anything", "nothing", "a bundle", true);
        requirements.push(requirement("policy", None, finding));
    }
    if let Some(rule) = &policy.signature {
        requirements.push(requirement("signature", None, signature(rule, evidence)));
    }
    if let Some(rule) = &policy.model {
        requirements.push(requirement("model", None, model(rule, evidence)));
    }
    for (index, rule) in policy.evaluation.iter().enumerate() {
        requirements.extend(evaluation(index, rule, evidence));
    }
    Verdict::new(requirements)
}

fn requirement(part: &str, certificate: Option<&str>, finding: Finding) -> Requirement {
    let Finding { name, wanted, found, met } = finding;
    let certificate = certificate.map(str::to_owned);
    Requirement { part: part.into(), certificate, name: name.into(), wanted, found, met }
}

fn signature(rule: &SignatureRule, evidence: &Evidence<'_>) -> Finding {
    let trusted: Vec<_> = rule.trusted.iter().filter_map(TrustedKey::id).collect();
    let signed: Vec<String> =
        evidence.verified.iter().filter(|id| trusted.contains(id)).map(ToString::to_string).collect();
    let least = rule.min_signatures();
    let names: Vec<_> = rule
        .trusted
        .iter()
        .map(|key| match key {
            TrustedKey::File(name) => format!("{name} (not read)"),
            TrustedKey::Key(key) => key.id().to_string(),
            TrustedKey::Id(id) => id.to_string(),
        })
        .collect();
    let signatures = if least == 1 { "1 signature" } else { &format!("{least} signatures") };
    let wanted = format!("at least {signatures} by {}", names.join(", "));
    let fault = evidence.signature_fault.as_ref().map(|fault| format!("none: {fault}"));
    let found = if signed.is_empty() { fault.unwrap_or_else(|| "none".into()) } else { signed.join(", ") };
    Finding::new("trusted", wanted, found, signed.len() >= least && least > 0)
}

fn model(rule: &ModelRule, evidence: &Evidence<'_>) -> Finding {
    let wanted: Vec<_> = rule.digest.iter().map(Digest::as_str).collect();
    let found = evidence.model_digest();
    let met = wanted.contains(&found.as_str());
    Finding::new("digest", wanted.join(", or "), found, met)
}

/// What the best certificate shows: the one that misses least.
fn evaluation(index: usize, rule: &EvaluationRule, evidence: &Evidence<'_>) -> Vec<Requirement> {
    let look = |certificate: Option<&Certificate>| findings(rule, certificate, evidence);
    let missed = |findings: &[Finding]| findings.iter().filter(|finding| !finding.met).count();
    let shown = evidence.certificates.iter().map(|known| (&known.name, look(Some(&known.certificate))));
    let best = shown.min_by_key(|(name, findings)| (missed(findings), *name));
    let (name, findings) = match best {
        Some((name, findings)) => (Some(name.as_str()), findings),
        None => (None, look(None)),
    };
    let part = format!("evaluation {}", index + 1);
    findings.into_iter().map(|finding| requirement(&part, name, finding)).collect()
}

#[cfg(test)]
mod tests;
