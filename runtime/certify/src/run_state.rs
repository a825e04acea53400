//! The state of a run on disk: what identifies it, the journal of what is finished, and the counterexamples.

use std::path::PathBuf;

use mimir_bundle::attack::TransferSpec;
use mimir_bundle::certificate::EvaluationData;
use mimir_bundle::{AttackSpec, Manifest};
use mimir_runtime::Archive;
use mimir_runtime::evaluate::{Curve, Plan};
use mimir_runtime::journal::{
    CounterexampleStore, Header, Journal, JournalError, PossibleRecords, StoreError, slots_in_use,
};
use mimir_runtime::session::Engine;
use serde::Serialize;

use crate::error::{Error, ErrorKind, OrKind, Result};
use crate::kept_counterexamples::KeptCounterexamples;
use crate::options::{
    CertifyOptions, CrossChecking, ExistingJournal, KeepCounterexamples, ReportOptions, StoreCounterexamples,
};
use crate::report_folder::{JOURNAL, ReportFolder, STORE};

/// What a run keeps while it goes on, and where.
pub(crate) struct RunState {
    pub(crate) archive: Archive,
    /// A journal that had no records when the run began, and its length then.
    empty: Option<(PathBuf, u64)>,
}

/// Everything that decides the result of a run, by name, in the order in which differences are reported.
///
/// # Errors
/// When a value cannot be written as JSON: a defect of this library.
pub(crate) fn identity(
    manifest: &Manifest,
    data: &EvaluationData,
    plan: &Plan,
    options: &CertifyOptions,
    engine: &Engine,
) -> Result<Header> {
    Ok(Header::new()
        .with("model_digest", manifest.model_digest.as_str())
        .with("images_digest", data.images_digest.as_str())
        .with("labels_digest", data.labels_digest.as_str())
        .with("threat_model", json(&plan.threat_model)?)
        .with("normalisation", json(&manifest.normalisation)?)
        .with("channel_order", json(&manifest.channel_order)?)
        .with("layout", json(&manifest.layout)?)
        .with("attacks", json(&without_places(&plan.attacks))?)
        .with("seed", plan.seed)
        .with("votes", plan.votes)
        .with("curve", plan.curve == Curve::Yes)
        .with("counterexamples", keeps_counterexamples(options))
        .with("precision", options.engine.precision.name())
        .with("batch", json(&manifest.batch)?)
        .with("output_name", manifest.output_name.as_str())
        .with("output", json(&manifest.output)?)
        .with("engine", format!("{} {}", engine.kind().name(), engine.version()))
        .with("device", engine.device().to_string())
        .with("tool", env!("CARGO_PKG_VERSION")))
}

/// A surrogate is what is in its file, wherever that is now.
fn without_places(attacks: &[AttackSpec]) -> Vec<AttackSpec> {
    let mut attacks = attacks.to_vec();
    for attack in &mut attacks {
        if let AttackSpec::Transfer(TransferSpec { surrogate: Some(surrogate), .. }) = attack {
            surrogate.file.clear();
        }
    }
    attacks
}

fn json(value: &impl Serialize) -> Result<serde_json::Value> {
    serde_json::to_value(value).or_kind(ErrorKind::Internal)
}

/// A curve starts its searches at them, a cross-check shows them to the other engine, and a program may ask for them.
pub(crate) fn keeps_counterexamples(options: &CertifyOptions) -> bool {
    let stored = |report: &ReportOptions| report.counterexamples == StoreCounterexamples::Yes;
    let cross_checked = options.engine.cross_checking == CrossChecking::Yes;
    let returned = options.keep_counterexamples == KeepCounterexamples::Yes;
    options.curve == Curve::Yes || cross_checked || returned || options.report.as_ref().is_some_and(stored)
}

