//! Rules about the model: what it returns, and whether what is searched is what is judged.

use mimir_bundle::{OutputKind, ScannedNode};

use super::case::{Answer, Case};
use crate::evaluate::Verdict;
use crate::experiments::Compared;
use crate::report::Warning;
use crate::report::format::percent;
use crate::session::Precision;
use crate::statistics::fraction;

pub(super) fn scores_of_classes(case: &Case<'_>) -> Answer {
    if let Some(images) = case.warned(|warning| match warning {
        Warning::SortedScores { images } => Some(*images),
        _ => None,
    }) {
        return Answer::fail(format!(
            "the scores of each of the first {images} images are in the order of the classes: they are sorted, not of classes"
        ))
        .way_out("name the output with the scores of classes by --output")
        .warned_as(&["sorted_scores"]);
    }
    match case.description.manifest.output {
        OutputKind::Logits => Answer::pass("the output has logits"),
        OutputKind::Probabilities => Answer::warn(
            "the output has probabilities: gradients were taken of their logarithm, and are zero where one rounds to 0 or 1 \
             unless the scores behind them are in the graph",
        )
        .way_out("export the model with logits as its output")
        .warned_as(&["probability_output"]),
        OutputKind::Saturating => {
            Answer::warn("the output saturates: searches followed the scores before it")
                .way_out("export the model with logits as its output")
        }
    }
}

pub(super) fn finite_scores(case: &Case<'_>) -> Answer {
    let outcomes = case.evaluation.outcomes.iter();
    let non_finite = outcomes.filter(|outcome| matches!(outcome.verdict, Verdict::NonFinite { .. }));
    let images: Vec<usize> = non_finite.map(|outcome| outcome.image).collect();
    match images.len() {
        0 => Answer::pass("the model's logits were finite wherever it was asked"),
        count => Answer::warn(format!(
            "the model's logits hold NaN or +infinity for {count} images, as they are or inside the threat model: they count \
             as not robust"
        ))
        .way_out("look for divisions, logarithms and exponentials without a bound in the model")
        .of_images(images)
        .warned_as(&["non_finite"]),
    }
}

pub(super) fn deterministic(case: &Case<'_>) -> Answer {
    let random = case.warned(|warning| match warning {
        Warning::Random { votes, nodes, .. } => Some((*votes, nodes)),
        _ => None,
    });
    if let Some((votes, nodes)) = random {
        return Answer::warn(format!(
            "the model has random operators: its class is the one drawn most often, by a test on up to {votes} draws"
        ))
        .way_out("attack it with gradients averaged over draws (--attacks rand), or export it without randomness")
        .at_nodes(nodes.clone())
        .warned_as(&["random"]);
    }
    let repeated = case.experiments().and_then(|experiments| experiments.repeated.as_ref());
    match repeated {
        Some(repeated) if !repeated.different.is_empty() => Answer::fail(format!(
            "no operator is random, and the class or logits of {} of {} images differ when they are asked for again",
            repeated.different.len(),
            repeated.images
        ))
        .way_out("another engine or one thread a worker (--threads 1) may compute the same each time")
        .of_images(repeated.different.clone()),
        Some(repeated) => Answer::pass(format!(
            "no operator is random, and {} when asked for again{}",
            same_logits(repeated),
            if repeated.rounded.is_empty() { "" } else { ": in another run margins and stored points may differ so" }
        ))
        .of_images(repeated.rounded.clone()),
        None => Answer::pass("no operator is random"),
    }
}

