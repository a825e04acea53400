//! Attacks with every parameter: how settings state them, and how certificates, reports and journals record them.
//!
//! Everything that changes what an attack finds is a parameter here, except the seed, the threat model and the model.
//! Defaults are those of AutoAttack's standard evaluation for L∞ and L2 (Croce and Hein, ICML 2020).

mod apgd;
mod baseline;
mod fab;
mod range;
mod square;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use apgd::{ApgdSpec, RadiusSchedule, TargetedApgdSpec};
pub use baseline::{FgsmSpec, NoiseSpec, PgdPoint, PgdSpec};
pub use fab::{FabSpec, TargetedFabSpec};
pub use range::SpecError;
pub use square::SquareSpec;

/// An attack with every parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "attack", rename_all = "kebab-case")]
pub enum AttackSpec {
    /// Auto-PGD on the cross entropy.
    ApgdCe(ApgdSpec),
    /// Auto-PGD on the difference of logits ratio.
    ApgdDlr(ApgdSpec),
    /// Auto-PGD on the targeted difference of logits ratio, one search for each target class.
    ApgdT(TargetedApgdSpec),
    /// Fast adaptive boundary attack on the closest of all decision hyperplanes.
    Fab(FabSpec),
    /// Fast adaptive boundary attack, one search for each target class.
    FabT(TargetedFabSpec),
    /// Square attack: random search without gradients.
    Square(SquareSpec),
    /// Projected gradient ascent on the cross entropy with a fixed step.
    Pgd(PgdSpec),
    /// One full step along the gradient of the cross entropy.
    Fgsm(FgsmSpec),
    /// Random points of the ball, without any gradient: what noise alone does.
    Noise(NoiseSpec),
}

impl AttackSpec {
    /// The names of all attacks.
    pub const NAMES: &'static [&'static str] =
        &["apgd-ce", "apgd-dlr", "apgd-t", "fab", "fab-t", "square", "pgd", "fgsm", "noise"];

    /// Its name on the command line and in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ApgdCe(_) => "apgd-ce",
            Self::ApgdDlr(_) => "apgd-dlr",
            Self::ApgdT(_) => "apgd-t",
            Self::Fab(_) => "fab",
            Self::FabT(_) => "fab-t",
            Self::Square(_) => "square",
            Self::Pgd(_) => "pgd",
            Self::Fgsm(_) => "fgsm",
            Self::Noise(_) => "noise",
        }
    }

    /// The attack of that name with its default parameters; `None` where there is none.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "apgd-ce" => Self::ApgdCe(ApgdSpec::default()),
            "apgd-dlr" => Self::ApgdDlr(ApgdSpec::default()),
            "apgd-t" => Self::ApgdT(TargetedApgdSpec::default()),
            "fab" => Self::Fab(FabSpec::default()),
            "fab-t" => Self::FabT(TargetedFabSpec::default()),
            "square" => Self::Square(SquareSpec::default()),
            "pgd" => Self::Pgd(PgdSpec::default()),
            "fgsm" => Self::Fgsm(FgsmSpec::default()),
            "noise" => Self::Noise(NoiseSpec::default()),
            _ => return None,
        })
    }

    /// Independent runs on each image and target.
    pub fn restarts(&self) -> usize {
        match self {
            Self::ApgdCe(spec) | Self::ApgdDlr(spec) => spec.restarts,
            Self::ApgdT(spec) => spec.apgd.restarts,
            Self::Fab(spec) => spec.restarts,
            Self::FabT(spec) => spec.fab.restarts,
            Self::Square(spec) => spec.restarts,
            Self::Pgd(spec) => spec.restarts,
            Self::Fgsm(_) | Self::Noise(_) => 1,
        }
    }

    /// Target classes that it aims at, one after the other; `None` for attacks without targets.
    pub fn targets(&self) -> Option<usize> {
        match self {
            Self::ApgdT(spec) => Some(spec.targets),
            Self::FabT(spec) => Some(spec.targets),
            _ => None,
        }
    }

    /// Checks every parameter against its range.
    ///
    /// # Errors
    /// Names the attack, the first parameter that is out of its range, its value and the range.
    pub fn check(&self) -> Result<(), SpecError> {
        let invalid = match self {
            Self::ApgdCe(spec) | Self::ApgdDlr(spec) => spec.invalid_parameter(),
            Self::ApgdT(spec) => spec.invalid_parameter(),
            Self::Fab(spec) => spec.invalid_parameter(),
            Self::FabT(spec) => spec.invalid_parameter(),
            Self::Square(spec) => spec.invalid_parameter(),
            Self::Pgd(spec) => spec.invalid_parameter(),
            Self::Fgsm(_) => None,
            Self::Noise(spec) => spec.invalid_parameter(),
        };
        match invalid {
            None => Ok(()),
            Some(invalid) => Err(SpecError { attack: self.name(), invalid }),
        }
    }
}

#[cfg(test)]
mod tests;
