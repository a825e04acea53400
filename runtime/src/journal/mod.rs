//! The journal of an evaluation: what it has finished, on disk, so that a run that was killed at any moment goes on
//! where it was.
//!
//! A [`Journal`] is a file with a [`Header`] that says which run it belongs to, and one [`Record`] for each finished
//! unit of work. A record is written whole and at once, unbuffered: what `append` has returned from survives
//! `kill -9`. The pixels of counterexamples lie beside it in a [`CounterexampleStore`] and are appended before the
//! record that names their slot. The format is specified in `docs/journal.md`.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use mimir_runtime::journal::{Header, Journal, Outcome, Record};
//!
//! # fn main() -> Result<(), mimir_runtime::journal::JournalError> {
//! let header = Header::new().with("seed", 7).with("model_digest", "9f86d081884c7d65");
//! let (journal, finished) = Journal::resume(Path::new("report/journal"), &header)?;
//! println!("{} units were finished before", finished.len());
//! journal.append(&Record {
//!     image: 3,
//!     attack: 0,
//!     unit: 0,
//!     outcome: Outcome::Spent,
//!     forwards: 101,
//!     backwards: 100,
//!     zero_gradient: false,
//!     non_finite_gradient: false,
//!     closest: None,
//!     incomplete: false,
//!     rejected: false,
//!     trace: Vec::new(),
//! })?;
//! # Ok(())
//! # }
//! ```

mod error;
mod header;
mod layout;
mod plausible;
mod record;
mod sink;
mod store;
mod sync_interval;
#[cfg(test)]
mod tests;

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use error::JournalError;
pub use header::{Header, HeaderDifference};
pub use layout::JOURNAL_VERSION;
pub use plausible::{ImpossibleRecord, PossibleRecords};
pub use record::{Outcome, Record, slots_in_use};
pub use store::{CounterexampleStore, StoreError};

use mimir_files::OursWhere;

use layout::Contents;
use sink::{Appender, Sink};

/// Longest journal that is read, in bytes: some 35 million records. A longer file was not written by this program.
const LONGEST_JOURNAL: u64 = 1 << 31;

/// How often a lock is tried that another process holds, and the time between.
const LOCK_ATTEMPTS: usize = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// An open journal. It is locked: no second run can append to it until this value is dropped. Workers share it by
/// reference.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    appender: Mutex<Appender>,
}

impl Journal {
    /// A new journal at `path`, with no records.
    ///
    /// # Errors
    ///
    /// [`JournalError::Exists`] where there is a journal already, [`JournalError::NotAJournal`] where there is
    /// another file (an empty one is taken), [`JournalError::Locked`], [`JournalError::Open`],
    /// [`JournalError::Begin`], [`JournalError::TooLarge`] for a header that nobody could read back.
    pub fn create(path: &Path, header: &Header) -> Result<Self, JournalError> {
        let mut file = open_locked(path, true)?;
        if is_a_journal_or_empty(path, &mut file)? {
            return Err(JournalError::Exists { path: path.to_owned() });
        }
        Self::begin(path, file, header)
    }

    /// A new journal at `path`, in place of the one that may be there, whose records are lost.
    ///
    /// # Errors
    ///
    /// Those of [`create`](Self::create), but for `Exists`: a file that is no journal is never overwritten.
    pub fn replace(path: &Path, header: &Header) -> Result<Self, JournalError> {
        let mut file = open_locked(path, true)?;
        is_a_journal_or_empty(path, &mut file)?;
        Self::begin(path, file, header)
    }

    /// The journal at `path`, and its records in the order in which they were appended. A record that was cut off
    /// is dropped, and the file is truncated there. A file that was cut off inside of the header of this very run
    /// holds no records, and begins anew.
    ///
    /// # Errors
    ///
    /// [`JournalError::Missing`] where there is no file, [`JournalError::Different`] for the journal of another
    /// run, [`JournalError::Version`] for one of another format version, [`JournalError::NotAJournal`],
    /// [`JournalError::CorruptHeader`], [`JournalError::CorruptRecord`], [`JournalError::Locked`],
    /// [`JournalError::Open`], [`JournalError::Write`], [`JournalError::Begin`], [`JournalError::TooLarge`].
    pub fn resume(path: &Path, header: &Header) -> Result<(Self, Vec<Record>), JournalError> {
        let mut file = open_locked(path, false)?;
        let bytes = read_all(path, &mut file)?;
        let preamble = layout::preamble(header).map_err(|damage| JournalError::damaged(path, damage))?;
        if bytes.len() < preamble.len() && preamble.starts_with(&bytes) {
            return Ok((Self::begin(path, file, header)?, Vec::new()));
        }
        let Contents { header: in_journal, records, end } =
            layout::read(&bytes).map_err(|damage| JournalError::damaged(path, damage))?;
        if let Some(difference) = in_journal.difference(header) {
            return Err(JournalError::Different { path: path.to_owned(), difference: Box::new(difference) });
        }
        // Also where nothing is cut: it moves the file's position to its end.
        Sink::truncate(&mut file, end).map_err(|cause| JournalError::write(path, &cause))?;
        Ok((Self::over(path, Box::new(file), end), records))
    }

