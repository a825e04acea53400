//! From the family of an architecture to its encoder.

use tch::Kind;

use crate::model::cait::Cait;
use crate::model::convit::Convit;
use crate::model::encoder::{Encoder, Positions};
use crate::model::vit::Vit;
use crate::model::{Architecture, Family};
use crate::parameters::Scope;

/// Builds the encoder that `architecture` names under timm's names; sizes have been checked.
pub fn build_encoder(
    scope: &mut Scope<'_>,
    architecture: &Architecture,
    positions: Positions,
    compute: Kind,
) -> Box<dyn Encoder> {
    match architecture.family {
        Family::Vit | Family::VitConvStem => Box::new(Vit::new(scope, architecture, positions, compute)),
        Family::Convit => Box::new(Convit::new(scope, architecture, compute)),
        Family::Cait => Box::new(Cait::new(scope, architecture, compute)),
    }
}
