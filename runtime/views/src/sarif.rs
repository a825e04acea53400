//! SARIF 2.1.0, as code scanning reads it: requirements that are not met, and warnings. Never single images.

use std::collections::BTreeMap;

use mimir_runtime::evaluate::Ending;
use mimir_runtime::report::{FailureReport, Notice, Report, Severity};
use serde_json::{Value, json};

use crate::answer::{Answer, Shown};
use crate::criteria::{Criterion, Met, criteria};

/// A result before it is one of SARIF.
struct Finding {
    rule: String,
    level: &'static str,
    message: String,
}

/// The answers as a SARIF file, one `run` each.
pub fn sarif(shown: &[Shown<'_>]) -> Value {
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": shown.iter().map(run).collect::<Vec<_>>(),
    })
}

fn run(shown: &Shown<'_>) -> Value {
    let mut run = match shown.answer {
        Answer::Finished(report) => finished(report),
        Answer::Failed(failed) => failure(failed),
    };
    run["automationDetails"] =
        json!({ "id": format!("mimir-certify/{}/", shown.gate.unwrap_or("evaluation")) });
    run
}

fn finished(report: &Report) -> Value {
    let missed = criteria(report).into_iter().filter_map(|criterion| missed(&criterion));
    let findings: Vec<Finding> = missed.chain(report.warnings.iter().map(warning)).collect();
    let uri = uri(&report.model.file);
    // A model has no lines; GitHub shows no result without one.
    let region = json!({ "startLine": 1 });
    let artifact = json!({ "uri": uri, "index": 0 });
    let location = json!({ "physicalLocation": { "artifactLocation": artifact, "region": region } });
    let results: Vec<Value> = findings
        .iter()
        .map(|finding| {
            json!({
                "ruleId": finding.rule,
                "level": finding.level,
                "message": { "text": finding.message },
                "locations": [location],
                // The same finding of the next model under this name is the same alert.
                "partialFingerprints": { "mimir/v1": format!("{}/{}", finding.rule, report.model.file) },
            })
        })
        .collect();
    let mut run = frame(&report.tool.version, &findings, report.gate.exit_code, &report.created_at);
    run["invocations"][0]["executionSuccessful"] = (report.ending != Ending::Interrupted).into();
    run["artifacts"] = json!([{
        "location": { "uri": uri },
        "hashes": report.model.manifest.files.first().map_or_else(|| json!({}), |file| json!({ "sha-256": file.sha256 })),
    }]);
    run["results"] = results.into();
    run["properties"] = json!({
        "images": report.images,
        "threatModel": report.threat_model,
        "cleanAccuracy": report.clean_accuracy,
        "attackedAccuracy": report.attacked_accuracy,
        "attackedAccuracyInterval": report.attacked_accuracy_interval,
        "meaning": report.meaning,
    });
    run
}

fn missed(criterion: &Criterion) -> Option<Finding> {
    let level = match criterion.verdict {
        Met::Yes => return None,
        Met::No => "error",
        Met::Unclear | Met::Open => "warning",
    };
    let Criterion { id, wanted, found, verdict } = criterion;
    let message = format!("{}: wanted {wanted}; found {found}.", verdict.word());
    Some(Finding { rule: format!("requirement/{id}"), level, message })
}

fn warning(notice: &Notice) -> Finding {
    let level = match notice.severity {
        Severity::WeakensVerdict => "warning",
        Severity::Information => "note",
    };
    Finding { rule: format!("warning/{}", notice.warning.kind()), level, message: notice.message.clone() }
}

/// A run that failed: a notification of the invocation, and no result.
fn failure(failed: &FailureReport) -> Value {
    let mut run = frame(&failed.tool.version, &[], failed.gate.exit_code, &failed.created_at);
    run["invocations"][0]["executionSuccessful"] = false.into();
    run["invocations"][0]["toolExecutionNotifications"] =
        json!([{ "level": "error", "message": { "text": failed.error.message } }]);
    run["results"] = json!([]);
    run
}

/// The tool with the rules of the findings, and how it ended.
fn frame(version: &str, findings: &[Finding], exit_code: u8, ended: &str) -> Value {
    let rules: BTreeMap<&str, Value> = findings
        .iter()
        .map(|finding| {
            let words = finding.rule.replace(['/', '-', '_'], " ");
            let rule = json!({ "id": finding.rule, "shortDescription": { "text": words } });
            (finding.rule.as_str(), rule)
        })
        .collect();
    json!({
        "tool": { "driver": {
            "name": "mimir-certify",
            "version": version,
            "rules": rules.into_values().collect::<Vec<_>>(),
        } },
        "invocations": [{ "executionSuccessful": true, "exitCode": exit_code, "endTimeUtc": ended }],
    })
}

