//! Warnings that the results of the attacks call for: how far they can be trusted.

use mimir_bundle::AttackSpec;

use super::Warning;
use crate::evaluate::{AttackResult, Evaluation, Verdict};

/// Share of the images that Square may break after gradient attacks before it is suspicious, as in AutoAttack's own
/// check.
const SUSPICIOUS: f64 = 0.002;

/// Images that a warning names at most.
const NAMED: usize = 10;

/// The warnings that the attacks of an evaluation call for.
pub(super) fn attack_warnings(evaluation: &Evaluation, classes: usize) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for attack in &evaluation.attacks {
        if attack.uses_margin {
            warnings.push(Warning::MarginForRatio { attack: attack.name.clone(), classes });
        }
        if attack.zero_gradients > 0 {
            let (images, attacked) = (attack.zero_gradients, attack.attacked);
            warnings.push(Warning::ZeroGradients { attack: attack.name.clone(), images, attacked });
        }
        if attack.non_finite_gradients > 0 {
            let (images, attacked) = (attack.non_finite_gradients, attack.attacked);
            warnings.push(Warning::NonFiniteGradients { attack: attack.name.clone(), images, attacked });
        }
    }
    warnings.extend(square_beats_gradients(evaluation));
    warnings.extend(non_finite(evaluation));
    warnings
}

/// Random search that finds what gradients missed is a sign of masked gradients.
fn square_beats_gradients(evaluation: &Evaluation) -> Option<Warning> {
    let is_square = |attack: &AttackResult| matches!(attack.spec, AttackSpec::Square(_));
    let position = evaluation.attacks.iter().position(is_square)?;
    let after_gradients = evaluation.attacks[..position].iter().any(|attack| attack.passes.backwards > 0);
    let broken = evaluation.attacks[position].broken;
    let suspicious = broken as f64 > SUSPICIOUS * evaluation.outcomes.len() as f64;
    (after_gradients && suspicious).then_some(Warning::SquareBeatsGradients { images: broken })
}

fn non_finite(evaluation: &Evaluation) -> Option<Warning> {
    let is_non_finite = |verdict: &Verdict| matches!(verdict, Verdict::NonFinite { .. });
    let all = evaluation.outcomes.iter().filter(|outcome| is_non_finite(&outcome.verdict));
    let images: Vec<usize> = all.map(|outcome| outcome.image).collect();
    let count = images.len();
    (count > 0).then(|| Warning::NonFinite { count, images: images.into_iter().take(NAMED).collect() })
}
