//! Attacks with every parameter: how settings state them, and how certificates, reports and journals record them.
//!
//! Everything that changes what an attack finds is a parameter here, except the seed, the threat model and the model.
//! Defaults are those of AutoAttack's standard evaluation for L∞ and L2 (Croce and Hein, ICML 2020).
//!
//! An attack is registered by one line in the list `attacks!` below. Its name, the names that the command line knows,
//! its number of restarts and targets, the ranges of its parameters and the flags that reach it all follow from that
//! line and from [`Parameters`] of its struct.

mod apgd;
mod cw;
mod ddn;
mod fab;
mod feature_ce;
mod fgsm;
mod fmn;
mod hop_skip_jump;
mod malt;
mod noise;
mod parameter;
mod pgd;
mod pgd_feature;
mod pgd_mi;
mod point;
mod preset;
mod relaxed_pgd;
mod square;
mod transfer;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Norm;

pub use apgd::{ApgdSpec, MultiTargetedApgdSpec, RadiusSchedule, TargetedApgdSpec};
pub use cw::CwSpec;
pub use ddn::DdnSpec;
pub use fab::{FabSpec, TargetedFabSpec};
pub use feature_ce::FeatureCeSpec;
pub use fgsm::FgsmSpec;
pub use fmn::FmnSpec;
pub use hop_skip_jump::HopSkipJumpSpec;
pub use malt::MaltSpec;
pub use noise::NoiseSpec;
pub use parameter::{Argument, InvalidParameter, Parameter, Parameters, SpecError, Value};
pub use pgd::PgdSpec;
pub use pgd_feature::PgdFeatureSpec;
pub use pgd_mi::PgdMiSpec;
pub use point::PgdPoint;
pub use preset::Preset;
pub(crate) use preset::weaker;
pub use relaxed_pgd::RelaxedPgdSpec;
pub use square::SquareSpec;
pub use transfer::{SurrogateModel, TransferSpec};

/// Makes the enum of all attacks, and what differs between them.
macro_rules! attacks {
    ($($(#[$documentation:meta])* $variant:ident($spec:ty) = $name:literal,)*) => {
        /// An attack with every parameter.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "attack")]
        pub enum AttackSpec {
            $($(#[$documentation])* #[serde(rename = $name)] $variant($spec),)*
        }

        impl AttackSpec {
            /// The names of all attacks.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// Its name on the command line and in reports.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)*
                }
            }

            /// The attack of that name with its default parameters; `None` where there is none.
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant(<$spec>::default())),)*
                    _ => None,
                }
            }

            /// Its parameters by name, to be read or changed.
            pub fn parameters(&mut self) -> Vec<Parameter<'_>> {
                match self {
                    $(Self::$variant(spec) => spec.parameters(),)*
                }
            }
        }
    };
}

attacks! {
    /// Auto-PGD on the cross entropy.
    ApgdCe(ApgdSpec) = "apgd-ce",
    /// Auto-PGD on the difference of logits ratio.
    ApgdDlr(ApgdSpec) = "apgd-dlr",
    /// Auto-PGD on the targeted difference of logits ratio, one search for each target class.
    ApgdT(TargetedApgdSpec) = "apgd-t",
    /// Auto-PGD on the margin to each other class, one search for each.
    ApgdMt(MultiTargetedApgdSpec) = "apgd-mt",
    /// Auto-PGD on the targeted difference of logits ratio, towards the classes that are nearest by their slopes.
    Malt(MaltSpec) = "malt",
    /// Fast adaptive boundary attack on the closest of all decision hyperplanes.
    Fab(FabSpec) = "fab",
    /// Fast adaptive boundary attack, one search for each target class.
    FabT(TargetedFabSpec) = "fab-t",
    /// Fast minimum-norm attack: gradient descent in a ball whose radius follows the closest point found.
    Fmn(FmnSpec) = "fmn",
    /// Minimum-norm attack in L2 that keeps the direction of a change and its length apart.
    Ddn(DdnSpec) = "ddn",
    /// The attack of Carlini and Wagner in L2: Adam on distance and margin, with a search for their balance.
    Cw(CwSpec) = "cw",
    /// Square attack: random search without gradients.
    Square(SquareSpec) = "square",
    /// HopSkipJump: a minimum-norm attack that sees predicted classes alone, on a part of the images.
    HopSkipJump(HopSkipJumpSpec) = "hopskipjump",
    /// Projected gradient ascent on the cross entropy with a fixed step.
    Pgd(PgdSpec) = "pgd",
    /// One full step along the gradient of the cross entropy.
    Fgsm(FgsmSpec) = "fgsm",
    /// Random points of the ball, without any gradient: what noise alone does.
    Noise(NoiseSpec) = "noise",
    /// Auto-PGD on another model, whose points are shown to this one.
    Transfer(TransferSpec) = "transfer",
    /// Projected gradient ascent on margins along secants of activations, for models where most units are off.
    RelaxedPgd(RelaxedPgdSpec) = "relaxed-pgd",
    /// Projected gradient ascent on the distance of features from those of the clean image.
    PgdFeature(PgdFeatureSpec) = "pgd-feature",
    /// Projected gradient ascent on the cross entropy and the dependence of features and pixels that MIMIR trains against.
    PgdMi(PgdMiSpec) = "pgd-mi",
    /// Auto-PGD on the cross entropy and the distance of features.
    FeatureCe(FeatureCeSpec) = "feature-ce",
}

impl AttackSpec {
    /// Independent runs on each image and target.
    pub fn restarts(&self) -> usize {
        self.count("restarts").unwrap_or(1)
    }

