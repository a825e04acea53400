//! What a user of a model asks of its bundle, and whether the bundle shows it.
//!
//! [`Policy::from_toml`] reads `policy.toml`; [`evaluate`] holds it against a bundle. Evaluation reads no file and no
//! clock: it is a total function of the policy and the [`Evidence`]. Text, JSON and exit code are views of the one
//! [`Verdict`] that it returns. `docs/policy.md` describes every key.

mod contradiction;
mod document;
mod evaluate;
mod evidence;
mod rules;
mod values;
mod verdict;

pub use document::{
    AttackRule, DataRule, EvaluationRule, ModelRule, POLICY_VERSION, Policy, PolicyError, SignatureRule,
};
pub use evaluate::evaluate;
pub use evidence::Evidence;
pub use values::{Age, Compared, Digest, Fraction, Number, PresetName, Radius, TrustedKey, Versions};
pub use verdict::{Requirement, Verdict};
