//! The rules of the diagnosis, as a table.

use mimir_runtime::report::{Report, RuleAnswer, RuleCounts, RuleVerdict};
use serde::Serialize;

use super::text::clipped;

/// Rules that the page shows at most, letters of an answer, and images and nodes of one.
const ROWS: usize = 40;
const LETTERS: usize = 500;
const NAMED: usize = 8;

/// The table, and how many rules have which answer.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Diagnosis {
    counts: String,
    /// Whether no rule warns or fails.
    is_quiet: bool,
    rows: Vec<RuleRow>,
}

#[derive(Debug, Clone, Serialize)]
struct RuleRow {
    sign: &'static str,
    tone: &'static str,
    verdict: String,
    name: String,
    found: String,
    way_out: Option<String>,
    /// `images 3, 5, … (20)`, `nodes a, b`.
    concerned: Option<String>,
}

/// What fails first, then what warns, what was not examined, and what passes.
pub(super) fn diagnosis(report: &Report) -> Diagnosis {
    let mut answers: Vec<&RuleAnswer> = report.diagnosis.iter().collect();
    answers.sort_by_key(|answer| match answer.verdict {
        RuleVerdict::Fail => 0,
        RuleVerdict::Warn => 1,
        RuleVerdict::NotExamined => 2,
        RuleVerdict::Pass => 3,
    });
    let is_odd = |answer: &&RuleAnswer| matches!(answer.verdict, RuleVerdict::Warn | RuleVerdict::Fail);
    Diagnosis {
        is_quiet: !answers.iter().any(is_odd),
        counts: RuleCounts::of(&report.diagnosis).to_string(),
        rows: answers.into_iter().take(ROWS).map(row).collect(),
    }
}

fn row(answer: &RuleAnswer) -> RuleRow {
    let (sign, tone) = match answer.verdict {
        RuleVerdict::Pass => ("✓", "good"),
        RuleVerdict::Warn => ("!", "unclear"),
        RuleVerdict::Fail => ("✗", "bad"),
        RuleVerdict::NotExamined => ("–", "neutral"),
    };
    RuleRow {
        sign,
        tone,
        verdict: answer.verdict.to_string(),
        name: answer.name(),
        found: clipped(&answer.found, LETTERS),
        way_out: answer.way_out.as_deref().map(|way_out| clipped(way_out, LETTERS)),
        concerned: concerned(answer),
    }
}

fn concerned(answer: &RuleAnswer) -> Option<String> {
    let images: Vec<String> = answer.images.iter().map(ToString::to_string).collect();
    let nodes: Vec<String> = answer.nodes.iter().map(|node| clipped(node, 120)).collect();
    let list = |word: &str, names: &[String], count: usize| {
        let shown = &names[..names.len().min(NAMED)];
        let more = if count > shown.len() { format!(", … ({count} in all)") } else { String::new() };
        (!shown.is_empty()).then(|| format!("{word} {}{more}", shown.join(", ")))
    };
    let parts = [list("images", &images, answer.image_count), list("nodes", &nodes, answer.node_count)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::report;

    #[test]
    fn what_fails_stands_first_with_the_images_concerned() {
        let mut report = report("mraarss");
        let answer = &mut report.diagnosis[12];
        (answer.verdict, answer.found) = (RuleVerdict::Fail, "masked".into());
        (answer.images, answer.image_count) = ((0..20).collect(), 31);
        (answer.nodes, answer.node_count) = (vec!["round".into()], 1);
        let name = answer.name();
        let shown = diagnosis(&report);
        assert_eq!(shown.rows.len(), report.diagnosis.len());
        let first = &shown.rows[0];
        assert_eq!((&first.name, first.sign, first.verdict.as_str()), (&name, "✗", "fail"));
        assert_eq!(
            first.concerned.as_deref(),
            Some("images 0, 1, 2, 3, 4, 5, 6, 7, … (31 in all); nodes round")
        );
        let failing = report.diagnosis.iter().filter(|answer| answer.verdict == RuleVerdict::Fail).count();
        let counts = if failing == 1 { "1 rule fails".to_owned() } else { format!("{failing} rules fail") };
        assert!(shown.counts.starts_with(&counts) && !shown.is_quiet, "{}", shown.counts);
    }

    /// The page does not say that nothing is unusual above a rule that warns.
    #[test]
    fn a_rule_that_warns_is_not_quiet() {
        let mut report = report("mraarss");
        for answer in &mut report.diagnosis {
            answer.verdict = RuleVerdict::Pass;
        }
        report.diagnosis[0].verdict = RuleVerdict::NotExamined;
        assert!(diagnosis(&report).is_quiet);
        report.diagnosis[1].verdict = RuleVerdict::Warn;
        assert!(!diagnosis(&report).is_quiet);
    }
}
