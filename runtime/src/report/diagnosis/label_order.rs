//! Whether the labels look like the model's classes in another order.

use std::collections::{BTreeMap, BTreeSet};

use super::case::{Answer, Case};
use crate::evaluate::ImageOutcome;
use crate::statistics::{by_guessing, clopper_pearson};

/// Labels that a sentence shows, at most.
const SHOWN: usize = 12;

/// By how much another order must be better, as a share of the images.
const FAR: f64 = 0.1;

/// Which class of the model a label most likely is.
type ClassOfLabel = BTreeMap<usize, usize>;

pub(super) fn label_order(case: &Case<'_>) -> Answer {
    let outcomes = &case.evaluation.outcomes;
    let images = outcomes.len();
    let correct = outcomes.iter().filter(|outcome| outcome.is_clean_correct()).count();
    let agreeing = cross_validated(outcomes);
    let as_is = format!("{correct} of {images} images are classified as their labels say");
    let (given, other) = (clopper_pearson(correct, images), clopper_pearson(agreeing, images));
    // A model that says one class to all images agrees with the order in which that is the most frequent label.
    let labels = outcomes.iter().map(|outcome| outcome.label);
    let by_guessing = by_guessing(labels, case.description.manifest.classes);
    let is_better = other.lower > given.upper.max(by_guessing)
        && (agreeing as f64) >= correct as f64 + FAR * images as f64;
    if !is_better {
        return Answer::pass(format!(
            "{as_is}, and no other order of the classes fits far better ({agreeing})"
        ));
    }
    let moved: Vec<(usize, usize)> =
        best_order(outcomes).into_iter().filter(|(label, class)| label != class).collect();
    let concerned: BTreeSet<usize> = moved.iter().map(|(label, _)| *label).collect();
    let of_labels = outcomes.iter().filter(|outcome| concerned.contains(&outcome.label));
    Answer::warn(format!(
        "{as_is}; {agreeing} would be if the classes were in another order, fitted on one half of the images and counted on \
         the other: {}",
        words(case, &moved)
    ))
    .way_out(way_out(case, &moved))
    .of_images(of_labels.map(|outcome| outcome.image).collect())
}

/// Images whose prediction is the class that the other half of the images gives to their label. The images of a label are
/// in the halves by turns.
fn cross_validated(outcomes: &[ImageOutcome]) -> usize {
    let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
    let mut halves: [Vec<ImageOutcome>; 2] = [Vec::new(), Vec::new()];
    for outcome in outcomes {
        let turn = seen.entry(outcome.label).or_default();
        halves[*turn % 2].push(outcome.clone());
        *turn += 1;
    }
    let [first, second] = &halves;
    agreeing(second, &best_order(first)) + agreeing(first, &best_order(second))
}

fn agreeing(outcomes: &[ImageOutcome], order: &ClassOfLabel) -> usize {
    let agrees = |outcome: &&ImageOutcome| {
        outcome.clean_prediction.is_some() && outcome.clean_prediction.as_ref() == order.get(&outcome.label)
    };
    outcomes.iter().filter(agrees).count()
}

/// The class that each label is taken for most often, no class for two labels: the most frequent pairs first.
fn best_order(outcomes: &[ImageOutcome]) -> ClassOfLabel {
    let mut counts: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for outcome in outcomes {
        if let Some(class) = outcome.clean_prediction {
            *counts.entry((outcome.label, class)).or_default() += 1;
        }
    }
    let mut pairs: Vec<((usize, usize), usize)> = counts.into_iter().collect();
    // Of pairs that are equally frequent the one that leaves a label what it is.
    pairs.sort_by_key(|((label, class), count)| (std::cmp::Reverse(*count), label != class, *label, *class));
    let (mut order, mut taken) = (ClassOfLabel::new(), BTreeSet::new());
    for ((label, class), _) in pairs {
        if !order.contains_key(&label) && taken.insert(class) {
            order.insert(label, class);
        }
    }
    order
}

fn name<'a>(case: &Case<'a>, label: usize) -> Option<&'a String> {
    let names = case.description.data.class_names.as_ref();
    names.and_then(|names| names.get(label)).filter(|name| !name.is_empty())
}

fn words(case: &Case<'_>, moved: &[(usize, usize)]) -> String {
    let word = |(label, class): &(usize, usize)| match name(case, *label) {
        Some(name) => format!("{name} ({label}) → {class}"),
        None => format!("{label} → {class}"),
    };
    let shown: Vec<String> = moved.iter().take(SHOWN).map(word).collect();
    let more = if moved.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// The flag where the classes have names, and what else can be done.
fn way_out(case: &Case<'_>, moved: &[(usize, usize)]) -> String {
    let shift = moved.first().map(|(label, class)| *class as i64 - *label as i64);
    let is_shift =
        moved.len() > 1 && moved.iter().all(|(label, class)| Some(*class as i64 - *label as i64) == shift);
    match (moved.first().and_then(|(label, _)| name(case, *label)), shift) {
        (Some(_), _) => {
            "give the model's index of each class: --class-map FILE, with lines NAME INDEX".to_owned()
        }
        (None, Some(shift)) if is_shift => {
            format!("the labels are off by {}: correct them in the data by {shift:+}", shift.unsigned_abs())
        }
        _ => {
            "correct the labels in the data, or give images in class folders with --class-map FILE".to_owned()
        }
    }
}