pub(super) fn independent_images(case: &Case<'_>) -> Answer {
    let mixing = case.warned(|warning| match warning {
        Warning::MixesImages { nodes } => Some(nodes),
        _ => None,
    });
    if let Some(nodes) = mixing {
        let where_found = if nodes.is_empty() { "by running it" } else { "by its operators" };
        return Answer::warn(format!(
            "images of a batch influence each other (found {where_found}): they were evaluated one at a time"
        ))
        .way_out("the answer holds for one image at a time; in other batches the model is another one")
        .at_nodes(nodes.clone())
        .warned_as(&["mixes_images"]);
    }
    let regrouped = case.experiments().and_then(|experiments| experiments.regrouped.as_ref());
    match regrouped {
        Some(regrouped) if !regrouped.different.is_empty() => Answer::fail(format!(
            "the logits of {} of {} images differ by more than rounding among other images of a batch",
            regrouped.different.len(),
            regrouped.images
        ))
        .way_out("evaluate one image at a time: --batch 1")
        .of_images(regrouped.different.clone()),
        Some(regrouped) => Answer::pass(format!(
            "no operator mixes images, and {} among others{}",
            same_logits(regrouped),
            match regrouped.rounded.is_empty() {
                true => "",
                false => ": with another --batch margins and stored points may differ so",
            }
        ))
        .of_images(regrouped.rounded.clone()),
        None => Answer::pass("no operator mixes the images of a batch"),
    }
}

/// That logits were the same, or how far they are apart.
fn same_logits(Compared { images, rounded, rounding, .. }: &Compared) -> String {
    match rounded.len() {
        0 => format!("the logits of {images} images were the same"),
        count => format!(
            "the logits of {images} images were the same up to rounding, but for {count} of them not to the last bit (by up to \
             {rounding:.1e})"
        ),
    }
}

pub(super) fn differentiable_operators(case: &Case<'_>) -> Answer {
    let scan = &case.description.scan;
    let names = |nodes: &[ScannedNode]| nodes.iter().map(ToString::to_string).collect::<Vec<_>>();
    let nodes: Vec<String> =
        names(&scan.gradient_cuts).into_iter().chain(names(&scan.straight_through)).collect();
    let (cut, stand_in) = (scan.gradient_cuts.len(), scan.straight_through.len());
    let adapt = "attack it adaptively: gradients of what stands behind these nodes, --attacks with square, a surrogate";
    let kinds = ["gradient_cut", "gradient_approximation", "no_gradient", "silent_units"];
    let silent = case.warned(|warning| match warning {
        Warning::SilentUnits { activation, silent, .. } => Some((activation, *silent)),
        _ => None,
    });
    if !case.description.skipped_attacks.is_empty() {
        let skipped = case.description.skipped_attacks.join(", ");
        return Answer::fail(format!("no gradient reaches the images: {skipped} did not run"))
            .way_out(adapt)
            .at_nodes(nodes)
            .warned_as(&kinds);
    }
    match (cut, stand_in, silent) {
        (0, 0, None) => Answer::pass("every operator between images and output has its derivative"),
        (0, 0, Some((activation, share))) => Answer::warn(format!(
            "up to {} of the units of an activation pass no gradient, or hardly any: relaxed gradients were followed too, where the \
             attacks are a preset's",
            percent(share)
        ))
        .way_out("attack it with relaxed-pgd and square too")
        .at_nodes(vec![activation.clone()])
        .warned_as(&kinds),
        _ => Answer::warn(format!(
            "{cut} nodes between images and output pass no gradient, and {stand_in} a stand-in for one"
        ))
        .way_out(adapt)
        .at_nodes(nodes)
        .warned_as(&kinds),
    }
}

pub(super) fn searched_function(case: &Case<'_>) -> Answer {
    let differences = case.description.accepted_differences.len();
    if differences > 0 {
        return Answer::fail(format!(
            "the graphs that were searched differ from the file in {differences} ways by more than rounding"
        ))
        .way_out("accepted_differences has each; report it, or simplify the model")
        .warned_as(&["approximate_search"]);
    }
    if let Some(difference) = case.warned(|warning| match warning {
        Warning::QuantisedLogitsDiffer { difference, .. } => Some(*difference),
        _ => None,
    }) {
        return Answer::warn(format!(
            "the logits of the quantised file differ from its copy in floats by {} of their length",
            percent(difference)
        ))
        .way_out("run on a processor with exact 8-bit products (AVX-512 VNNI, or aarch64)")
        .warned_as(&["quantised_logits_differ"]);
    }
    match case.description.majority_test {
        Some(_) => Answer::not_examined("draws of a model with random operators cannot be compared"),
        None => Answer::pass(
            "the searched graphs and the file agree up to rounding on the images that were compared",
        ),
    }
}

