//! The commands that reproduce a run, and look at it again.

use mimir_bundle::{Certificate, as_given, shell_word};
use mimir_runtime::evaluate::Verdict;
use mimir_runtime::report::Report;
use serde::Serialize;
use serde_json::Value;

/// Letters of a command, at most: a longer one is not shown, because a part of it would be another command.
const LETTERS: usize = 20_000;

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
    page: Option<String>,
    /// Whether a name may have a character that a report does not hold as it is, or what stands for one.
    has_escapes: bool,
}

pub(super) fn commands(report: &Report, certificate: Option<&Certificate>, folder: &str) -> Commands {
    let model = shell_word(&no_subcommand(&as_given(&report.model.file)));
    let folder = shell_word(&no_flag(folder));
    let kept = certificate.is_some_and(|certificate| certificate.counterexamples.is_some());
    let command = |text: String| (text.chars().count() <= LETTERS).then_some(text);
    Commands {
        run: certificate.and_then(|certificate| run(&model, certificate)).and_then(command),
        replay_one: first_broken(report)
            .filter(|_| kept)
            .and_then(|image| command(format!("mimir-certify replay {folder} {model} --image {image}"))),
        replay: kept.then(|| format!("mimir-certify replay {folder} {model}")).and_then(command),
        verify: certificate.and_then(|_| command(format!("mimir-certify verify {folder} {model}"))),
        page: command(format!("mimir-certify report {folder}")),
        has_escapes: report.model.file.contains('\\')
            || certificate.is_some_and(|certificate| {
                certificate
                    .settings
                    .effective
                    .values()
                    .any(|value| value.as_str().is_some_and(|it| it.contains('\\')))
            }),
    }
}

/// A path that is not taken for a flag.
fn no_flag(path: &str) -> String {
    let here = if path.starts_with('-') { "./" } else { "" };
    format!("{here}{path}")
}

/// The name of a model that is not taken for a flag or for a subcommand, none of which has a dot.
fn no_subcommand(name: &str) -> String {
    if name.contains('.') { no_flag(name) } else { format!("./{name}") }
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
        Value::Bool(true) => return Some(shell_word(&format!("--{name}"))),
        Value::Array(values) => values.iter().map(word).collect::<Option<Vec<_>>>()?.join(","),
        other => word(other)?,
    };
    // With `=`: a value that begins with `-` is still one.
    Some(shell_word(&format!("--{name}={}", as_given(&text))))
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
            (None, None, Some("mimir-certify report out".to_owned()))
        );
    }

    /// A model may be called like a flag or a subcommand, and a part of a command would be another one.
    #[test]
    fn names_are_paths_and_no_command_is_cut() {
        let evaluation = evaluation("ra");
        let verify = |file: &str, folder: &str| {
            let description = RunDescription { model_file: file.into(), ..description(2) };
            let findings = Findings::new(&description, &evaluation);
            commands(&findings.report(), Some(&findings.certificate().unwrap()), folder).verify
        };
        let has_escapes = |file: &str| {
            let description = RunDescription { model_file: file.into(), ..description(2) };
            commands(&Findings::new(&description, &evaluation).report(), None, "out").has_escapes
        };
        assert!(has_escapes("a\\u{1b}.onnx") && !has_escapes("a b.onnx"));
        assert_eq!(verify("-m.onnx", "-out").unwrap(), "mimir-certify verify ./-out ./-m.onnx");
        assert_eq!(verify("check", "out").unwrap(), "mimir-certify verify out ./check");
        assert_eq!(verify("m.onnx", &"o".repeat(LETTERS)), None);
    }
}
