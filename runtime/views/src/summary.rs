//! A page of Markdown for the summary of a pipeline (GitHub's tables).

use mimir_bundle::markdown;
use mimir_bundle::statistics::clopper_pearson;
use mimir_runtime::report::{
    AttackSummary, FailureReport, Report, RuleAnswer, RuleCounts, RuleVerdict, Severity, percent,
};

use crate::answer::{Answer, Shown};
use crate::criteria::{Criterion, Met, criteria};

/// Warnings that are shown at most, and letters of each: summaries have a limit of bytes.
const WARNINGS: usize = 30;
const LETTERS: usize = 2000;

/// The answers as Markdown, one section each. Text of the reports means only itself.
pub fn summary(shown: &[Shown<'_>]) -> String {
    let sections: Vec<String> = shown.iter().map(section).collect();
    sections.join("\n")
}

fn section(shown: &Shown<'_>) -> String {
    let gate = shown.gate.map_or_else(String::new, |gate| format!("{}: ", markdown(gate)));
    match shown.answer {
        Answer::Finished(report) => {
            format!("## {gate}{}\n\n{}", markdown(&report.gate.to_string()), finished(report))
        }
        Answer::Failed(FailureReport { error, .. }) => failure_summary(&error.message),
    }
}

/// That there is no answer, and why, as Markdown.
pub fn failure_summary(message: &str) -> String {
    let message: String = message.chars().take(LETTERS).collect();
    format!("## ERROR  no answer\n\n{}\n", markdown(&message))
}

fn finished(report: &Report) -> String {
    let subject = [
        ("model", report.model.file.clone()),
        ("SHA-256", report.model.sha256().to_owned()),
        ("images", format!("{} of {}", report.images, report.data.source)),
        ("threat model", report.threat_model.to_string()),
    ];
    let mut out = "| | |\n| --- | --- |\n".to_owned();
    for (word, value) in subject {
        out += &format!("| {word} | {} |\n", markdown(&value));
    }
    out += &requirements(report);
    out += "\n| | accuracy | 95 % interval | broken | passes an image |\n| --- | --: | --- | --: | --: |\n";
    out += &row("as they are", report.counts.clean_correct, report.images, "", "");
    for attack in &report.attacks {
        out += &attack_row(attack, report.images);
    }
    out += &row(
        "**attacked accuracy**",
        report.counts.not_broken(),
        report.images,
        &report.counts.broken.to_string(),
        "",
    );
    out += &format!("\n{}\n", markdown(&report.meaning));
    out + &warnings(report) + &diagnosis(report)
}

fn requirements(report: &Report) -> String {
    let row = |criterion: &Criterion| {
        let Criterion { wanted, found, verdict, .. } = criterion;
        let mark = match verdict {
            Met::Yes => "✓",
            Met::No => "✗",
            Met::Unclear | Met::Open => "?",
        };
        format!("| {mark} {} | {} | {} |\n", verdict.word(), markdown(wanted), markdown(found))
    };
    let rows: String = criteria(report).iter().map(row).collect();
    format!("\n| | required | found |\n| --- | --- | --- |\n{rows}")
}

fn attack_row(attack: &AttackSummary, images: usize) -> String {
    let robust = attack.still_robust;
    let passes = format!("{:.0}", attack.forwards_per_image + attack.backwards_per_image);
    row(&format!("after {}", markdown(&attack.name)), robust, images, &attack.broken.to_string(), &passes)
}

fn row(word: &str, correct: usize, images: usize, broken: &str, passes: &str) -> String {
    let interval = clopper_pearson(correct, images);
    let share = mimir_bundle::statistics::fraction(correct, images);
    format!(
        "| {word} | {} | {} to {} | {broken} | {passes} |\n",
        percent(share),
        percent(interval.lower),
        percent(interval.upper)
    )
}

fn warnings(report: &Report) -> String {
    if report.warnings.is_empty() {
        return String::new();
    }
    let mut out = "\n### Warnings\n\n".to_owned();
    for notice in report.warnings.iter().take(WARNINGS) {
        let weakens = match notice.severity {
            Severity::WeakensVerdict => " (weakens the verdict)",
            Severity::Information => "",
        };
        let message: String = notice.message.chars().take(LETTERS).collect();
        out += &format!("- **{}**{weakens}: {}\n", markdown(&notice.warning.kind()), markdown(&message));
    }
    if report.warnings.len() > WARNINGS {
        out += &format!("- and {} more, in report.json\n", report.warnings.len() - WARNINGS);
    }
    out
}

/// How many rules have which answer, and those that warn or fail.
fn diagnosis(report: &Report) -> String {
    if report.diagnosis.is_empty() {
        return String::new();
    }
    let mut out = format!("\n### Diagnosis\n\n{}\n", RuleCounts::of(&report.diagnosis));
    let odd = report
        .diagnosis
        .iter()
        .filter(|answer| matches!(answer.verdict, RuleVerdict::Warn | RuleVerdict::Fail))
        .take(WARNINGS);
    let row = |answer: &RuleAnswer| {
        let clipped = |text: &str| markdown(&text.chars().take(LETTERS).collect::<String>());
        let way_out = answer.way_out.as_deref().unwrap_or_default();
        format!(
            "| {} | {} | {} | {} |\n",
            answer.verdict,
            markdown(&answer.id()),
            clipped(&answer.found),
            clipped(way_out)
        )
    };
    let rows: String = odd.map(row).collect();
    if !rows.is_empty() {
        out += &format!("\n| | rule | found | what to do |\n| --- | --- | --- | --- |\n{rows}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::report;

    #[test]
    fn the_answer_stands_first_and_every_number_in_a_table() {
        let report = report("rrrramas");
        insta::assert_snapshot!(summary(&[Shown { gate: Some("near"), answer: Answer::Finished(&report) }]), @r#"
        ## near: PASS  attacked accuracy 50.00 % is not below the required 40.00 %

        | | |
        | --- | --- |
        | model | model.onnx |
        | SHA-256 | 9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4 |
        | images | 8 of folder:images |
        | threat model | Linf, epsilon 2/255 = 0.00784 in pixels of \[0, 1\] |

        | | required | found |
        | --- | --- | --- |
        | ✓ met | attacked accuracy at least 40.00 % | 50.00 % |

        | | accuracy | 95 % interval | broken | passes an image |
        | --- | --: | --- | --: | --: |
        | as they are | 87.50 % | 47.34 % to 99.68 % |  |  |
        | after apgd-ce | 62.50 % | 24.48 % to 91.47 % | 2 | 63 |
        | after square | 50.00 % | 15.70 % to 84.29 % | 1 | 88 |
        | **attacked accuracy** | 50.00 % | 15.70 % to 84.29 % | 3 |  |

        The attacked accuracy is an upper bound of the robust accuracy on these images: each broken image has a confirmed counterexample, but an image that these attacks left alone may fall to another. It is never a proof of robustness. The interval speaks about the population that the images are a random sample of.

        ### Warnings

        - **rebatched**: the file has a fixed batch: its batch dimension was changed for speed, and the logits were checked to stay the same
        - **square\_beats\_gradients** (weakens the verdict): square, which uses no gradients, broke 1 images that attacks with gradients had left: a sign of masked gradients. Raise --queries and --restarts, or attack the model adaptively

        ### Diagnosis

        0 rules fail, 3 warn, 17 pass, 11 not examined

        | | rule | found | what to do |
        | --- | --- | --- | --- |
        | warn | standard\_attacks | less than the standard evaluation ran \(apgd-ce, square\): apgd-t is missing | --attacks standard for a number that is comparable with published ones |
        | warn | several\_losses | 1 untargeted and 0 targeted attacks with gradients: apgd-ce | several losses, with and without targets: --attacks standard |
        | warn | gradient\_free\_not\_better | square broke 1 images \(12.50 %\) that attacks with gradients had left | a sign of masked gradients: raise --queries and --restarts, and attack the model adaptively |
        "#);
    }

    #[test]
    fn text_of_the_report_means_only_itself() {
        let mut report = report("rr");
        report.model.file = "<img src=x>|\n# y".into();
        let text = summary(&[Shown::from(&report)]);
        assert!(text.contains("\\<img src=x\\>\\| \\# y"), "{text}");
    }
}
