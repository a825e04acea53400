//! Rules about images, labels and radius: what goes wrong before any attack.

use mimir_bundle::Norm;
use mimir_bundle::certificate::Counts;

use super::case::{Answer, Case};
use crate::report::Warning;
use crate::report::format::percent;
use crate::statistics::fraction;

pub(super) fn clean_accuracy(case: &Case<'_>) -> Answer {
    let Counts { images, clean_correct, .. } = case.evaluation.counts();
    let found = format!("{clean_correct} of {images} images are classified correctly as they are");
    let way_out = "check normalisation (--mean, --std), --layout, --channels and the labels";
    let warned = case.warned(|warning| match warning {
        Warning::NothingToAttack => {
            Some(Answer::fail(found.clone()).way_out(way_out).warned_as(&["nothing_to_attack"]))
        }
        Warning::NearChance { classes, .. } => Some(
            Answer::warn(format!("{found}: hardly more than by guessing one of {classes} classes"))
                .way_out(way_out)
                .warned_as(&["near_chance"]),
        ),
        Warning::FewImages { classes, .. } => Some(
            Answer::warn(format!("{found}: too few to tell that from guessing one of {classes} classes"))
                .way_out("evaluate more images")
                .warned_as(&["few_images"]),
        ),
        _ => None,
    });
    warned.unwrap_or_else(|| Answer::pass(found))
}

pub(super) fn input_scaling(case: &Case<'_>) -> Answer {
    let Some(probe) = &case.description.scaling else {
        return Answer::not_examined("no other scaling was tried");
    };
    let given = percent(fraction(probe.given, probe.images));
    let images = probe.images;
    match (&probe.better, probe.tried) {
        (Some(better), _) => Answer::warn(format!(
            "the model is right on {} of {images} images with {}, and on {} as it was given{}",
            better.correct,
            better.name,
            probe.given,
            tied(&better.tied)
        ))
        .way_out(format!("if the model was trained so, run with {}", better.flags)),
        (None, 0) => Answer::pass(format!(
            "the clean accuracy is {given} on {images} images; other scalings are tried where it is low"
        )),
        (None, tried) => Answer::pass(format!(
            "none of {tried} other customary scalings and orders of colours makes the model better than {given} on \
             {images} images"
        )),
    }
}

fn tied(others: &[String]) -> String {
    match others {
        [] => String::new(),
        others => format!("; so few images do not tell it from {}", others.join(", ")),
    }
}

/// Radii below a quarter of a level, which no adversary with 8-bit images has.
const FEW_LEVELS: f64 = 0.25 / 255.0;
/// From this radius in L∞ every image can become grey.
const GREY: f64 = 0.5;
/// Radii of L2 and L1 at most as large as people use in L∞.
const LIKE_LINF: f64 = 16.0 / 255.0;
/// Radii of L1 below those that people use there, and as large as they use in L2.
const LIKE_L2: f64 = 1.0;

pub(super) fn epsilon_unit(case: &Case<'_>) -> Answer {
    let threat_model = case.description.threat_model;
    let (norm, epsilon) = (threat_model.norm, threat_model.epsilon);
    let suspicious = match norm {
        Norm::Linf if epsilon < FEW_LEVELS => Some((
            format!("epsilon {} is {} of the 255 levels of a pixel", short(epsilon), short(255.0 * epsilon)),
            format!(
                "if it was meant for pixels in [0, 255] and divided twice, run with --epsilon {}",
                short(255.0 * epsilon)
            ),
        )),
        Norm::Linf if epsilon >= GREY => Some((
            format!(
                "within epsilon {} every image can become grey, so that no model is robust",
                short(epsilon)
            ),
            format!("radii are for pixels in [0, 1]: of levels write --epsilon {}/255", levels(epsilon)),
        )),
        Norm::L2 | Norm::L1 if epsilon <= LIKE_LINF => Some((
            format!(
                "epsilon {} in {norm} is a usual radius in Linf: here it moves one pixel by {:.1} levels",
                short(epsilon),
                255.0 * epsilon
            ),
            "if it is a radius in Linf, run with --norm linf; usual in L2 is 0.5, in L1 12".to_owned(),
        )),
        Norm::L1 if epsilon < LIKE_L2 => Some((
            format!(
                "epsilon {} in L1 is a usual radius in L2: here it moves one pixel by {:.1} levels, and no other",
                short(epsilon),
                255.0 * epsilon
            ),
            "if it is a radius in L2, run with --norm l2; usual in L1 is 12".to_owned(),
        )),
        Norm::L2 | Norm::L1 if epsilon >= corner(case, norm) / 2.0 => Some((
            format!(
                "within epsilon {} in {norm} every image can become grey, so that no model is robust",
                short(epsilon)
            ),
            format!(
                "radii are for pixels in [0, 1]: one of levels is divided by 255, --epsilon {}",
                short(epsilon / 255.0)
            ),
        )),
        _ => None,
    };
    match suspicious {
        Some((found, way_out)) => Answer::warn(found).way_out(way_out),
        None => Answer::pass(format!("{threat_model} is of a usual size")),
    }
}

/// Of 1, what people write for one level; of 8-bit radii above one, the number.
fn levels(epsilon: f64) -> String {
    if epsilon >= 1.0 { "8".to_owned() } else { short(255.0 * epsilon) }
}

/// A number with four digits that count, as people would write it.
fn short(value: f64) -> String {
    format!("{value:.3e}").parse().unwrap_or(value).to_string()
}

/// The distance of two opposite corners of the box.
fn corner(case: &Case<'_>, norm: Norm) -> f64 {
    let pixels = case.description.manifest.image.pixels() as f64;
    match norm {
        Norm::Linf => 1.0,
        Norm::L2 => pixels.sqrt(),
        Norm::L1 => pixels,
    }
}

pub(super) fn image_selection(case: &Case<'_>) -> Answer {
    let warned = case.warned(|warning| match warning {
        Warning::ClassMix { images, of_images, classes, of_classes, .. } => Some(
            Answer::warn(format!(
                "the {images} images have {classes} of the {of_classes} classes of all {of_images}, in other shares"
            ))
            .way_out(format!("--sample {images} draws as many with the shares of the whole"))
            .warned_as(&["class_mix"]),
        ),
        Warning::FewerClasses { class_map, classes } => Some(
            Answer::warn(format!("the images have {} of the model's {classes} classes", class_map.len()))
                .way_out("if they have other indices in the model, give these with --class-map")
                .warned_as(&["fewer_classes"]),
        ),
        Warning::NumberedClasses { folders } => Some(
            Answer::warn(format!("{folders} class folders were taken in numeric order, not as text"))
                .way_out("if the model was trained with the order of text, give the indices with --class-map")
                .warned_as(&["numbered_classes"]),
        ),
        _ => None,
    });
    warned.unwrap_or_else(|| Answer::pass("nothing is unusual about which images these are"))
}
