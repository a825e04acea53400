//! What a model can be attacked with, of what was asked for.

use mimir_bundle::AttackSpec;
use mimir_runtime::evaluate::{Curve, Plan};
use mimir_runtime::report::Warning;
use mimir_runtime::session::{OnnxModels, Precision};

use crate::error::{OptionName, Result};
use crate::model::CalibratedModel;

/// A plan that the model allows, and its sessions.
pub(crate) struct AttackableModel {
    pub(crate) plan: Plan,
    pub(crate) sessions: OnnxModels,
    /// Names of the attacks that were asked for and need a gradient that the model does not have.
    pub(crate) skipped: Vec<String>,
}

impl AttackableModel {
    /// Of a model without any gradient the plan keeps the attacks that need none.
    ///
    /// # Errors
    /// When a graph cannot be built, or no attack is left.
    pub(crate) fn new(mut plan: Plan, model: &CalibratedModel, precision: Precision) -> Result<Self> {
        let error = match model.sessions(&plan, precision) {
            Ok(sessions) => return Ok(Self { plan, sessions, skipped: Vec::new() }),
            Err(error) => error,
        };
        if error.option() != Some(OptionName::GradientFreeAttacks) || !model.lacks_gradient() {
            return Err(error);
        }
        let (kept, skipped) =
            plan.attacks.iter().cloned().partition::<Vec<_>, _>(AttackSpec::needs_no_gradient);
        if kept.is_empty() {
            return Err(error);
        }
        // The distances of a curve come from attacks with gradients.
        plan = Plan { attacks: kept, curve: Curve::No, ..plan };
        let sessions = model.sessions(&plan, precision)?;
        let skipped = skipped.iter().map(|attack| attack.name().to_owned()).collect();
        Ok(Self { plan, sessions, skipped })
    }

    /// That attacks are left out, where some are.
    pub(crate) fn warning(&self) -> Option<Warning> {
        let ran = self.plan.attacks.iter().map(|attack| attack.name().to_owned()).collect();
        (!self.skipped.is_empty()).then(|| Warning::NoGradient { skipped: self.skipped.clone(), ran })
    }
}
