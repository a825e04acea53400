//! Writes the folder of a report, in an order in which a crash loses nothing: what a file names is there before it, and
//! the journal goes last.

use std::io::Seek;
use std::path::Path;

use mimir_bundle::certificate::Counterexamples;
use mimir_bundle::{ImageShape, digest};
use mimir_runtime::Archive;
use mimir_runtime::evaluate::{Ending, Evaluation};
use mimir_runtime::report::{FailureReport, RunDescription};
use serde::Serialize;

use crate::certified::Certified;
use crate::clock;
use crate::counterexamples::{found, write_npz};
use crate::error::{ErrorKind, OptionName, OrKind, Result, Source};
use crate::options::{CertifyOptions, StoreCounterexamples};
use crate::report_folder::{ADVERSARIAL, CERTIFICATE, JOURNAL, REPORT, ReportFolder, STORE};
use crate::tool::this_tool;

/// What was written, or why it could not be.
type Written<T> = std::result::Result<T, Source>;

/// Writes what an evaluation found. An interrupted one has a report and no certificate, and its journal stays.
///
/// # Errors
/// When something cannot be written. The journal then stays too.
pub(crate) fn write(
    folder: &ReportFolder,
    options: &CertifyOptions,
    description: RunDescription,
    evaluation: &Evaluation,
    archive: &Archive,
) -> Result<Certified> {
    let written = match evaluation.ending {
        Ending::Interrupted => write_partial(folder, &description, evaluation),
        Ending::Complete | Ending::GateDecided => {
            write_all(folder, options, description, evaluation, archive)
        }
    };
    written
        .or_kind(ErrorKind::Storage)
        .map_err(|error| error.context("finished work is kept").about(OptionName::ExistingJournal))
}

/// Makes the report say that there is no answer, and why. Where that cannot be written, there is no report.
pub(crate) fn write_failure(folder: &ReportFolder, kind: ErrorKind, message: &str) {
    let report = FailureReport::new(kind, message, clock::now(), this_tool());
    // What could still go wrong is what the caller is told already.
    let _ = json(&report).map(|text| folder.write(REPORT, &text));
}

/// Puts what an earlier run left in a report folder out of the way, as [`certify`](crate::certify()) does. A folder that
/// does not exist stays so.
///
/// # Errors
/// [`ErrorKind::Options`] when another run is using the folder, or something in it cannot be moved.
pub fn clear_report_folder(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        ReportFolder::claim(folder).or_kind(ErrorKind::Options)?;
    }
    Ok(())
}

/// Makes the folder of a run that failed before [`certify`](crate::certify()) say so: what an earlier run left is put out
/// of the way as there, and `report.json` has the error. A folder that does not exist, or that another run is using, is
/// left alone.
pub fn record_failure(folder: &Path, kind: ErrorKind, message: &str) {
    if folder.is_dir()
        && let Ok(folder) = ReportFolder::claim(folder)
    {
        write_failure(&folder, kind, message);
    }
}

fn write_partial(
    folder: &ReportFolder,
    description: &RunDescription,
    evaluation: &Evaluation,
) -> Written<Certified> {
    let certified = Certified::new(description, evaluation);
    folder.write(REPORT, &json(&certified.report)?)?;
    Ok(certified)
}

fn write_all(
    folder: &ReportFolder,
    options: &CertifyOptions,
    mut description: RunDescription,
    evaluation: &Evaluation,
    archive: &Archive,
) -> Written<Certified> {
    if options.report.as_ref().is_some_and(|report| report.counterexamples == StoreCounterexamples::Yes) {
        description.counterexamples = Some(store(folder, evaluation, archive, description.manifest.image)?);
    }
    let certified = Certified::new(&description, evaluation);
    folder.write(REPORT, &json(&certified.report)?)?;
    if let Some(certificate) = &certified.certificate {
        folder.write(CERTIFICATE, &json(certificate)?)?;
    }
    // The journal first: it names what is in the store.
    folder.remove(JOURNAL)?;
    folder.remove(STORE)?;
    Ok(certified)
}

fn store(
    folder: &ReportFolder,
    evaluation: &Evaluation,
    archive: &Archive,
    image: ImageShape,
) -> Written<Counterexamples> {
    let store = archive.counterexamples().ok_or("counterexamples were not stored")?;
    let found = found(evaluation)?;
    let digest = folder.write_with(ADVERSARIAL, |file| -> Written<String> {
        write_npz(&mut *file, &found, store, image)?;
        file.rewind()?;
        Ok(digest::digest_reader(file)?)
    })?;
    Ok(Counterexamples { file: ADVERSARIAL.into(), digest })
}

fn json(value: &impl Serialize) -> Written<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    Ok(text)
}