/// Share of the images from which rejected candidates are too many.
const TOO_MANY_REJECTED: f64 = 0.01;

pub(super) fn transfer(case: &Case<'_>) -> Answer {
    let unbroken: Vec<usize> = case.unbroken().collect();
    let mut images: Vec<usize> =
        case.evaluation.attacks.iter().flat_map(|attack| attack.signs.rejected.iter().copied()).collect();
    images.sort_unstable();
    images.dedup();
    images.retain(|image| unbroken.binary_search(image).is_ok());
    if case.description.majority_test.is_some() {
        return Answer::not_examined("candidates of a model with random operators are decided by draws");
    }
    let found = format!(
        "for {} images that nothing broke, the searched graph clearly misclassified a point that the file does not",
        images.len()
    );
    let answer = match images.len() {
        0 => return Answer::pass("whatever the searched graphs clearly misclassified, the file did too"),
        count if count as f64 > TOO_MANY_REJECTED * case.images() as f64 && count > 1 => Answer::fail(found),
        _ => Answer::warn(found),
    };
    let way_out = if case.description.execution.precision == Precision::Mixed.name() {
        "searches follow another function than the file there: run with --precision float32"
    } else {
        "searches follow another function than the file there: quantised or saturated scores; attack it adaptively"
    };
    answer.way_out(way_out).of_images(images)
}

pub(super) fn engines_agree(case: &Case<'_>) -> Answer {
    let Some(check) = &case.description.cross_check else {
        return Answer::not_examined("no other engine was asked").way_out("run with --cross-check");
    };
    let images: Vec<usize> = check.disagreements.iter().map(|disagreement| disagreement.image).collect();
    let found = format!(
        "{} {} confirms {} of {} counterexamples",
        check.engine, check.engine_version, check.confirmed, check.counterexamples
    );
    match images.is_empty() {
        true => Answer::pass(found),
        false => Answer::warn(found)
            .way_out("counterexamples of rounding alone are those of one engine; the others show a difference of engines")
            .of_images(images)
            .warned_as(&["engines_disagree"]),
    }
}

/// Share of the broken images from which those of rounding alone call for a warning.
const TOO_MANY_FRAGILE: f64 = 0.01;

pub(super) fn beyond_rounding(case: &Case<'_>) -> Answer {
    let outcomes = &case.evaluation.outcomes;
    let is_broken = |verdict: &Verdict| matches!(verdict, Verdict::Broken { .. });
    let of_rounding = |verdict: &Verdict| match verdict {
        Verdict::Broken { fragile, margin_float64, .. } => {
            *fragile || margin_float64.is_some_and(|margin| margin > 0.0)
        }
        _ => false,
    };
    let broken = outcomes.iter().filter(|outcome| is_broken(&outcome.verdict)).count();
    let images: Vec<usize> = outcomes
        .iter()
        .filter(|outcome| of_rounding(&outcome.verdict))
        .map(|outcome| outcome.image)
        .collect();
    let found = format!("{} of {broken} broken images are broken by rounding only", images.len());
    let share = fraction(images.len(), broken.max(1));
    if share <= TOO_MANY_FRAGILE {
        return Answer::pass(found).of_images(images);
    }
    Answer::warn(found)
        .way_out("these images may be robust on another engine: the attacked accuracy is a little too low")
        .of_images(images)
        .warned_as(&["fragile", "broken_in_float32_only"])
}