/// A name as a relative reference (RFC 3986): every byte that is not unreserved is escaped.
fn uri(name: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    name.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use mimir_bundle::certificate::Tool;
    use mimir_runtime::report::ErrorKind;

    use super::*;
    use crate::testing::report;

    #[test]
    fn requirements_and_warnings_are_results_and_images_are_not() {
        let report = report("aaaaaaaaar");
        let document = sarif(&[Shown::from(&report)]);
        let run = &document["runs"][0];
        let results = run["results"].as_array().unwrap();
        let found: Vec<(&str, &str)> = results
            .iter()
            .map(|result| (result["ruleId"].as_str().unwrap(), result["level"].as_str().unwrap()))
            .collect();
        assert_eq!(found, [("requirement/attacked-accuracy", "error"), ("warning/rebatched", "note")]);
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        assert_eq!(rules.iter().map(|rule| &rule["id"]).collect::<Vec<_>>(), [found[0].0, found[1].0]);
        assert_eq!(run["invocations"][0]["exitCode"], 10);
        assert_eq!(run["properties"]["attackedAccuracy"], 0.1);
        assert!(results[0]["message"]["text"].as_str().unwrap().contains("found 10.00 %"), "{results:?}");
    }

    /// The member, which the schema of SARIF 2.1.0 requires.
    #[track_caller]
    fn required<'a>(object: &'a Value, name: &str) -> &'a Value {
        object.get(name).unwrap_or_else(|| panic!("no {name} in {object}"))
    }

    /// What the schema requires, and beyond it what GitHub does: a line of a relative path, and a rule for each result.
    fn check(document: &Value) {
        assert_eq!(required(document, "version"), "2.1.0");
        assert!(required(document, "$schema").as_str().unwrap().ends_with("/sarif-2.1.0.json"));
        for run in required(document, "runs").as_array().unwrap() {
            let driver = required(required(run, "tool"), "driver");
            assert_eq!(required(driver, "name"), "mimir-certify");
            let rules: Vec<&Value> =
                driver["rules"].as_array().unwrap().iter().map(|rule| &rule["id"]).collect();
            assert!(rules.iter().all(|id| id.is_string()), "{rules:?}");
            for invocation in run["invocations"].as_array().unwrap() {
                assert!(required(invocation, "executionSuccessful").is_boolean(), "{invocation}");
                assert!(
                    invocation["exitCode"].is_u64() && invocation["endTimeUtc"].is_string(),
                    "{invocation}"
                );
                for notification in invocation["toolExecutionNotifications"].as_array().into_iter().flatten()
                {
                    assert!(required(required(notification, "message"), "text").is_string());
                }
            }
            for result in required(run, "results").as_array().unwrap() {
                assert!(required(required(result, "message"), "text").is_string(), "{result}");
                assert!(["error", "warning", "note"].map(Value::from).contains(&result["level"]), "{result}");
                assert!(rules.contains(&required(result, "ruleId")), "{result}");
                let place = &result["locations"][0]["physicalLocation"];
                let artifact = required(place, "artifactLocation");
                let named = &run["artifacts"][artifact["index"].as_u64().unwrap() as usize];
                assert_eq!(required(artifact, "uri"), &named["location"]["uri"]);
                assert!(named["hashes"]["sha-256"].is_string(), "{named}");
                assert_eq!(required(place, "region")["startLine"], 1);
                let fingerprints = result["partialFingerprints"].as_object().unwrap();
                assert!(fingerprints.values().all(Value::is_string), "{result}");
            }
            assert!(required(&run["automationDetails"], "id").is_string());
        }
    }

    #[test]
    fn documents_have_what_their_readers_require() {
        for outcomes in ["rrra", "aaar", "rruu", "rr"] {
            let report = report(outcomes);
            let shown = Shown { gate: Some("near"), answer: Answer::Finished(&report) };
            let document = sarif(&[shown, Shown::from(&report)]);
            check(&document);
            let successful = &document["runs"][0]["invocations"][0]["executionSuccessful"];
            assert_eq!(successful, !outcomes.contains('u'), "{outcomes}");
        }
        let tool = Tool { name: "mimir-certify".into(), version: "0.1.0".into(), commit: None };
        let failed = FailureReport::new(ErrorKind::Data, "no images", "2026-11-23T21:30:00Z".into(), tool);
        check(&sarif(&[Shown { gate: None, answer: Answer::Failed(&failed) }]));
    }

    #[test]
    fn names_of_files_are_references() {
        let mut report = report("rr");
        report.model.file = "a b/../<x>ü.onnx".into();
        let document = sarif(&[Shown { gate: Some("near"), answer: Answer::Finished(&report) }]);
        let run = &document["runs"][0];
        assert_eq!(run["artifacts"][0]["location"]["uri"], "a%20b%2F..%2F%3Cx%3E%C3%BC.onnx");
        assert_eq!(run["automationDetails"]["id"], "mimir-certify/near/");
    }

    #[test]
    fn a_run_that_failed_has_a_notification_and_no_result() {
        let tool = Tool { name: "mimir-certify".into(), version: "0.1.0".into(), commit: None };
        let failed = FailureReport::new(ErrorKind::Data, "no images", "2026-11-23T21:30:00Z".into(), tool);
        let document = sarif(&[Shown { gate: None, answer: Answer::Failed(&failed) }]);
        let run = &document["runs"][0];
        assert_eq!(
            (&run["invocations"][0]["executionSuccessful"], &run["results"]),
            (&false.into(), &json!([]))
        );
        assert_eq!(run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"], "no images");
    }
}
