//! Whether a result can be believed: one table of rules, each with an answer in words and numbers.
//!
//! The rules are the rows of the checklist of Carlini et al. ("On Evaluating Adversarial Robustness", 2019) that a program can
//! check, the indicators of Pintor et al. ("Indicators of Attack Failure", NeurIPS 2022), AutoAttack's own checks, and what
//! goes wrong before an attack. They look at what an evaluation has found anyway; some need [extra
//! passes](crate::experiments), and are not examined without. No rule changes a verdict.

mod answer;
mod attacks;
mod case;
mod data;
mod gradients;
mod label_order;
mod model;
mod strength;

use super::{RunDescription, Severity, Warning};
use crate::evaluate::Evaluation;
use case::{Answer, Case};

pub use answer::{Rule, RuleAnswer, RuleCounts, RuleVerdict};

/// What answers a rule.
type Examine = fn(&Case<'_>) -> Answer;

/// All rules, in the order of a run: data, model, gradients, attacks.
const RULES: [(Rule, Examine); 31] = [
    (Rule::CleanAccuracy, data::clean_accuracy),
    (Rule::LabelOrder, label_order::label_order),
    (Rule::InputScaling, data::input_scaling),
    (Rule::EpsilonUnit, data::epsilon_unit),
    (Rule::ImageSelection, data::image_selection),
    (Rule::ScoresOfClasses, model::scores_of_classes),
    (Rule::FiniteScores, model::finite_scores),
    (Rule::Deterministic, model::deterministic),
    (Rule::IndependentImages, model::independent_images),
    (Rule::DifferentiableOperators, model::differentiable_operators),
    (Rule::SearchedFunction, model::searched_function),
    (Rule::Transfer, model::transfer),
    (Rule::EnginesAgree, model::engines_agree),
    (Rule::BeyondRounding, model::beyond_rounding),
    (Rule::AvailableGradients, gradients::available),
    (Rule::UnsaturatedLosses, gradients::unsaturated),
    (Rule::FiniteGradients, gradients::finite),
    (Rule::StablePredictions, gradients::stable_predictions),
    (Rule::GradientsPredict, gradients::predict),
    (Rule::BestPointCounts, attacks::best_point_counts),
    (Rule::Converged, attacks::converged),
    (Rule::StepsEnough, strength::steps_enough),
    (Rule::RestartsEnough, strength::restarts_enough),
    (Rule::StandardAttacks, attacks::standard_attacks),
    (Rule::SeveralLosses, attacks::several_losses),
    (Rule::OneStepNotBetter, strength::one_step_not_better),
    (Rule::GradientFreeNotBetter, attacks::gradient_free_not_better),
    (Rule::TransferNotBetter, attacks::transfer_not_better),
    (Rule::NoiseNotBetter, strength::noise_not_better),
    (Rule::MonotoneInEpsilon, strength::monotone_in_epsilon),
    (Rule::UnconstrainedAttack, strength::unconstrained_attack),
];

/// The answers of all rules. `warnings` are those of the report.
pub(super) fn diagnose(
    description: &RunDescription,
    evaluation: &Evaluation,
    warnings: &[Warning],
) -> Vec<RuleAnswer> {
    let case = Case { description, evaluation, warnings };
    RULES.iter().map(|(rule, examine)| examine(&case).of_rule(*rule)).collect()
}

/// A warning for rules that fail without a warning that weakens the verdict.
pub(super) fn failing(answers: &[RuleAnswer], warnings: &[Warning]) -> Option<Warning> {
    let is_said = |answer: &RuleAnswer| {
        warnings.iter().any(|warning| {
            warning.severity() == Severity::WeakensVerdict && answer.warnings.contains(&warning.kind())
        })
    };
    let failing = answers.iter().filter(|answer| answer.verdict == RuleVerdict::Fail && !is_said(answer));
    let found: Vec<String> = failing.map(|answer| format!("{} ({})", answer.id(), answer.found)).collect();
    (!found.is_empty()).then_some(Warning::DiagnosisFails { rules: found })
}

#[cfg(test)]
mod tests;
