//! Accuracy by class, and what was taken for what.

use std::collections::BTreeMap;

use mimir_bundle::certificate::EvaluationData;
use mimir_bundle::statistics::{Interval, clopper_pearson, fraction};
use mimir_runtime::evaluate::{ImageOutcome, Verdict};
use mimir_runtime::report::{Report, percent};
use serde::Serialize;

use super::text::clipped;

/// Classes that a matrix shows at most.
const MATRIX: usize = 20;

/// Rows of the table of classes, and of pairs, that are shown at once.
const SHOWN: usize = 20;

/// Rows of it that the page has at most.
const MOST: usize = 500;

/// One class.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Class {
    name: String,
    images: usize,
    clean: String,
    attacked: String,
    /// The attacked accuracy in per cent, for the length of a bar.
    bar: String,
    interval: String,
    #[serde(skip)]
    share: f64,
}

/// The classes, those with the lowest attacked accuracy first.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Classes {
    first: Vec<Class>,
    more: Vec<Class>,
    left_out: usize,
}

/// What was taken for what, as a matrix or, of many classes, as its largest entries.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Confusion {
    names: Vec<String>,
    rows: Vec<Row>,
    pairs: Vec<Pair>,
}

#[derive(Debug, Clone, Serialize)]
struct Row {
    name: String,
    cells: Vec<Cell>,
}

#[derive(Debug, Clone, Serialize)]
struct Cell {
    count: usize,
    /// Share of the class in per cent, for the shade of the cell.
    share: String,
    is_label: bool,
}

#[derive(Debug, Clone, Serialize)]
struct Pair {
    label: String,
    answer: String,
    count: usize,
}

/// The name of a class, or its index.
pub(super) fn class_name(data: &EvaluationData, class: usize) -> String {
    let name = data.class_names.as_ref().and_then(|names| names.get(class));
    name.map_or_else(|| format!("class {class}"), |name| clipped(name, 60))
}

/// Accuracies by class.
pub(super) fn classes(report: &Report) -> Classes {
    let mut counts: BTreeMap<usize, [usize; 3]> = BTreeMap::new();
    for outcome in &report.outcomes {
        let [images, clean, attacked] = counts.entry(outcome.label).or_default();
        *images += 1;
        *clean += usize::from(outcome.is_clean_correct());
        *attacked += usize::from(matches!(outcome.verdict, Verdict::StillRobust | Verdict::Unfinished));
    }
    let class = |(label, [images, clean, attacked]): (usize, [usize; 3])| {
        let (share, Interval { lower, upper, .. }) =
            (fraction(attacked, images), clopper_pearson(attacked, images));
        Class {
            name: class_name(&report.data, label),
            images,
            clean: percent(fraction(clean, images)),
            attacked: percent(share),
            bar: format!("{:.1}", 100.0 * share),
            interval: format!("{} to {}", percent(lower), percent(upper)),
            share,
        }
    };
    let mut all: Vec<Class> = counts.into_iter().map(class).collect();
    all.sort_by(|a, b| a.share.total_cmp(&b.share));
    let left_out = all.len().saturating_sub(MOST);
    all.truncate(MOST);
    let more = all.split_off(all.len().min(SHOWN));
    Classes { first: all, more, left_out }
}

/// What the model answered in the end: for the counterexample where there is one.
fn answer(outcome: &ImageOutcome) -> Option<usize> {
    match outcome.verdict {
        Verdict::Broken { prediction, .. } => Some(prediction),
        Verdict::NonFinite { .. } => None,
        _ => outcome.clean_prediction,
    }
}

/// Labels against answers under attack.
pub(super) fn confusion(report: &Report) -> Confusion {
    let mut counts: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for outcome in &report.outcomes {
        if let Some(answer) = answer(outcome) {
            *counts.entry((outcome.label, answer)).or_default() += 1;
        }
    }
    let classes = report.model.manifest.classes;
    if classes > MATRIX {
        return Confusion { names: Vec::new(), rows: Vec::new(), pairs: pairs(report, &counts) };
    }
    let name = |class| class_name(&report.data, class);
    let row = |label: usize| {
        let count = |answer: usize| counts.get(&(label, answer)).copied().unwrap_or_default();
        let images: usize = (0..classes).map(count).sum();
        let cell = |answer: usize| Cell {
            count: count(answer),
            share: format!("{:.0}", 100.0 * fraction(count(answer), images)),
            is_label: answer == label,
        };
        Row { name: name(label), cells: (0..classes).map(cell).collect() }
    };
    Confusion {
        names: (0..classes).map(name).collect(),
        rows: (0..classes).map(row).collect(),
        pairs: Vec::new(),
    }
}

/// The most frequent mistakes.
fn pairs(report: &Report, counts: &BTreeMap<(usize, usize), usize>) -> Vec<Pair> {
    let mut wrong: Vec<(&(usize, usize), &usize)> =
        counts.iter().filter(|((label, answer), _)| label != answer).collect();
    wrong.sort_by(|a, b| b.1.cmp(a.1));
    let name = |class| class_name(&report.data, class);
    let pair = |((label, answer), count): (&(usize, usize), &usize)| Pair {
        label: name(*label),
        answer: name(*answer),
        count: *count,
    };
    wrong.into_iter().take(SHOWN).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::report;

    #[test]
    fn classes_are_sorted_by_attacked_accuracy() {
        // Cats (even): misclassified, broken, robust; dogs (odd): robust, robust, broken.
        let report = report("mrarrs");
        let found = classes(&report);
        let rows: Vec<(&str, usize, &str, &str)> = found
            .first
            .iter()
            .map(|class| (class.name.as_str(), class.images, class.clean.as_str(), class.attacked.as_str()))
            .collect();
        assert_eq!(rows, [("cat", 3, "66.66 %", "33.33 %"), ("dog", 3, "100.00 %", "66.66 %")]);
        let matrix = confusion(&report);
        let counts: Vec<Vec<usize>> =
            matrix.rows.iter().map(|row| row.cells.iter().map(|cell| cell.count).collect()).collect();
        assert_eq!(counts, [[1, 0, 2], [0, 2, 1], [0, 0, 0]]);
    }

    #[test]
    fn of_many_classes_the_largest_mistakes_are_shown() {
        let mut report = report("aaamr");
        report.model.manifest.classes = 1000;
        let found = confusion(&report);
        assert_eq!((found.rows.len(), found.pairs.len()), (0, 2));
        assert_eq!(
            (found.pairs[0].label.as_str(), found.pairs[0].answer.as_str(), found.pairs[0].count),
            ("cat", "fox", 2)
        );
    }
}
