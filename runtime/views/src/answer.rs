//! What there is to show: the results of a run, or why there are none.

use mimir_runtime::report::{FailureReport, Report, ReportFile};

/// What a run ended with.
#[derive(Debug, Clone, Copy)]
pub enum Answer<'a> {
    /// It has results.
    Finished(&'a Report),
    /// It failed.
    Failed(&'a FailureReport),
}

/// An answer, and the name of its gate where a run has several.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// The name of the gate.
    pub gate: Option<&'a str>,
    /// What it ended with.
    pub answer: Answer<'a>,
}

impl<'a> From<&'a ReportFile> for Shown<'a> {
    fn from(file: &'a ReportFile) -> Self {
        let answer = match file {
            ReportFile::Finished(report) => Answer::Finished(report),
            ReportFile::Failed(failed) => Answer::Failed(failed),
        };
        Self { gate: None, answer }
    }
}

impl<'a> From<&'a Report> for Shown<'a> {
    fn from(report: &'a Report) -> Self {
        Self { gate: None, answer: Answer::Finished(report) }
    }
}

impl Shown<'_> {
    /// What it is about, in one line.
    pub(crate) fn title(&self) -> String {
        let subject = match self.answer {
            Answer::Finished(report) => format!("{}, {}", report.model.file, report.threat_model),
            Answer::Failed(_) => "evaluation".to_owned(),
        };
        match self.gate {
            Some(gate) => format!("{gate}: {subject}"),
            None => subject,
        }
    }
}
