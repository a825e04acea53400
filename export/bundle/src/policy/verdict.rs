//! The answer: every requirement as wanted, found, and met or not.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

/// One thing that a policy asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// The part of the policy: `signature`, `model`, `evaluation 1`.
    pub part: String,
    /// The certificate that was held against it; none where it is not about one, or there is none.
    pub certificate: Option<String>,
    /// What it is about, in a word or two: mostly the key of the policy.
    pub name: String,
    /// What the policy asks for.
    pub wanted: String,
    /// What the bundle shows.
    pub found: String,
    /// Whether that is enough.
    pub met: bool,
}

/// The answer of a policy. Whether it is met follows from its requirements, and nothing else is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(into = "Document")]
#[schemars(with = "Document")]
pub struct Verdict {
    requirements: Vec<Requirement>,
}

/// A verdict as JSON.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Verdict", deny_unknown_fields)]
struct Document {
    /// `holds` or `does_not_hold`.
    conclusion: &'static str,
    /// The exit code of the program: 0 or 10.
    exit_code: u8,
    /// Every requirement, in the order of the policy.
    requirements: Vec<Requirement>,
}

impl From<Verdict> for Document {
    fn from(verdict: Verdict) -> Self {
        let conclusion = if verdict.is_met() { "holds" } else { "does_not_hold" };
        Self { conclusion, exit_code: verdict.exit_code(), requirements: verdict.requirements }
    }
}

impl Verdict {
    pub(super) fn new(requirements: Vec<Requirement>) -> Self {
        Self { requirements }
    }

    /// Every requirement, in the order of the policy.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether all requirements are met. A verdict without any is none.
    pub fn is_met(&self) -> bool {
        !self.requirements.is_empty() && self.requirements.iter().all(|requirement| requirement.met)
    }

    /// 0 where the policy is met, 10 where it is not.
    pub fn exit_code(&self) -> u8 {
        if self.is_met() { 0 } else { 10 }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missed = self.requirements.iter().filter(|requirement| !requirement.met).count();
        let all = self.requirements.len();
        match self.is_met() {
            true => writeln!(f, "PASS  the bundle meets the policy ({all} requirements)"),
            false => writeln!(f, "FAIL  the bundle does not meet the policy: {missed} of {all} requirements"),
        }?;
        let longest = self.requirements.iter().map(|requirement| requirement.name.len()).max().unwrap_or(0);
        let mut part = None;
        for requirement in &self.requirements {
            let Requirement { certificate, name, wanted, found, met, .. } = requirement;
            if part.replace(&requirement.part) != Some(&requirement.part) {
                let of = certificate.as_ref().map(|file| format!(" by {file}")).unwrap_or_default();
                writeln!(f, "\n{}{of}", requirement.part)?;
            }
            let word = if *met { "met" } else { "NOT MET" };
            writeln!(f, "  {word:<8} {name:<longest$} wanted {wanted}; found {found}")?;
        }
        Ok(())
    }
}