impl RunState {
    /// The journal and the store of a run: in its report folder, where it has one. `pixels` is `C·H·W`.
    ///
    /// # Errors
    /// When the folder has the journal of another run, or one that was not to be resumed; when a file cannot be
    /// written.
    pub(crate) fn open(
        folder: Option<&ReportFolder>,
        options: &CertifyOptions,
        header: &Header,
        possible: &PossibleRecords,
        pixels: usize,
    ) -> Result<Self> {
        match (folder, &options.report) {
            (Some(folder), Some(report)) => {
                Self::in_folder(folder, report.existing_journal, header, possible, pixels)
            }
            _ if possible.keeps_pixels => {
                let store = CounterexampleStore::anonymous(pixels).map_err(from_store)?;
                Ok(Self { archive: Archive::none().with_counterexamples(store), empty: None })
            }
            _ => Ok(Self { archive: Archive::none(), empty: None }),
        }
    }

    fn in_folder(
        folder: &ReportFolder,
        existing: ExistingJournal,
        header: &Header,
        possible: &PossibleRecords,
        pixels: usize,
    ) -> Result<Self> {
        let path = folder.path_of(JOURNAL);
        let begun = match existing {
            ExistingJournal::Refuse => Journal::create(&path, header).map(|journal| (journal, Vec::new())),
            ExistingJournal::Resume => match Journal::resume(&path, header) {
                Err(JournalError::Missing { .. }) => {
                    Journal::create(&path, header).map(|journal| (journal, Vec::new()))
                }
                resumed => resumed,
            },
        };
        let (journal, finished) = begun.map_err(from_journal)?;
        possible
            .check(&finished)
            .map_err(|record| from_journal(JournalError::Impossible { path: path.clone(), record }))?;
        let length = path.metadata().map_or(0, |file| file.len());
        let store = possible
            .keeps_pixels
            .then(|| CounterexampleStore::resume(&folder.path_of(STORE), pixels, slots_in_use(&finished)));
        let empty = finished.is_empty().then_some((path, length));
        let archive = Archive::none().with_journal(journal, finished);
        let archive = match store.transpose().map_err(from_store)? {
            Some(store) => archive.with_counterexamples(store),
            None => archive,
        };
        Ok(Self { archive, empty })
    }

    /// The counterexamples, for a program that asked for them; `slots` says where that of each image is.
    pub(crate) fn into_counterexamples(
        self,
        options: &CertifyOptions,
        slots: Vec<Option<u64>>,
        pixels: usize,
    ) -> Option<KeptCounterexamples> {
        match options.keep_counterexamples {
            KeepCounterexamples::No => None,
            KeepCounterexamples::Yes => {
                let store = self.archive.into_counterexamples()?;
                Some(KeptCounterexamples::new(store, slots, pixels))
            }
        }
    }

    /// Removes the journal and the store after a run that ended without a report, if nothing was recorded: an empty
    /// journal would block the next run.
    pub(crate) fn remove_if_empty(self) {
        let Some((path, length)) = self.empty else { return };
        if path.metadata().is_ok_and(|file| file.len() == length) {
            // Where one stays, the next run says what to do.
            let _ = std::fs::remove_file(&path);
            let _ = std::fs::remove_file(path.with_file_name(STORE));
        }
    }
}

fn from_journal(error: JournalError) -> Error {
    let kind = match error {
        JournalError::Write { .. } | JournalError::Begin { .. } => ErrorKind::Storage,
        JournalError::Open { .. }
        | JournalError::Missing { .. }
        | JournalError::Exists { .. }
        | JournalError::Locked { .. }
        | JournalError::NotAJournal { .. }
        | JournalError::Version { .. }
        | JournalError::Different { .. }
        | JournalError::CorruptHeader { .. }
        | JournalError::CorruptRecord { .. }
        | JournalError::Impossible { .. }
        | JournalError::TooLarge { .. } => ErrorKind::Options,
    };
    Error::new(kind, error)
}

fn from_store(error: StoreError) -> Error {
    let kind = match error {
        StoreError::Write { .. } | StoreError::Read { .. } => ErrorKind::Storage,
        StoreError::Missing { .. } | StoreError::NoSuchSlot { .. } | StoreError::Damaged { .. } => {
            ErrorKind::Data
        }
        StoreError::Open { .. } | StoreError::ImageTooLarge(_) | StoreError::Pixels { .. } => {
            ErrorKind::Options
        }
    };
    Error::new(kind, error)
}
