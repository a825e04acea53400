//! JUnit XML, as Jenkins, GitLab and others read it (`junit-4.xsd` of Jenkins): each requirement is a test
//! case. An answer that is not certain is a failure, a run without an answer an error.

use mimir_bundle::printable;
use mimir_runtime::report::{FailureReport, Report};

use crate::answer::{Answer, Shown};
use crate::criteria::{Criterion, Met, criteria};

/// One `testsuite`, written as text at its end.
struct Suite {
    name: String,
    timestamp: String,
    seconds: f64,
    properties: Vec<(String, String)>,
    cases: Vec<Case>,
    output: String,
}

struct Case {
    name: String,
    class: String,
    problem: Option<Problem>,
}

/// Why a test case did not pass.
struct Problem {
    element: &'static str,
    kind: String,
    message: String,
}

/// The answers as a JUnit file, one `testsuite` each.
pub fn junit(shown: &[Shown<'_>]) -> String {
    let suites: Vec<Suite> = shown.iter().map(suite).collect();
    let total = |element: &str| suites.iter().map(|suite| suite.count(element)).sum::<usize>();
    let tests: usize = suites.iter().map(|suite| suite.cases.len()).sum();
    let seconds: f64 = suites.iter().map(|suite| suite.seconds).sum();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"mimir-certify\" tests=\"{tests}\" \
         failures=\"{}\" errors=\"{}\" time=\"{seconds:.3}\">\n",
        total("failure"),
        total("error"),
    );
    for suite in &suites {
        suite.write(&mut out);
    }
    out + "</testsuites>\n"
}

fn suite(shown: &Shown<'_>) -> Suite {
    match shown.answer {
        Answer::Finished(report) => finished(shown.title(), report),
        Answer::Failed(failed) => failure(shown.title(), failed),
    }
}

fn finished(name: String, report: &Report) -> Suite {
    let class = format!("mimir-certify.{}", report.model.file);
    let case = |criterion: Criterion| Case {
        problem: problem(&criterion),
        name: criterion.wanted,
        class: class.clone(),
    };
    Suite {
        name,
        timestamp: report.created_at.clone(),
        seconds: report.seconds,
        properties: properties(report),
        cases: criteria(report).into_iter().map(case).collect(),
        output: report.to_string(),
    }
}

fn problem(criterion: &Criterion) -> Option<Problem> {
    let element = match criterion.verdict {
        Met::Yes => return None,
        Met::No | Met::Unclear => "failure",
        Met::Open => "error",
    };
    let Criterion { wanted, found, verdict, .. } = criterion;
    let message = format!("{}: wanted {wanted}; found {found}", verdict.word());
    Some(Problem { element, kind: verdict.word().to_owned(), message })
}

fn failure(name: String, failed: &FailureReport) -> Suite {
    let kind = serde_json::to_value(failed.error.kind).unwrap_or_default();
    let kind = kind.as_str().unwrap_or("error").to_owned();
    let problem = Problem { element: "error", kind, message: failed.error.message.clone() };
    Suite {
        timestamp: failed.created_at.clone(),
        seconds: 0.0,
        properties: Vec::new(),
        cases: vec![Case { name: name.clone(), class: "mimir-certify".to_owned(), problem: Some(problem) }],
        output: String::new(),
        name,
    }
}

