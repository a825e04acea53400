//! From the parameters of an attack to the attack.

use mimir_bundle::attack::{AttackSpec, SpecError};

use super::Attack;
use super::apgd::Apgd;
use super::context::AttackContext;
use super::cw::Cw;
use super::ddn::Ddn;
use super::fab::Fab;
use super::feature_ce::feature_ce;
use super::fgsm::Fgsm;
use super::fmn::Fmn;
use super::hop_skip_jump::HopSkipJump;
use super::malt::Malt;
use super::noise::Noise;
use super::pgd::Pgd;
use super::pgd_feature::pgd_feature;
use super::pgd_mi::PgdMi;
use super::relaxed_pgd::RelaxedPgd;
use super::square::Square;
use super::transfer::Transfer;

/// The attack with those parameters.
///
/// # Errors
/// Names the parameter that is out of its range, or the norm that the attack is not made for.
pub fn attack(spec: &AttackSpec, context: &AttackContext) -> Result<Box<dyn Attack>, SpecError> {
    spec.check()?;
    spec.check_norm(context.ball.norm())?;
    Ok(match spec {
        AttackSpec::ApgdCe(apgd) => Box::new(Apgd::cross_entropy(apgd, context)),
        AttackSpec::ApgdDlr(apgd) => Box::new(Apgd::dlr(apgd, context)),
        AttackSpec::ApgdT(targeted) => Box::new(Apgd::targeted(targeted, context)),
        AttackSpec::ApgdMt(targeted) => Box::new(Apgd::multi_targeted(targeted, context)),
        AttackSpec::Malt(malt) => Box::new(Malt::new(malt, context)),
        AttackSpec::Square(square) => Box::new(Square::new(square, context)),
        AttackSpec::Fab(fab) => Box::new(Fab::untargeted("fab", fab, context)),
        AttackSpec::FabT(fab) => Box::new(Fab::targeted("fab-t", fab, context)),
        AttackSpec::Fmn(fmn) => Box::new(Fmn::new(fmn, context)),
        AttackSpec::Ddn(ddn) => Box::new(Ddn::new(ddn, context)),
        AttackSpec::Cw(cw) => Box::new(Cw::new(cw, context)),
        AttackSpec::HopSkipJump(spec) => Box::new(HopSkipJump::new(spec, context)),
        AttackSpec::Pgd(pgd) => Box::new(Pgd::new(pgd, context)),
        AttackSpec::Fgsm(_) => Box::new(Fgsm::new(context)),
        AttackSpec::RelaxedPgd(relaxed) => Box::new(RelaxedPgd::new(relaxed, context)),
        AttackSpec::Transfer(transfer) => Box::new(Transfer::new(transfer, context)),
        AttackSpec::PgdFeature(pgd) => Box::new(pgd_feature(pgd, context)),
        AttackSpec::PgdMi(pgd) => Box::new(PgdMi::new(pgd, context)),
        AttackSpec::FeatureCe(apgd) => Box::new(feature_ce(apgd, context)),
        AttackSpec::Noise(noise) => Box::new(Noise::new(noise, context)),
    })
}