    /// Appends one record: when this returns, the record survives the death of the process. It reaches the disk
    /// itself within a few seconds of further records, or with [`sync`](Self::sync).
    ///
    /// # Errors
    ///
    /// [`JournalError::Write`] where the record could not be written whole (full disk). The journal then takes no
    /// more records, and every later call returns the same error; the file can be resumed.
    pub fn append(&self, record: &Record) -> Result<(), JournalError> {
        self.with_appender(|appender| appender.append(&layout::frame(record), Instant::now()))
    }

    /// Waits until all records are on the disk.
    ///
    /// # Errors
    ///
    /// [`JournalError::Write`], as for [`append`](Self::append).
    pub fn sync(&self) -> Result<(), JournalError> {
        self.with_appender(Appender::sync)
    }

    fn begin(path: &Path, mut file: File, header: &Header) -> Result<Self, JournalError> {
        let preamble = layout::preamble(header).map_err(|damage| JournalError::damaged(path, damage))?;
        let failed = |cause: String| JournalError::Begin { path: path.to_owned(), cause };
        Sink::truncate(&mut file, 0).map_err(|cause| failed(cause.to_string()))?;
        let journal = Self::over(path, Box::new(file), 0);
        let begun = journal.with_appender(|appender| {
            appender.append(&preamble, Instant::now())?;
            appender.sync()
        });
        match begun {
            Err(JournalError::Write { cause, .. }) => Err(failed(cause)),
            begun => begun.map(|()| journal),
        }
    }

    /// Appends to `sink`, which holds `end` bytes of a sound journal.
    fn over(path: &Path, sink: Box<dyn Sink>, end: u64) -> Self {
        let appender = Mutex::new(Appender::new(sink, end, Instant::now()));
        Self { path: path.to_owned(), appender }
    }

    fn with_appender(
        &self,
        act: impl FnOnce(&mut Appender) -> Result<(), sink::Failure>,
    ) -> Result<(), JournalError> {
        // A panic elsewhere leaves no appender half-way: it changes its state after the write only.
        let mut appender = self.appender.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut appender)
            .map_err(|failure| JournalError::Write { path: self.path.clone(), cause: failure.to_string() })
    }
}

/// Opens for reading and writing, and takes the lock before anything is looked at.
fn open_locked(path: &Path, create: bool) -> Result<File, JournalError> {
    let wanted = if create { OursWhere::Wanted } else { OursWhere::Exists };
    let file = mimir_files::open_ours(path, wanted).map_err(|cause| match cause.kind() {
        ErrorKind::NotFound if !create => JournalError::Missing { path: path.to_owned() },
        _ => JournalError::open(path, &cause),
    })?;
    // Another thread of this process may be starting a child: between fork and exec the child holds the parent's open
    // files, and with them a lock that the parent has given up already. It is free again in a moment.
    for attempt in 0..LOCK_ATTEMPTS {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if attempt + 1 < LOCK_ATTEMPTS => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(cause)) => return Err(JournalError::open(path, &cause)),
        }
    }
    Err(JournalError::Locked { path: path.to_owned() })
}

/// Whether the file is a journal (`true`) or empty (`false`); any other file is an error.
fn is_a_journal_or_empty(path: &Path, file: &mut File) -> Result<bool, JournalError> {
    let mut start = Vec::new();
    let magic = layout::MAGIC;
    let read = file.take(magic.len() as u64).read_to_end(&mut start);
    read.map_err(|cause| JournalError::open(path, &cause))?;
    if !magic.starts_with(&start) {
        return Err(JournalError::NotAJournal { path: path.to_owned() });
    }
    Ok(!start.is_empty())
}

fn read_all(path: &Path, file: &mut File) -> Result<Vec<u8>, JournalError> {
    let length = file.metadata().map_err(|cause| JournalError::open(path, &cause))?.len();
    if length > LONGEST_JOURNAL {
        return Err(JournalError::TooLarge { path: path.to_owned(), bytes: length, limit: LONGEST_JOURNAL });
    }
    let mut bytes = Vec::new();
    // Bounded again: it may have grown since.
    let read = file.take(LONGEST_JOURNAL).read_to_end(&mut bytes);
    read.map_err(|cause| JournalError::open(path, &cause))?;
    Ok(bytes)
}
