//! Rules that compare the attacks with more, with less, and with another radius.

use mimir_bundle::AttackSpec;

use super::case::{Answer, Case, follows_gradients};
use crate::experiments::{Experiments, Stronger};
use crate::report::format::percent;
use crate::statistics::fraction;

const MASKED: &str = "a sign of masked gradients or of an attack that does not work: attack the model adaptively, with other losses and \
     more restarts";

/// Share of all images that a stronger attack may gain, as in the checklist.
const MARGINAL: f64 = 0.005;

/// How much a stronger attack gained on images that nothing broke.
fn gained(case: &Case<'_>, stronger: &Stronger, more: &str, way_out: &str) -> Answer {
    let unbroken = case.unbroken().count();
    let share = fraction(stronger.broken.len(), stronger.images.max(1)) * fraction(unbroken, case.images());
    let found = format!(
        "{} with {more} breaks {} of {} images that nothing broke: about {} of all images",
        stronger.attack,
        stronger.broken.len(),
        stronger.images,
        percent(share)
    );
    match share {
        ..=MARGINAL => Answer::pass(found).of_images(stronger.broken.clone()),
        _ => Answer::warn(found).way_out(way_out).of_images(stronger.broken.clone()),
    }
}

pub(super) fn steps_enough(case: &Case<'_>) -> Answer {
    let Some(doubled) = case.experiments().and_then(|experiments| experiments.doubled.as_ref()) else {
        return case.without_passes();
    };
    gained(case, doubled, "twice its steps", "more steps: --steps")
}

pub(super) fn restarts_enough(case: &Case<'_>) -> Answer {
    let Some(restarted) = case.experiments().and_then(|experiments| experiments.restarted.as_ref()) else {
        return case.without_passes();
    };
    gained(case, restarted, "another random start", "more restarts: --restarts, or --attacks plus")
}

pub(super) fn one_step_not_better(case: &Case<'_>) -> Answer {
    let fgsm = case.evaluation.attacks.iter().enumerate();
    let fgsm = fgsm.filter(|(_, attack)| matches!(attack.spec, AttackSpec::Fgsm(_)));
    let after_others = fgsm.filter(|(index, _)| *index > 0).map(|(_, attack)| attack).next();
    let (images, broken) = match (after_others, case.experiments()) {
        (Some(attack), _) => (attack.attacked, case.broken_by(&attack.name)),
        (None, Some(Experiments { one_step: Some(one_step), .. })) => {
            (one_step.images, one_step.broken.clone())
        }
        (None, _) => return case.without_passes(),
    };
    let found = format!(
        "one step along the gradient breaks {} of {images} images that many steps left",
        broken.len()
    );
    match broken.len() {
        0 => Answer::pass(found),
        1 => Answer::warn(found).way_out(MASKED).of_images(broken),
        _ => Answer::fail(found).way_out(MASKED).of_images(broken),
    }
}

pub(super) fn noise_not_better(case: &Case<'_>) -> Answer {
    let attacks = &case.evaluation.attacks;
    let after_gradients = attacks.iter().position(follows_gradients);
    let noise = after_gradients
        .and_then(|first| attacks[first..].iter().find(|attack| matches!(attack.spec, AttackSpec::Noise(_))));
    let experiment = case.experiments().and_then(|experiments| experiments.noise.as_ref());
    let (images, points, broken) = match (experiment, noise) {
        (Some(noise), _) => (noise.images, noise.points, noise.broken.clone()),
        (None, Some(attack)) => {
            let points = match &attack.spec {
                AttackSpec::Noise(noise) => noise.samples,
                _ => 0,
            };
            (attack.attacked, points, case.broken_by(&attack.name))
        }
        (None, None) => return case.without_passes(),
    };
    let found = format!(
        "{points} random points of the ball around each of {images} images that nothing broke, half of them corners, \
         misclassify {}",
        broken.len()
    );
    match broken.is_empty() {
        true => Answer::pass(found),
        false => Answer::fail(found).way_out(MASKED).of_images(broken),
    }
}

/// Share of the images from which violations are no accident of one search.
const TOO_MANY: f64 = 0.1;

pub(super) fn monotone_in_epsilon(case: &Case<'_>) -> Answer {
    let Some(radii) =
        case.experiments().map(|experiments| &experiments.radii).filter(|radii| !radii.is_empty())
    else {
        return match case.description.curve {
            true => Answer::pass("the curve is of smallest distances: it cannot rise"),
            false => case.without_passes(),
        };
    };
    let images = radii[0].images;
    let shares: Vec<String> = radii
        .iter()
        .map(|radius| {
            let left = fraction(images.saturating_sub(radius.broken.len()), images);
            format!("{} at {}ε", percent(left), radius.factor)
        })
        .collect();
    // Broken within a radius, and not within a larger one; or within a smaller one than the whole evaluation's.
    let mut rising: Vec<usize> = Vec::new();
    for (smaller, larger) in radii.iter().zip(&radii[1..]) {
        rising.extend(smaller.broken.iter().filter(|image| !larger.broken.contains(image)));
    }
    let unbroken: Vec<usize> = case.unbroken().collect();
    let missed: Vec<usize> = radii
        .iter()
        .filter(|radius| radius.factor <= 1.0)
        .flat_map(|radius| radius.broken.iter().copied())
        .filter(|image| unbroken.binary_search(image).is_ok())
        .collect();
    rising.extend(&missed);
    rising.sort_unstable();
    rising.dedup();
    let found = format!(
        "apgd-ce leaves of {images} images {}; {} images are broken within a radius and not within a larger one",
        shares.join(", "),
        rising.len()
    );
    match rising.len() {
        0 => Answer::pass(found),
        count if !missed.is_empty() || count as f64 > TOO_MANY * images as f64 => {
            Answer::fail(found).way_out(MASKED).of_images(rising)
        }
        _ => Answer::warn(found).way_out(MASKED).of_images(rising),
    }
}

/// Share of the images that an attack without a limit may leave.
const LEFT: f64 = 0.05;

pub(super) fn unconstrained_attack(case: &Case<'_>) -> Answer {
    let Some(unconstrained) = case.experiments().and_then(|experiments| experiments.unconstrained.as_ref())
    else {
        return case.without_passes();
    };
    let found = format!(
        "{} with no limit but the box leaves {} of {} images",
        unconstrained.attack,
        unconstrained.left.len(),
        unconstrained.images
    );
    match fraction(unconstrained.left.len(), unconstrained.images.max(1)) {
        0.0 => Answer::pass(found),
        ..=LEFT => Answer::warn(found).way_out(MASKED).of_images(unconstrained.left.clone()),
        _ => Answer::fail(found).way_out(MASKED).of_images(unconstrained.left.clone()),
    }
}
