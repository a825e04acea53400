//! From the parameters of an attack to the attack.

use mimir_bundle::ImageShape;
use mimir_bundle::attack::{AttackSpec, SpecError};

use super::Attack;
use super::apgd::Apgd;
use super::fab::Fab;
use super::fgsm::Fgsm;
use super::noise::Noise;
use super::pgd::Pgd;
use super::square::Square;
use crate::ball::Ball;

/// What attacks must know of the evaluation that they are part of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setting {
    /// Where proposals must lie.
    pub ball: Ball,
    /// Keys all noise.
    pub seed: u64,
    /// Shape of an image.
    pub image: ImageShape,
    /// Number of classes, `K ≥ 2`.
    pub classes: usize,
    /// Whether minimum-norm attacks go on after they broke an image.
    pub distances: Distances,
}

/// What minimum-norm attacks are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distances {
    /// To break images within the ball: a search ends with the first point inside it.
    WithinBall,
    /// To find the smallest distance of every image, for a curve: a search spends its budget.
    Smallest,
}

/// The attack with those parameters.
///
/// # Errors
/// Names the parameter that is out of its range.
pub fn attack(spec: &AttackSpec, setting: &Setting) -> Result<Box<dyn Attack>, SpecError> {
    spec.check()?;
    Ok(match spec {
        AttackSpec::ApgdCe(apgd) => Box::new(Apgd::cross_entropy(apgd, setting)),
        AttackSpec::ApgdDlr(apgd) => Box::new(Apgd::dlr(apgd, setting)),
        AttackSpec::ApgdT(targeted) => Box::new(Apgd::targeted(targeted, setting)),
        AttackSpec::Square(square) => Box::new(Square::new(square, setting)),
        AttackSpec::Fab(fab) => Box::new(Fab::untargeted("fab", fab, setting)),
        AttackSpec::FabT(fab) => Box::new(Fab::targeted("fab-t", fab, setting)),
        AttackSpec::Pgd(pgd) => Box::new(Pgd::new(pgd, setting)),
        AttackSpec::Fgsm(_) => Box::new(Fgsm::new(setting)),
        AttackSpec::Noise(noise) => Box::new(Noise::new(noise, setting)),
    })
}
