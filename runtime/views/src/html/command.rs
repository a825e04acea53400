//! The commands that reproduce a run, and look at it again.

use mimir_bundle::Certificate;
use mimir_runtime::evaluate::Verdict;
use mimir_runtime::report::Report;
use serde::Serialize;
use serde_json::Value;

use super::text::{clipped, shell};

/// Letters of a command, at most.
const LETTERS: usize = 3000;

/// Settings that say where and how something is written, not what is evaluated.
const BESIDE_THE_POINT: [&str; 6] =
    ["quiet", "resume", "keep-bundle", "replace-certificate", "time-limit", "gate"];

/// What to type.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Commands {
    /// The same run again; none where its settings are not known.
    run: Option<String>,
    /// Every counterexample again, where they were kept.
    replay: Option<String>,
    /// That of one image.
    replay_one: Option<String>,
    /// Whether the certificate is of the model.
    verify: Option<String>,
    /// This page.
    page: String,
}

pub(super) fn commands(report: &Report, certificate: Option<&Certificate>, folder: &str) -> Commands {
    let (model, folder) = (shell(&report.model.file), shell(folder));
    let kept = certificate.is_some_and(|certificate| certificate.counterexamples.is_some());
    let command = |text: String| clipped(&text, LETTERS);
    Commands {
        run: certificate.and_then(|certificate| run(&model, certificate)).map(command),
        replay_one: first_broken(report)
            .filter(|_| kept)
            .map(|image| command(format!("mimir-certify replay {folder} {model} --image {image}"))),
        replay: kept.then(|| command(format!("mimir-certify replay {folder} {model}"))),
        verify: certificate.map(|_| command(format!("mimir-certify verify {folder} {model}"))),
        page: command(format!("mimir-certify report {folder}")),
    }
}

fn first_broken(report: &Report) -> Option<usize> {
    let broken = report.outcomes.iter().find(|outcome| matches!(outcome.verdict, Verdict::Broken { .. }));
    broken.map(|outcome| outcome.image)
}

/// The run with every setting as a flag, and no settings file.
fn run(model: &str, certificate: &Certificate) -> Option<String> {
    let effective = &certificate.settings.effective;
    if effective.is_empty() {
        return None;
    }
    let flags = effective.iter().filter_map(|(name, value)| flag(name, value));
    let flags: Vec<String> = flags.collect();
    Some(format!("mimir-certify {model} --config /dev/null {}", flags.join(" ")))
}

/// A setting as a flag. What is off is not said.
fn flag(name: &str, value: &Value) -> Option<String> {
    if BESIDE_THE_POINT.contains(&name) {
        return None;
    }
    let word = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let text = match value {
        Value::Bool(false) | Value::Null | Value::Object(_) => return None,
        Value::Bool(true) => return Some(shell(&format!("--{name}"))),
        Value::Array(values) => values.iter().map(word).collect::<Option<Vec<_>>>()?.join(","),
        other => word(other)?,
    };
    // With `=`: a value that begins with `-` is still one.
    Some(shell(&format!("--{name}={text}")))
}

#[cfg(test)]
mod tests {
    use mimir_runtime::report::{Findings, RunDescription};
    use serde_json::json;

    use super::*;
    use crate::testing::{description, evaluation};

    #[test]
    fn commands_are_what_to_type() {
        let (mut description, evaluation) = (description(2), evaluation("ra"));
        let settings = [
            ("attacks", json!(["apgd-ce", "square"])),
            ("data", json!("folder:my images;$(x)")),
            ("epsilon", json!("2/255")),
            ("first", json!(500)),
            ("full", json!(false)),
            ("mean", json!([".5"])),
            ("quiet", json!(true)),
            ("save-adversarial", json!(true)),
        ];
        description.settings.effective = settings.map(|(name, value)| (name.to_owned(), value)).into();
        let description = RunDescription { model_file: "a model.onnx".into(), ..description };
        let findings = Findings::new(&description, &evaluation);
        let (report, certificate) = (findings.report(), findings.certificate().unwrap());
        let found = commands(&report, Some(&certificate), "out dir");
        assert_eq!(
            found.run.unwrap(),
            "mimir-certify 'a model.onnx' --config /dev/null --attacks=apgd-ce,square '--data=folder:my images;$(x)' \
             --epsilon=2/255 --first=500 --mean=.5 --save-adversarial"
        );
        assert_eq!(found.replay.unwrap(), "mimir-certify replay 'out dir' 'a model.onnx'");
        assert_eq!(found.replay_one.unwrap(), "mimir-certify replay 'out dir' 'a model.onnx' --image 1");
        assert_eq!(found.verify.unwrap(), "mimir-certify verify 'out dir' 'a model.onnx'");
        let found = commands(&report, None, "out");
        assert_eq!(
            (found.run, found.replay, found.page),
            (None, None, "mimir-certify report out".to_owned())
        );
    }
}
