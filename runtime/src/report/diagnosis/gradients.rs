//! Rules about gradients: whether there were any, and whether they say something.

use super::case::{Answer, Case};
use crate::report::format::percent;
use crate::statistics::fraction;

/// Share of the images whose verdict may rest on no gradient at all.
const TOO_MANY: f64 = 0.05;

const MASKED: &str = "a sign of masked gradients: follow another loss (--attacks plus), the logits behind the output, or attack \
     the model adaptively";

pub(super) fn available(case: &Case<'_>) -> Answer {
    if case.with_gradients().next().is_none() {
        return no_gradients(case);
    }
    let images = case.in_each(|attack| &attack.signs.without_gradient);
    let found = format!(
        "{} images that nothing broke had a first gradient of zero in every search with gradients",
        images.len()
    );
    match images.len() {
        0 => Answer::pass("every image that nothing broke had a gradient to follow"),
        count if count as f64 > TOO_MANY * case.images() as f64 => {
            Answer::fail(found).way_out(MASKED).of_images(images).warned_as(&["zero_gradients"])
        }
        _ => Answer::warn(found).way_out(MASKED).of_images(images).warned_as(&["zero_gradients"]),
    }
}

fn no_gradients(case: &Case<'_>) -> Answer {
    match case.description.skipped_attacks.is_empty() {
        true => Answer::not_examined("no attack followed gradients")
            .way_out("add attacks with gradients to --attacks"),
        false => Answer::fail("no gradient reaches the images").way_out(MASKED).warned_as(&["no_gradient"]),
    }
}

pub(super) fn unsaturated(case: &Case<'_>) -> Answer {
    if case.with_gradients().next().is_none() {
        return no_gradients(case);
    }
    let flat: Vec<String> = case
        .with_gradients()
        .filter(|attack| attack.zero_gradients > 0)
        .map(|attack| {
            let share = percent(fraction(attack.zero_gradients, attack.attacked));
            format!("{}: {} of {} images ({share})", attack.name, attack.zero_gradients, attack.attacked)
        })
        .collect();
    if flat.is_empty() {
        let names: Vec<&str> = case.with_gradients().map(|attack| attack.name.as_str()).collect();
        return Answer::pass(format!("no first gradient was zero in every entry ({})", names.join(", ")));
    }
    let mut images: Vec<usize> =
        case.with_gradients().flat_map(|attack| attack.signs.without_gradient.iter().copied()).collect();
    images.sort_unstable();
    images.dedup();
    Answer::warn(format!("first gradients were zero in every entry: {}", flat.join("; ")))
        .way_out("the loss is saturated there: losses of logits (apgd-dlr, apgd-t, fab) do not saturate as the cross entropy does")
        .of_images(images)
        .warned_as(&["zero_gradients"])
}

pub(super) fn finite(case: &Case<'_>) -> Answer {
    if case.with_gradients().next().is_none() {
        return no_gradients(case);
    }
    let images = case.in_each(|attack| &attack.signs.non_finite_gradient);
    let any = case.with_gradients().map(|attack| attack.non_finite_gradients).max().unwrap_or_default();
    let found = format!("gradients of up to {any} images of an attack held NaN or infinities");
    let way_out = "look for divisions, roots and logarithms without a bound in the model";
    match (any, images.len()) {
        (0, _) => Answer::pass("every gradient was finite"),
        (_, count) if count as f64 > TOO_MANY * case.images() as f64 => {
            Answer::fail(format!("{found}, and those of {count} that nothing broke in every attack"))
                .way_out(way_out)
                .of_images(images)
                .warned_as(&["non_finite_gradients"])
        }
        _ => {
            let mut images: Vec<usize> = case
                .with_gradients()
                .flat_map(|attack| attack.signs.non_finite_gradient.iter().copied())
                .collect();
            images.sort_unstable();
            images.dedup();
            Answer::warn(found).way_out(way_out).of_images(images).warned_as(&["non_finite_gradients"])
        }
    }
}

/// The threshold of Pintor et al.
const UNSTABLE: f64 = 0.10;
/// From here no descent can be trusted.
const NOISE: f64 = 0.50;

pub(super) fn stable_predictions(case: &Case<'_>) -> Answer {
    let Some(stability) = case.experiments().and_then(|experiments| experiments.stability.as_ref()) else {
        return case.without_passes();
    };
    let found = format!(
        "within {:.2}/255 of {} images margins change by {} on average ({} random points each)",
        255.0 * stability.reach,
        stability.changes.len(),
        percent(stability.mean()),
        stability.offsets,
    );
    let unstable: Vec<usize> = stability.above(UNSTABLE);
    let way_out =
        "a loss that jumps shows no way: average gradients over noise, or attack what makes the scores jump";
    match stability.mean() {
        ..=UNSTABLE => Answer::pass(found).of_images(unstable),
        ..=NOISE => Answer::warn(found).way_out(way_out).of_images(unstable),
        _ => Answer::fail(found).way_out(way_out).of_images(unstable),
    }
}

/// Share of the images from which a model whose gradients mislead must not be believed.
const MOST: f64 = 0.5;

pub(super) fn predict(case: &Case<'_>) -> Answer {
    if case.with_gradients().next().is_none() {
        return no_gradients(case);
    }
    let first_order = match &case.description.first_order {
        Ok(first_order) => first_order,
        Err(reason) => return Answer::not_examined(reason.as_str()),
    };
    let (judged, broken) = (first_order.judged(), first_order.broken());
    let kept = match first_order.kept() {
        Some(kept) => format!("{} of what the gradient promises", percent(kept)),
        None if judged > 0 => "something although the gradient promises nothing".to_owned(),
        None if first_order.promises.is_empty() && first_order.left_out == 0 => {
            return Answer::pass("no image was left to look at");
        }
        None if first_order.promises.is_empty() => {
            return Answer::not_examined("no loss has finite numbers at the images that nothing broke");
        }
        None => return Answer::not_examined("what gradients promise is less than rounding explains"),
    };
    let found = format!(
        "of {judged} images that nothing broke, a step of length ε along the largest slopes changes the loss by {kept} in the \
         median; at {} of them by less than half or more than five times, or elsewhere in the ball the loss differs by more \
         than twice what the gradient allows",
        broken.len()
    );
    let way_out = "attacks along gradients are weaker than they look: gradients averaged over noise, a smooth substitute \
         (--surrogate), square with many queries";
    match fraction(broken.len(), judged.max(1)) {
        _ if !first_order.misleads() => Answer::pass(found).of_images(broken),
        ..=MOST => {
            Answer::warn(found).way_out(way_out).of_images(broken).warned_as(&["misleading_gradients"])
        }
        _ => Answer::fail(found).way_out(way_out).of_images(broken).warned_as(&["misleading_gradients"]),
    }
}
