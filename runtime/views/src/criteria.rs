//! What was required, one by one: what others call test cases.

use mimir_bundle::statistics::percent_in_full;
use mimir_runtime::evaluate::Ending;
use mimir_runtime::report::{BaselineComparison, Comparison, GateReport, Report, percent};

/// One requirement, and whether it is met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Criterion {
    /// For programs.
    pub(crate) id: &'static str,
    /// What was wanted.
    pub(crate) wanted: String,
    /// What was found.
    pub(crate) found: String,
    pub(crate) verdict: Met,
}

/// Whether a requirement is met, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Met {
    Yes,
    /// Not shown to be missed, nor to hold.
    Unclear,
    No,
    /// The run was interrupted.
    Open,
}

impl Met {
    /// In one word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Yes => "met",
            Self::Unclear => "inconclusive",
            Self::No => "not met",
            Self::Open => "interrupted",
        }
    }
}

/// The requirements of a report, each with its answer; one at least. The worst answer is that of the gate.
pub(crate) fn criteria(report: &Report) -> Vec<Criterion> {
    let gate = &report.gate;
    let mut criteria: Vec<Criterion> =
        [attacked(gate), clean(gate), warnings(gate), preset(gate), gate.baseline.as_ref().map(baseline)]
            .into_iter()
            .flatten()
            .collect();
    if criteria.is_empty() || report.ending == Ending::Interrupted {
        criteria.push(end(report));
    }
    criteria
}

/// How the evaluation ended, where nothing else was required, or it ended too soon.
fn end(report: &Report) -> Criterion {
    let unfinished = report.counts.unfinished;
    let (found, verdict) = match report.ending {
        Ending::Interrupted => (format!("interrupted, {unfinished} images are unfinished"), Met::Open),
        Ending::Complete | Ending::GateDecided => {
            (format!("finished, attacked accuracy {}", percent(report.attacked_accuracy)), Met::Yes)
        }
    };
    Criterion { id: "evaluation", wanted: "evaluation to its end".to_owned(), found, verdict }
}

fn attacked(gate: &GateReport) -> Option<Criterion> {
    let required = gate.min_attacked_accuracy?;
    let by_limit = gate.compared == Comparison::LowerLimit;
    let verdict = match required {
        _ if gate.attacked_accuracy < required => Met::No,
        _ if gate.certain_accuracy < required => Met::Open,
        _ if by_limit && gate.lower_limit < required => Met::Unclear,
        _ => Met::Yes,
    };
    let exact = gate.certain_accuracy >= gate.attacked_accuracy;
    let mut found = match exact {
        true => percent(gate.attacked_accuracy),
        false => {
            format!("between {} and {}", percent(gate.certain_accuracy), percent(gate.attacked_accuracy))
        }
    };
    let mut wanted = format!("attacked accuracy at least {}", percent_in_full(required));
    if by_limit {
        wanted += &format!(", by the lower end of its {:.0} % interval too", 100.0 * gate.confidence);
        found += &format!(", lower end {}", percent(gate.lower_limit));
    }
    Some(Criterion { id: "attacked-accuracy", wanted, found, verdict })
}

fn clean(gate: &GateReport) -> Option<Criterion> {
    let required = gate.min_clean_accuracy?;
    let verdict = if gate.clean_accuracy < required { Met::No } else { Met::Yes };
    let wanted = format!("clean accuracy at least {}", percent_in_full(required));
    Some(Criterion { id: "clean-accuracy", wanted, found: percent(gate.clean_accuracy), verdict })
}

fn warnings(gate: &GateReport) -> Option<Criterion> {
    let (found, verdict) = match gate.weakened_by.is_empty() {
        _ if !gate.deny_warnings => return None,
        true => ("none".to_owned(), Met::Yes),
        false => (gate.weakened_by.join(", "), Met::Unclear),
    };
    Some(Criterion {
        id: "warnings",
        wanted: "no warning that weakens the verdict".to_owned(),
        found,
        verdict,
    })
}

/// A run with fewer attacks would have been refused.
fn preset(gate: &GateReport) -> Option<Criterion> {
    let preset = gate.min_preset.as_ref()?;
    let wanted = format!("at least the attacks of the preset {preset}");
    Some(Criterion { id: "min-preset", wanted, found: "all of them".to_owned(), verdict: Met::Yes })
}

fn baseline(baseline: &BaselineComparison) -> Criterion {
    let BaselineComparison {
        file,
        tolerance,
        newly_broken,
        newly_robust,
        newly_misclassified,
        newly_correct,
        ..
    } = baseline;
    Criterion {
        id: "baseline",
        wanted: format!("no accuracy lower than in {file} by more than {}", percent_in_full(*tolerance)),
        found: format!(
            "{} images newly broken, {} newly robust, {newly_misclassified} newly misclassified, {newly_correct} newly \
             correct",
            newly_broken.len(),
            newly_robust.len()
        ),
        verdict: if baseline.regressed { Met::No } else { Met::Yes },
    }
}

#[cfg(test)]
mod tests {
    use mimir_runtime::report::{Conclusion, Findings, MinAccuracy, Requirements, RunDescription, Warning};

    use super::*;
    use crate::testing::{description, evaluation};

    /// Whatever is shown one by one, together it is the answer of the gate.
    #[test]
    fn the_worst_answer_is_that_of_the_gate() {
        let mut answers = Vec::new();
        for letters in ["rrrrrrrrrr", "aaaarrrrrr", "mmmmmmrrrr", "aaaaaaaaaa", "rrrrrruuuu", "uuuuuuuuuu"] {
            for bits in 0..32_u32 {
                let has = |bit: u32| bits & (1 << bit) != 0;
                let gate = Requirements {
                    min_attacked_accuracy: MinAccuracy::new(0.4).filter(|_| has(0)),
                    compared: if has(1) { Comparison::LowerLimit } else { Comparison::PointEstimate },
                    min_clean_accuracy: MinAccuracy::new(0.5).filter(|_| has(2)),
                    deny_warnings: has(3),
                };
                let warnings = if has(4) { vec![Warning::NothingToAttack] } else { vec![] };
                let description = RunDescription { gate, warnings, ..description(10) };
                let report = Findings::new(&description, &evaluation(letters)).report();
                let worst = criteria(&report).iter().map(|criterion| criterion.verdict).max().unwrap();
                let expected = match report.gate.conclusion {
                    _ if report.gate.interrupted => Met::Open,
                    Conclusion::NoRequirement | Conclusion::Holds => Met::Yes,
                    Conclusion::DoesNotHold => Met::No,
                    Conclusion::Inconclusive => Met::Unclear,
                    Conclusion::Open => Met::Open,
                };
                assert_eq!(worst, expected, "{letters} {gate:?}: {}", report.gate);
                answers.push(worst);
            }
        }
        for wanted in [Met::Yes, Met::Unclear, Met::No, Met::Open] {
            assert!(answers.contains(&wanted), "{wanted:?}");
        }
    }
}
