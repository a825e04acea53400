//! Why a journal cannot be used, with the way out.

use std::io;
use std::path::{Path, PathBuf};

use super::header::HeaderDifference;
use super::layout::{Damage, JOURNAL_VERSION, LONGEST_HEADER};
use super::plausible::ImpossibleRecord;

/// Why a journal cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be opened, read or locked.
    #[error("cannot open the journal {}: {cause}", path.display())]
    Open {
        /// The journal.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// There is nothing to resume.
    #[error("there is no journal {} to resume; start without --resume", path.display())]
    Missing {
        /// The journal.
        path: PathBuf,
    },
    /// There is a journal where a new one was to be made.
    #[error(
        "there is a journal {} of an earlier run; continue that run with --resume, or delete the journal to start \
         over",
        path.display()
    )]
    Exists {
        /// The journal.
        path: PathBuf,
    },
    /// Another process, or another journal of this one, holds the lock.
    #[error(
        "another run is using the journal {}; wait until it has finished, or use another folder",
        path.display()
    )]
    Locked {
        /// The journal.
        path: PathBuf,
    },
    /// The file does not begin as a journal does.
    #[error("{} is not a journal and was not changed; use another folder, or move the file", path.display())]
    NotAJournal {
        /// The file.
        path: PathBuf,
    },
    /// Written in another version of the format.
    #[error(
        "the journal {} has format version {found}, this program reads version {JOURNAL_VERSION}; resume it with \
         the {} program, or delete it to start over",
        path.display(),
        if *found > JOURNAL_VERSION { "newer" } else { "older" }
    )]
    Version {
        /// The journal.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The journal belongs to a run of another model, data set or setting.
    #[error(
        "the journal {} belongs to another run: {difference}; resume with the same setting, or delete the journal \
         to start over",
        path.display()
    )]
    Different {
        /// The journal.
        path: PathBuf,
        /// The first field that differs.
        difference: Box<HeaderDifference>,
    },
    /// The header does not match its checksum, or is not what this program writes.
    #[error("the header of the journal {} is damaged ({reason}); delete the journal to start over", path.display())]
    CorruptHeader {
        /// The journal.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A record does not match its checksum, and others follow: not what a killed run leaves behind.
    #[error(
        "the journal {} is damaged at byte {offset} ({reason}), which an interrupted run cannot cause; restore it \
         from a copy, or delete it to start over",
        path.display()
    )]
    CorruptRecord {
        /// The journal.
        path: PathBuf,
        /// Where the record begins, in bytes from the start of the file.
        offset: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A record is whole and cannot be one of this run.
    #[error(
        "the journal {} is not what this run can have written: {record}; restore it from a copy, or delete it to start over",
        path.display()
    )]
    Impossible {
        /// The journal.
        path: PathBuf,
        /// The first such record.
        record: ImpossibleRecord,
    },
    /// Longer than any journal, or a header longer than any header.
    #[error(
        "the journal {} cannot be used: {bytes} bytes, the limit is {limit}; delete it to start over",
        path.display()
    )]
    TooLarge {
        /// The journal.
        path: PathBuf,
        /// The length found, in bytes.
        bytes: u64,
        /// The length allowed, in bytes.
        limit: u64,
    },
    /// Nothing could be written, as on a full disk.
    #[error("cannot begin the journal {}: {cause}; free some space and run again", path.display())]
    Begin {
        /// The journal.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// Something could not be written, as on a full disk.
    #[error(
        "cannot write the journal {}: {cause}; free some space and run again with --resume (finished work is kept)",
        path.display()
    )]
    Write {
        /// The journal.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
}

impl JournalError {
    /// What is wrong with the bytes of the journal at `path`.
    pub(super) fn damaged(path: &Path, damage: Damage) -> Self {
        let path = path.to_owned();
        match damage {
            Damage::NotAJournal => Self::NotAJournal { path },
            Damage::Version(found) => Self::Version { path, found },
            Damage::Header(reason) => Self::CorruptHeader { path, reason },
            Damage::HeaderLength(bytes) => {
                Self::TooLarge { path, bytes: bytes as u64, limit: LONGEST_HEADER as u64 }
            }
            Damage::Record { offset, reason } => Self::CorruptRecord { path, offset: offset as u64, reason },
        }
    }

    pub(super) fn open(path: &Path, cause: &io::Error) -> Self {
        Self::Open { path: path.to_owned(), cause: cause.to_string() }
    }

    pub(super) fn write(path: &Path, cause: &io::Error) -> Self {
        Self::Write { path: path.to_owned(), cause: cause.to_string() }
    }
}
