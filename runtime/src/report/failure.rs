//! `report.json` of a run that has no answer: what went wrong, in a form that nobody takes for a result.

use mimir_bundle::certificate::Tool;
use mimir_bundle::{one_line, strict_json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::document::Report;
use super::version::REPORT_VERSION;

/// What is at fault when there is no answer. Each has its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The options: one is out of its range or without effect, or the report folder cannot be used.
    Options,
    /// The model is not valid or not supported.
    Model,
    /// The images, the labels or the files of a report cannot be used.
    Data,
    /// This program failed, or the engine or the device is missing.
    Internal,
    /// Something cannot be written, or read back, as on a full disk.
    Storage,
    /// It was interrupted before anything could be reported.
    Interrupted,
}

impl ErrorKind {
    /// The exit code of a program that ends with it. 0, 10, 11, and 75 with a report belong to
    /// [`Conclusion`](super::Conclusion).
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Options => 2,
            Self::Model => 3,
            Self::Data => 4,
            Self::Internal => 70,
            Self::Storage => 74,
            Self::Interrupted => 75,
        }
    }
}

/// `report.json` of a run that failed. It has no numbers, so that no reader can take them for a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailureReport {
    /// [`REPORT_VERSION`].
    pub schema_version: u32,
    /// What went wrong.
    pub error: ReportedError,
    /// In the place of the gate's answer.
    pub gate: FailedGate,
    /// When it failed, RFC 3339 in UTC.
    pub created_at: String,
    /// The program.
    pub tool: Tool,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportedError {
    /// What is at fault.
    pub kind: ErrorKind,
    /// For people.
    pub message: String,
}

/// The gate of a run that failed: it did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailedGate {
    /// `error`.
    pub conclusion: FailedConclusion,
    /// The exit code of the program; never 0.
    pub exit_code: u8,
}

/// There is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailedConclusion {
    /// The run failed.
    Error,
}

impl FailureReport {
    /// The report of a run that failed with that error.
    pub fn new(kind: ErrorKind, message: impl Into<String>, created_at: String, tool: Tool) -> Self {
        // One line: of a document that is read again, as certificates are, no string has a line break.
        let message: String = message.into();
        let lines: Vec<&str> = message.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let message = one_line(&lines.join(" ")).into_owned();
        Self {
            schema_version: REPORT_VERSION,
            error: ReportedError { kind, message },
            gate: FailedGate { conclusion: FailedConclusion::Error, exit_code: kind.exit_code() },
            created_at,
            tool,
        }
    }
}

/// What `report.json` holds: the results of a run, or why there are none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ReportFile {
    /// The run failed.
    Failed(FailureReport),
    /// It did not.
    Finished(Box<Report>),
}

/// Why a text is not a report that we read.
#[derive(Debug, thiserror::Error)]
pub enum ReportFileError {
    /// Not JSON, a field too many, a field missing, or of the wrong type.
    #[error("not a report: {0}")]
    Format(#[from] serde_json::Error),
    /// A format that this version does not know.
    #[error("report has schema version {0}, this program reads version {REPORT_VERSION}")]
    Version(u64),
}

impl ReportFile {
    /// Parses `report.json`, as strictly as a certificate: no key stands twice, and no string moves the cursor or begins a line.
    /// The version is looked at before any other field.
    ///
    /// # Errors
    /// When the text is not JSON of this format, or has another version.
    pub fn from_json(text: &str) -> Result<Self, ReportFileError> {
        #[derive(Deserialize)]
        struct Head {
            schema_version: u64,
            error: Option<serde_json::Value>,
        }
        let Head { schema_version, error } = strict_json::from_slice(text.as_bytes())?;
        if schema_version != u64::from(REPORT_VERSION) {
            return Err(ReportFileError::Version(schema_version));
        }
        match error {
            Some(_) => Ok(Self::Failed(serde_json::from_str(text)?)),
            None => Ok(Self::Finished(Box::new(serde_json::from_str(text)?))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(kind: ErrorKind) -> FailureReport {
        let tool = Tool { name: "mimir-certify".into(), version: "0.1.0".into(), commit: None };
        FailureReport::new(kind, "the disk is full", "2026-11-23T21:30:00Z".into(), tool)
    }

    /// The table of `docs/report.md`.
    #[test]
    fn every_kind_has_its_exit_code_and_none_is_success() {
        use ErrorKind::{Data, Internal, Interrupted, Model, Options, Storage};
        let codes = [Options, Model, Data, Internal, Storage, Interrupted].map(ErrorKind::exit_code);
        assert_eq!(codes, [2, 3, 4, 70, 74, 75]);
    }

    #[test]
    fn a_failure_reads_back_as_one_and_never_as_a_result() {
        let report = failed(ErrorKind::Storage);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((&json["gate"]["conclusion"], &json["gate"]["exit_code"]), (&"error".into(), &74.into()));
        assert_eq!(json["error"]["kind"], "storage");
        let text = json.to_string();
        assert!(serde_json::from_str::<Report>(&text).is_err());
        assert_eq!(ReportFile::from_json(&text).unwrap(), ReportFile::Failed(report));
        let earlier = text.replace(&format!("\"schema_version\":{REPORT_VERSION}"), "\"schema_version\":3");
        assert!(matches!(ReportFile::from_json(&earlier), Err(ReportFileError::Version(3))));
    }
}
