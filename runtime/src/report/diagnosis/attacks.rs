//! Rules about the attacks that ran.

use mimir_bundle::AttackSpec;
use mimir_bundle::attack::{Argument, PgdPoint};

use super::case::{Answer, Case, follows_gradients};
use crate::attack::Preset;
use crate::evaluate::AttackResult;
use crate::report::format::percent;
use crate::statistics::fraction;

pub(super) fn best_point_counts(case: &Case<'_>) -> Answer {
    let last_only =
        |attack: &&AttackResult| matches!(&attack.spec, AttackSpec::Pgd(pgd) if pgd.point == PgdPoint::Last);
    let names: Vec<&str> =
        case.evaluation.attacks.iter().filter(last_only).map(|attack| attack.name.as_str()).collect();
    match names.is_empty() {
        true => Answer::pass("every iterate of a search counts, so that none succeeds in silence"),
        false => Answer::warn(format!(
            "of {} only the last iterate counts: it may pass a counterexample",
            names.join(", ")
        ))
        .way_out("--pgd-point best"),
    }
}

/// Share of the images whose searches may all be unfinished: above the first it is a warning, above the second a failure.
const SOME_RISING: f64 = 0.05;
const MOST_RISING: f64 = 0.50;

pub(super) fn converged(case: &Case<'_>) -> Answer {
    if case.description.majority_test.is_some() {
        return Answer::not_examined("losses of a model with random operators differ by draw");
    }
    let is_ascent = |attack: &&AttackResult| {
        !matches!(attack.spec, AttackSpec::Fgsm(_)) && !attack.spec.minimises_distance()
    };
    let lists: Vec<&AttackResult> = case.with_gradients().filter(is_ascent).collect();
    if lists.is_empty() {
        return Answer::not_examined("no attack raised a loss step by step");
    }
    let rising: Vec<usize> = case
        .unbroken()
        .filter(|image| lists.iter().all(|attack| attack.signs.incomplete.binary_search(image).is_ok()))
        .collect();
    let share = fraction(rising.len(), case.unbroken().count().max(1));
    let each: Vec<String> = lists
        .iter()
        .map(|attack| format!("{} {} of {}", attack.name, attack.signs.incomplete.len(), attack.still_robust))
        .collect();
    let found = format!(
        "of the images that nothing broke, {} ({}) have no search whose loss had levelled off: over the last 10 iterates the \
         best loss rose by more than 5 % of its range ({})",
        rising.len(),
        percent(share),
        each.join(", ")
    );
    let way_out = "more steps: --steps, or an attack that adapts its step (apgd-ce, apgd-t)";
    match share {
        ..=SOME_RISING => Answer::pass(found).of_images(rising),
        ..=MOST_RISING => Answer::warn(found).way_out(way_out).of_images(rising),
        _ => Answer::fail(found).way_out(way_out).of_images(rising),
    }
}

pub(super) fn standard_attacks(case: &Case<'_>) -> Answer {
    let norm = case.description.threat_model.norm;
    let attacks: Vec<AttackSpec> = case.evaluation.attacks.iter().map(|attack| attack.spec.clone()).collect();
    let names: Vec<&str> = attacks.iter().map(AttackSpec::name).collect();
    let names = names.join(", ");
    if case.description.majority_test.is_some() {
        return match Preset::Rand.missing_of(&attacks, norm) {
            None => Answer::pass(format!("gradients were averaged over draws ({names})")),
            Some(missing) => {
                Answer::warn(format!("less than the preset rand: {missing}")).way_out("--attacks rand")
            }
        };
    }
    match Preset::Standard.missing_of(&attacks, norm) {
        None => Answer::pass(format!("at least the standard evaluation ran ({names})")),
        Some(missing) => Answer::warn(format!("less than the standard evaluation ran ({names}): {missing}"))
            .way_out("--attacks standard for a number that is comparable with published ones"),
    }
}

pub(super) fn several_losses(case: &Case<'_>) -> Answer {
    let names: Vec<&str> = case.with_gradients().map(|attack| attack.name.as_str()).collect();
    if names.is_empty() {
        return Answer::not_examined("no attack followed gradients");
    }
    let targeted = |attack: &&AttackResult| matches!(attack.spec.get("targets"), Some(Argument::Count(_)));
    let (aiming, others): (Vec<_>, Vec<_>) = case.with_gradients().partition(targeted);
    let found = format!(
        "{} untargeted and {} targeted attacks with gradients: {}",
        others.len(),
        aiming.len(),
        names.join(", ")
    );
    // A run that broke everything needs no second loss.
    let nothing_left = case.unbroken().next().is_none();
    match (names.len(), aiming.len(), others.len()) {
        (2.., 1.., 1..) => Answer::pass(found),
        _ if nothing_left => Answer::pass(format!("{found}; no image was left for another")),
        _ => Answer::warn(found).way_out("several losses, with and without targets: --attacks standard"),
    }
}

/// Share of the images that an attack without gradients may break after attacks with gradients: AutoAttack's own check, and
/// five times as many.
const SUSPICIOUS: f64 = 0.002;
const MASKED: f64 = 0.01;
/// Fewest images that show it.
const FEWEST: usize = 3;

pub(super) fn gradient_free_not_better(case: &Case<'_>) -> Answer {
    let is_it = |attack: &AttackSpec| {
        attack.needs_no_gradient() && !matches!(attack, AttackSpec::Noise(_) | AttackSpec::Transfer(_))
    };
    after_gradients(case, is_it, "an attack without gradients", "add square to --attacks")
        .warned_as(&["square_beats_gradients"])
}

pub(super) fn transfer_not_better(case: &Case<'_>) -> Answer {
    let is_it = |attack: &AttackSpec| matches!(attack, AttackSpec::Transfer(_));
    after_gradients(case, is_it, "an attack from a second model", "give one with --surrogate")
}

/// What attacks without gradients of the model broke that those with gradients had left.
fn after_gradients(case: &Case<'_>, is_it: fn(&AttackSpec) -> bool, words: &str, way_out: &str) -> Answer {
    let attacks = &case.evaluation.attacks;
    let Some(first) = attacks.iter().position(follows_gradients) else {
        return Answer::not_examined("no attack followed gradients");
    };
    let later: Vec<&AttackResult> = attacks[first..].iter().filter(|attack| is_it(&attack.spec)).collect();
    if later.is_empty() {
        return Answer::not_examined(format!("{words} did not run after one with gradients"))
            .way_out(way_out);
    }
    let mut images: Vec<usize> = later.iter().flat_map(|attack| case.broken_by(&attack.name)).collect();
    images.sort_unstable();
    let names: Vec<&str> = later.iter().map(|attack| attack.name.as_str()).collect();
    let share = fraction(images.len(), case.images());
    let found = format!(
        "{} broke {} images ({}) that attacks with gradients had left",
        names.join(", "),
        images.len(),
        percent(share)
    );
    let way_out =
        "a sign of masked gradients: raise --queries and --restarts, and attack the model adaptively";
    match share {
        ..=SUSPICIOUS => Answer::pass(found).of_images(images),
        _ if share > MASKED && images.len() >= FEWEST => {
            Answer::fail(found).way_out(way_out).of_images(images)
        }
        _ => Answer::warn(found).way_out(way_out).of_images(images),
    }
}
