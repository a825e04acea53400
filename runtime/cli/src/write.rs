//! Writes the folder of a report, in an order in which a crash loses nothing: what a file names is there before it, and
//! the journal goes last.

use std::io::Seek;

use anyhow::{Context, Result};
use mimir_bundle::certificate::Counterexamples;
use mimir_bundle::{ImageShape, digest};
use mimir_runtime::Archive;
use mimir_runtime::evaluate::{Ending, Evaluation};
use mimir_runtime::report::{Findings, Report, RunDescription};
use serde::Serialize;

use crate::counterexamples::{found, write_npz};
use crate::failure::{Blame, Failure, OrBlame};
use crate::options::{Options, StoreCounterexamples};
use crate::report_folder::{ADVERSARIAL, CERTIFICATE, JOURNAL, REPORT, ReportFolder, STORE};

/// Writes what an evaluation found. An interrupted one has a report and no certificate, and its journal stays.
///
/// # Errors
/// When something cannot be written. The journal then stays too.
pub(crate) fn write(
    folder: &ReportFolder,
    options: &Options,
    description: RunDescription,
    evaluation: &Evaluation,
    archive: &Archive,
) -> Result<Report, Failure> {
    let written = match evaluation.ending {
        Ending::Interrupted => write_partial(folder, &description, evaluation),
        Ending::Complete | Ending::GateDecided => {
            write_all(folder, options, description, evaluation, archive)
        }
    };
    let way_out = "what was finished is kept: mend that, and run again with --resume";
    written.context(way_out).or_blame(Blame::Storage)
}

fn write_partial(
    folder: &ReportFolder,
    description: &RunDescription,
    evaluation: &Evaluation,
) -> Result<Report> {
    // Those of an earlier run do not belong to this report.
    folder.remove(CERTIFICATE)?;
    folder.remove(ADVERSARIAL)?;
    let report = Findings::new(description, evaluation).report();
    folder.write(REPORT, &json(&report)?)?;
    Ok(report)
}

fn write_all(
    folder: &ReportFolder,
    options: &Options,
    mut description: RunDescription,
    evaluation: &Evaluation,
    archive: &Archive,
) -> Result<Report> {
    folder.remove(CERTIFICATE)?;
    folder.remove(ADVERSARIAL)?;
    if options.report.as_ref().is_some_and(|report| report.counterexamples == StoreCounterexamples::Yes) {
        description.counterexamples = Some(store(folder, evaluation, archive, description.manifest.image)?);
    }
    let findings = Findings::new(&description, evaluation);
    let report = findings.report();
    folder.write(REPORT, &json(&report)?)?;
    if let Some(certificate) = findings.certificate() {
        folder.write(CERTIFICATE, &json(&certificate)?)?;
    }
    // The journal first: it names what is in the store.
    folder.remove(JOURNAL)?;
    folder.remove(STORE)?;
    Ok(report)
}

fn store(
    folder: &ReportFolder,
    evaluation: &Evaluation,
    archive: &Archive,
    image: ImageShape,
) -> Result<Counterexamples> {
    let store = archive.counterexamples().context("counterexamples were not kept")?;
    let found = found(evaluation)?;
    let digest = folder.write_with(ADVERSARIAL, |file| {
        write_npz(&mut *file, &found, store, image)?;
        file.rewind()?;
        Ok(digest::digest_reader(file)?)
    })?;
    Ok(Counterexamples { file: ADVERSARIAL.into(), digest })
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    Ok(text)
}
