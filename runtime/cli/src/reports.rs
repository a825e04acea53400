//! Reports that are read again: what their files say, in other forms. Nothing is run.

use std::path::{Path, PathBuf};

use mimir_bundle::printable_json;
use mimir_certify::ErrorKind;
use mimir_certify::report_folder::{GATES, REPORT};
use mimir_runtime::report::{Comparison as Compared, Report, ReportFile};
use mimir_views::compare::{Comparison, MaxRegression, Named, compare};
use mimir_views::{Answer, Shown, junit, sarif, summary};
use serde::Serialize;

use crate::args::{CompareArgs, RunFormat};
use crate::failure::{Failure, OrKind, failure};
use crate::settings::GateOnName;

/// Bytes of a report that are read, at most: one of a million images has some 300 MB.
const MOST_BYTES: u64 = 1 << 30;

/// The report in a folder, or in a file: results, or the error of a run that failed.
///
/// # Errors
/// [`ErrorKind::Data`] when it cannot be read, or contradicts itself.
pub(crate) fn open_report(path: &Path) -> Result<ReportFile, Failure> {
    read_report(path).map(|(_, report)| report)
}

/// Answers in that form.
///
/// # Errors
/// [`ErrorKind::Internal`] where JSON cannot be written.
pub(crate) fn rendered(format: RunFormat, shown: &[Shown<'_>]) -> Result<Vec<u8>, Failure> {
    Ok(match format {
        RunFormat::Text => shown.iter().map(text).collect::<String>().into_bytes(),
        RunFormat::Json => match shown {
            [Shown { answer: Answer::Finished(report), .. }] => json(report)?,
            [Shown { answer: Answer::Failed(failed), .. }] => json(failed)?,
            several => {
                let finished = several.iter().filter_map(|shown| match shown.answer {
                    Answer::Finished(report) => Some(report),
                    Answer::Failed(_) => None,
                });
                json(&finished.collect::<Vec<_>>())?
            }
        },
        RunFormat::Markdown => summary(shown).into_bytes(),
        RunFormat::Junit => junit(shown).into_bytes(),
        RunFormat::Sarif => json(&sarif(shown))?,
    })
}

fn text(shown: &Shown<'_>) -> String {
    match shown.answer {
        Answer::Finished(report) => report.to_string(),
        Answer::Failed(failed) => format!("ERROR  no answer: {}\n", failed.error.message),
    }
}

/// A document, as it is printed.
///
/// # Errors
/// [`ErrorKind::Internal`] where it cannot be written.
pub(crate) fn json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    let mut text = serde_json::to_vec_pretty(value).or_kind(ErrorKind::Internal)?;
    text.push(b'\n');
    Ok(printable_json(text))
}

/// Compares two reports.
///
/// # Errors
/// [`ErrorKind::Data`] when one cannot be read, is of a run that failed, or is of other images; [`ErrorKind::Options`] for a
/// limit that is none.
pub(crate) fn compare_reports(args: &CompareArgs) -> Result<Comparison, Failure> {
    let limit = args.max_regression.as_ref().map(|most| {
        let compared = match args.gate_on {
            Some(GateOnName::Lower) => Compared::LowerLimit,
            Some(GateOnName::Estimate) | None => Compared::PointEstimate,
        };
        MaxRegression::new(most.value(), compared).ok_or_else(|| {
            let message = format!(
                "--max-regression {}: wanted a fraction in [0, 1] (half a point is 0.005)",
                most.value()
            );
            failure(ErrorKind::Options, message)
        })
    });
    let limit = limit.transpose()?;
    let (old_file, old) = read_finished(&args.old)?;
    let (new_file, new) = read_finished(&args.new)?;
    let [old_name, new_name] = [&old_file, &new_file].map(|file| file.display().to_string());
    let (old, new) = (Named { file: &old_name, report: &old }, Named { file: &new_name, report: &new });
    compare(old, new, limit).or_kind(ErrorKind::Data)
}

/// The report of a run that has results, and its file.
fn read_finished(path: &Path) -> Result<(PathBuf, Report), Failure> {
    let (file, report) = read_report(path)?;
    match report {
        ReportFile::Finished(report) => Ok((file, *report)),
        ReportFile::Failed(failed) => {
            let message =
                format!("{}: the run failed and has no results: {}", file.display(), failed.error.message);
            Err(failure(ErrorKind::Data, message))
        }
    }
}

/// The report at a path, checked, and its file: `report.json` where the path is a folder.
///
/// # Errors
/// [`ErrorKind::Data`] when it cannot be read, or contradicts itself.
pub(crate) fn read_report(path: &Path) -> Result<(PathBuf, ReportFile), Failure> {
    let file = if path.is_dir() { path.join(REPORT) } else { path.to_owned() };
    if path.is_dir() && !file.exists() && path.join(GATES).exists() {
        let message = format!(
            "{}: has the answers of several gates ({GATES}): name the folder of one, which is in it",
            path.display()
        );
        return Err(failure(ErrorKind::Data, message));
    }
    let in_file =
        |error: &dyn std::fmt::Display| failure(ErrorKind::Data, format!("{}: {error}", file.display()));
    let text = mimir_files::read_text(&file, MOST_BYTES).map_err(|error| in_file(&error))?;
    let report = ReportFile::from_json(&text).map_err(|error| in_file(&error))?;
    if let ReportFile::Finished(finished) = &report {
        finished.check().map_err(|error| in_file(&error))?;
    }
    Ok((file, report))
}