fn properties(report: &Report) -> Vec<(String, String)> {
    let interval = &report.attacked_accuracy_interval;
    let named = [
        ("model_digest", report.model.manifest.model_digest.clone()),
        ("images_digest", report.data.images_digest.clone()),
        ("images", report.images.to_string()),
        ("clean_accuracy", report.clean_accuracy.to_string()),
        ("attacked_accuracy", report.attacked_accuracy.to_string()),
        ("attacked_accuracy_lower", interval.lower.to_string()),
        ("attacked_accuracy_upper", interval.upper.to_string()),
        ("exit_code", report.gate.exit_code.to_string()),
        ("tool", format!("{} {}", report.tool.name, report.tool.version)),
    ];
    named.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

impl Suite {
    fn count(&self, element: &str) -> usize {
        self.cases
            .iter()
            .filter(|case| case.problem.as_ref().is_some_and(|found| found.element == element))
            .count()
    }

    fn write(&self, out: &mut String) {
        // Without the time zone, which is UTC: some readers know no other form.
        let timestamp = self.timestamp.trim_end_matches('Z');
        *out += &format!(
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"0\" time=\"{:.3}\" \
             timestamp=\"{}\">\n",
            xml(&self.name),
            self.cases.len(),
            self.count("failure"),
            self.count("error"),
            self.seconds,
            xml(timestamp),
        );
        if !self.properties.is_empty() {
            let property = |(name, value): &(String, String)| {
                format!("      <property name=\"{}\" value=\"{}\"/>\n", xml(name), xml(value))
            };
            let properties: String = self.properties.iter().map(property).collect();
            *out += &format!("    <properties>\n{properties}    </properties>\n");
        }
        self.cases.iter().for_each(|case| case.write(out));
        if !self.output.is_empty() {
            *out += &format!("    <system-out>{}</system-out>\n", xml(&self.output));
        }
        *out += "  </testsuite>\n";
    }
}

impl Case {
    fn write(&self, out: &mut String) {
        let Self { name, class, problem } = self;
        let case = format!("    <testcase name=\"{}\" classname=\"{}\" time=\"0\"", xml(name), xml(class));
        *out += &match problem {
            None => format!("{case}/>\n"),
            Some(Problem { element, kind, message }) => {
                let (kind, message) = (xml(kind), xml(message));
                format!(
                    "{case}>\n      <{element} type=\"{kind}\" message=\"{message}\">{message}</{element}>\n    \
                     </testcase>\n"
                )
            }
        };
    }
}

/// Text inside an element or a quoted attribute. Characters that XML 1.0 does not have are written as their escapes.
fn xml(text: &str) -> String {
    let printed = String::from_utf8_lossy(&printable(text.as_bytes().to_vec())).into_owned();
    let mut out = String::with_capacity(printed.len());
    for character in printed.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            plain => out.push(plain),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use mimir_bundle::certificate::Tool;
    use mimir_runtime::report::{ErrorKind, FailureReport};

    use super::*;
    use crate::testing::report;

    #[test]
    fn each_requirement_is_a_test_case() {
        let (held, missed) = (report("rrra"), report("aaar"));
        let text = junit(&[
            Shown { gate: Some("near"), answer: Answer::Finished(&held) },
            Shown { gate: Some("far"), answer: Answer::Finished(&missed) },
        ]);
        assert!(text.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"mimir-certify\" tests=\"2\" failures=\"1\" errors=\"0\" time=\"3.000\">"), "{text}");
        assert!(text.contains("<testcase name=\"attacked accuracy at least 40.00 %\" classname=\"mimir-certify.model.onnx\" time=\"0\"/>"), "{text}");
        assert!(text.contains("<failure type=\"not met\" message=\"not met: wanted attacked accuracy at least 40.00 %; found 25.00 %\">"), "{text}");
        assert!(text.contains("<property name=\"attacked_accuracy\" value=\"0.25\"/>"), "{text}");
        assert!(text.contains("timestamp=\"2026-11-23T21:30:00\""), "{text}");
    }

    /// A tag: its name, its attributes, and whether it begins and ends an element.
    struct Tag<'a> {
        name: &'a str,
        attributes: Vec<(&'a str, &'a str)>,
        begins: bool,
        ends: bool,
    }

    impl Tag<'_> {
        fn value(&self, attribute: &str) -> &str {
            let found = self.attributes.iter().find(|(name, _)| *name == attribute);
            found.unwrap_or_else(|| panic!("{} has no {attribute}", self.name)).1
        }
    }

    /// The tags of a document, in their order. No text of ours holds a `<` or `>` of its own.
    fn tags(text: &str) -> Vec<Tag<'_>> {
        let inside = text.split('<').skip(1).map(|rest| rest.split_once('>').expect("a tag ends").0);
        let tag = |inside| {
            let (name, mut rest) = str::trim_matches(inside, '/').split_once(' ').unwrap_or((inside, ""));
            let mut attributes = Vec::new();
            while let Some((attribute, after)) = rest.trim_start().split_once("=\"") {
                let (value, after) = after.split_once('"').expect("a value ends");
                attributes.push((attribute, value));
                rest = after;
            }
            assert!(matches!(rest.trim(), "" | "?"), "{inside}");
            let (begins, ends) = (!inside.starts_with('/'), inside.starts_with('/') || inside.ends_with('/'));
            Tag { name: name.trim_matches('/'), attributes, begins, ends }
        };
        inside.map(tag).filter(|tag| tag.name != "?xml").collect()
    }

    /// Elements, what they may stand in, and their attributes: those that readers (Jenkins, GitLab, GitHub's actions) need, and
    /// those that they know besides.
    type Known = (&'static str, &'static str, &'static [&'static str], &'static [&'static str]);
    const KNOWN: [Known; 8] = [
        ("testsuites", "", &["tests", "failures", "errors"], &["name", "time"]),
        (
            "testsuite",
            "testsuites",
            &["name", "tests", "failures", "errors"],
            &["skipped", "time", "timestamp"],
        ),
        ("properties", "testsuite", &[], &[]),
        ("property", "properties", &["name", "value"], &[]),
        ("testcase", "testsuite", &["name", "classname", "time"], &[]),
        ("failure", "testcase", &["type", "message"], &[]),
        ("error", "testcase", &["type", "message"], &[]),
        ("system-out", "testsuite", &[], &[]),
    ];

    #[track_caller]
    fn check(text: &str) {
        let mut open: Vec<&str> = Vec::new();
        let tags = tags(text);
        for tag in &tags {
            if tag.begins {
                let known = KNOWN.iter().find(|(name, ..)| *name == tag.name);
                let (_, parent, needed, optional) = known.unwrap_or_else(|| panic!("<{}>", tag.name));
                assert_eq!(open.last().copied().unwrap_or(""), *parent, "<{}>", tag.name);
                assert!(needed.iter().all(|name| !tag.value(name).is_empty()), "<{}>", tag.name);
                for (name, _) in &tag.attributes {
                    assert!(needed.contains(name) || optional.contains(name), "{name} of <{}>", tag.name);
                }
                open.push(tag.name);
            }
            if tag.ends {
                assert_eq!(open.pop(), Some(tag.name));
            }
        }
        assert!(open.is_empty(), "{open:?}");
        // What a suite says of itself is what it has, and all of them say what they have together.
        let of = |tags: &[Tag<'_>], name: &str| {
            tags.iter().filter(|tag| tag.begins && tag.name == name).count().to_string()
        };
        let begins: Vec<usize> =
            (0..tags.len()).filter(|at| tags[*at].begins && tags[*at].name == "testsuite").collect();
        let ends = begins.iter().skip(1).copied().chain([tags.len()]);
        let parts = begins.iter().copied().zip(ends).map(|(from, to)| &tags[from..to]);
        for part in parts.chain([&tags[..]]) {
            let counts = [("tests", "testcase"), ("failures", "failure"), ("errors", "error")];
            for (attribute, name) in counts {
                assert_eq!(part[0].value(attribute), of(part, name), "{attribute} of <{}>", part[0].name);
            }
            let seconds = part[0].value("time");
            assert!(seconds.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'), "{seconds}");
        }
    }

    #[test]
    fn documents_have_what_their_readers_need() {
        let tool = Tool { name: "mimir-certify".into(), version: "0.1.0".into(), commit: None };
        let failed = FailureReport::new(ErrorKind::Model, "not <valid>", "2026-11-23T21:30:00Z".into(), tool);
        let mut reports: Vec<Report> = ["rrra", "aaar", "rruu", "rr"].map(report).into();
        reports[0].model.file = "a \"model\" of <x> & 'y' \u{1b}.onnx".into();
        let answers = reports.iter().map(Answer::Finished).chain([Answer::Failed(&failed)]);
        let shown: Vec<Shown<'_>> = answers.map(|answer| Shown { gate: Some("a <gate>"), answer }).collect();
        shown.iter().for_each(|shown| check(&junit(&[*shown])));
        check(&junit(&shown));
    }

    #[test]
    fn runs_without_an_answer_are_errors() {
        let interrupted = report("rruu");
        let text = junit(&[Shown::from(&interrupted)]);
        assert!(
            text.contains("failures=\"0\" errors=\"1\"") && text.contains("<error type=\"interrupted\""),
            "{text}"
        );
        let tool = Tool { name: "mimir-certify".into(), version: "0.1.0".into(), commit: None };
        let failed = FailureReport::new(ErrorKind::Model, "not <valid>", "2026-11-23T21:30:00Z".into(), tool);
        let text = junit(&[Shown { gate: None, answer: Answer::Failed(&failed) }]);
        assert!(
            text.contains("<error type=\"model\" message=\"not &lt;valid&gt;\">not &lt;valid&gt;</error>"),
            "{text}"
        );
    }

    #[test]
    fn text_of_others_stays_text() {
        let mut report = report("rr");
        report.model.file = "<script>\"'&\u{1b}\u{ffff}".into();
        let text = junit(&[Shown::from(&report)]);
        assert!(
            text.contains("classname=\"mimir-certify.&lt;script&gt;&quot;&apos;&amp;\\u{1b}\u{fffd}\""),
            "{text}"
        );
        assert!(!text.contains("<script"), "{text}");
    }
}