    /// Target classes that it aims at, one after the other, by falling clean logit; `None` for attacks without targets,
    /// and for those with an order of their own.
    pub fn targets(&self) -> Option<usize> {
        match self {
            // MALT finds its own order; the first search of transfer has no target.
            Self::Malt(_) | Self::Transfer(_) => None,
            _ => self.count("targets"),
        }
    }

    /// How many wrong classes, by falling clean logit, its searches must know; 0 for those that need none.
    pub fn ranked_classes(&self) -> usize {
        match self {
            Self::Malt(malt) => malt.candidates,
            Self::Transfer(transfer) => transfer.targets,
            _ => self.targets().unwrap_or(0),
        }
    }

    /// Share of the images that it is run on; the others count as not broken by it.
    pub fn subset(&self) -> f64 {
        match self {
            Self::HopSkipJump(spec) => spec.subset,
            _ => 1.0,
        }
    }

    /// Gradients that it averages at each step: more than 1 is an attack on the expectation over randomness.
    pub fn eot(&self) -> usize {
        self.count("eot").unwrap_or(1)
    }

    /// Whether it asks the attacked model for logits only, so that it can be run on one without any gradient.
    pub fn needs_no_gradient(&self) -> bool {
        match self {
            Self::Square(_) | Self::HopSkipJump(_) | Self::Noise(_) | Self::Transfer(_) => true,
            Self::ApgdCe(_)
            | Self::ApgdDlr(_)
            | Self::ApgdT(_)
            | Self::ApgdMt(_)
            | Self::Malt(_)
            | Self::Fab(_)
            | Self::FabT(_)
            | Self::Fmn(_)
            | Self::Ddn(_)
            | Self::Cw(_)
            | Self::Pgd(_)
            | Self::Fgsm(_)
            | Self::RelaxedPgd(_)
            | Self::PgdFeature(_)
            | Self::PgdMi(_)
            | Self::FeatureCe(_) => false,
        }
    }

    /// The tensor whose values it moves, where it names one; `None` for an attack that looks at logits alone.
    pub fn feature(&self) -> Option<Option<String>> {
        self.clone().feature_mut().map(|feature| feature.clone())
    }

    /// The place of that name, to be filled; `None` for an attack that looks at logits alone.
    pub fn feature_mut(&mut self) -> Option<&mut Option<String>> {
        match self {
            Self::PgdFeature(spec) => Some(&mut spec.feature),
            Self::PgdMi(spec) => Some(&mut spec.feature),
            Self::FeatureCe(spec) => Some(&mut spec.feature),
            _ => None,
        }
    }

    /// The model that it takes its way from, where one was read.
    pub fn surrogate(&self) -> Option<&SurrogateModel> {
        match self {
            Self::Transfer(spec) => spec.surrogate.as_ref(),
            _ => None,
        }
    }

    /// The attack without what a program filled in for a model and its images: what was asked for.
    pub(crate) fn unresolved(mut self) -> Self {
        if let Some(feature) = self.feature_mut() {
            *feature = None;
        }
        if let Self::PgdMi(spec) = &mut self {
            spec.reference_images.clear();
        }
        self
    }

    /// Whether it looks for the nearest counterexample, so that its iterates leave the ball, and its loss need not rise.
    pub fn minimises_distance(&self) -> bool {
        match self {
            Self::Fab(_)
            | Self::FabT(_)
            | Self::Fmn(_)
            | Self::Ddn(_)
            | Self::Cw(_)
            | Self::HopSkipJump(_) => true,
            Self::ApgdCe(_)
            | Self::ApgdDlr(_)
            | Self::ApgdT(_)
            | Self::ApgdMt(_)
            | Self::Malt(_)
            | Self::Square(_)
            | Self::Pgd(_)
            | Self::Fgsm(_)
            | Self::Noise(_)
            | Self::Transfer(_)
            | Self::RelaxedPgd(_)
            | Self::PgdFeature(_)
            | Self::PgdMi(_)
            | Self::FeatureCe(_) => false,
        }
    }

    /// Checks every parameter against its range.
    ///
    /// # Errors
    /// Names the attack, the first parameter that is out of its range, its value and the range.
    pub fn check(&self) -> Result<(), SpecError> {
        let invalid = self.clone().parameters().iter().find_map(Parameter::invalid);
        invalid.map_or(Ok(()), |invalid| Err(SpecError::Parameter { attack: self.name(), invalid }))
    }

    /// Checks that it can be run in that norm.
    ///
    /// # Errors
    /// Names the attack, the norm, and what there is in its place.
    pub fn check_norm(&self, norm: Norm) -> Result<(), SpecError> {
        match self {
            Self::Ddn(_) | Self::Cw(_) if norm != Norm::L2 => {
                Err(SpecError::Norm { attack: self.name(), found: norm, wanted: Norm::L2 })
            }
            _ => Ok(()),
        }
    }

    /// Sets the parameter of that name, in its range or not; false, and no change, for an attack that has none of that
    /// name and kind.
    pub fn set(&mut self, name: &str, argument: Argument) -> bool {
        let parameter = self.parameters().into_iter().find(|parameter| parameter.name == name);
        parameter.is_some_and(|mut parameter| parameter.set(argument))
    }

    /// The value of the parameter of that name; `None` for an attack without it.
    pub fn get(&self, name: &str) -> Option<Argument> {
        let mut spec = self.clone();
        let parameter = spec.parameters().into_iter().find(|parameter| parameter.name == name);
        parameter.map(|parameter| parameter.argument())
    }

    fn count(&self, name: &str) -> Option<usize> {
        match self.get(name) {
            Some(Argument::Count(count)) => Some(count),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
