//! The journal as a file: whole, torn, damaged, foreign, locked, and on a disk that fills up.

mod killed;

use std::fs;
use std::io::{self, Write};

use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::record::tests::any_record;
use super::*;
use crate::trace::CHECKPOINTS;

/// A folder for one journal.
struct TempJournal {
    _folder: TempDir,
    path: PathBuf,
}

impl TempJournal {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        Self { _folder: folder, path }
    }

    /// With these bytes in the file.
    fn holding(bytes: &[u8]) -> Self {
        let temp = Self::new();
        fs::write(&temp.path, bytes).unwrap();
        temp
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.path).unwrap()
    }

    /// The records that a resumed run finds.
    fn records(&self) -> Result<Vec<Record>, JournalError> {
        Journal::resume(&self.path, &header()).map(|(_, records)| records)
    }
}

fn header() -> Header {
    Header::new()
        .with("model_digest", "9f86d081")
        .with("threat_model", json!({ "norm": "l2", "epsilon": 0.1 }))
        .with("seed", u64::MAX)
}

fn record(image: u32, outcome: Outcome) -> Record {
    Record {
        image,
        attack: 1,
        unit: 4,
        outcome,
        forwards: 102,
        backwards: 100,
        zero_gradient: false,
        non_finite_gradient: false,
        closest: None,
        incomplete: false,
        rejected: false,
        trace: Vec::new(),
    }
}

/// One of each outcome, with and without what is optional.
fn records() -> Vec<Record> {
    let broken = |slot: Option<u64>| Outcome::Broken {
        step: 12,
        prediction: 3,
        distance: 0.1,
        margin: -1.0,
        margin_float64: slot.map(|_| -0.5),
        fragile: false,
        slot,
    };
    let not_finite = Outcome::NonFinite { step: 5 };
    vec![
        record(0, Outcome::Spent),
        Record { zero_gradient: true, closest: Some(0.25), ..record(1, Outcome::Spent) },
        record(2, broken(None)),
        Record {
            closest: Some(0.1),
            incomplete: true,
            trace: vec![0.5; CHECKPOINTS.len()],
            ..record(3, broken(Some(1 << 40)))
        },
        Record { rejected: true, trace: vec![1.0, -0.5], ..record(6, Outcome::Spent) },
        record(4, not_finite),
        Record { non_finite_gradient: true, ..record(5, Outcome::Spent) },
        Record { closest: Some(f64::INFINITY), ..record(u32::MAX, not_finite) },
    ]
}

/// The bytes of a journal with these records.
fn journal_of(records: &[Record]) -> Vec<u8> {
    let frames = records.iter().flat_map(layout::frame);
    layout::preamble(&header()).unwrap().into_iter().chain(frames).collect()
}

#[test]
fn every_outcome_is_read_back() {
    let temp = TempJournal::new();
    let journal = Journal::create(&temp.path, &header()).unwrap();
    for record in &records() {
        journal.append(record).unwrap();
    }
    journal.sync().unwrap();
    drop(journal);
    assert_eq!(temp.bytes(), journal_of(&records()));
    assert_eq!(temp.records(), Ok(records()));
    // Reading changed nothing, and what is appended now stands behind the rest.
    let (journal, _) = Journal::resume(&temp.path, &header()).unwrap();
    journal.append(&record(6, Outcome::Spent)).unwrap();
    drop(journal);
    assert_eq!(temp.records(), Ok([records(), vec![record(6, Outcome::Spent)]].concat()));
}

/// What `append` has returned from is in the file, with nothing held back in this process.
#[test]
fn records_are_not_buffered() {
    let temp = TempJournal::new();
    let journal = Journal::create(&temp.path, &header()).unwrap();
    for count in 1..=records().len() {
        journal.append(&records()[count - 1]).unwrap();
        assert_eq!(temp.bytes(), journal_of(&records()[..count]));
    }
}

/// 10,000 images × 20 units are at most 200,000 of the longest records.
#[test]
fn the_longest_record_is_short() {
    let longest = records().iter().map(|record| layout::frame(record).len()).max().unwrap();
    assert_eq!(longest, Record::LONGEST + 6);
    assert!(200_000 * longest < 36_000_000);
}

#[test]
fn a_record_cut_off_anywhere_is_dropped() {
    let all = records();
    for count in 1..=all.len() {
        let (start, end) = (journal_of(&all[..count - 1]).len(), journal_of(&all[..count]).len());
        for length in start..end {
            let temp = TempJournal::holding(&journal_of(&all)[..length]);
            let (journal, found) = Journal::resume(&temp.path, &header()).unwrap();
            assert_eq!(found, all[..count - 1], "cut at {length}");
            // The file goes on where the last whole record ends.
            journal.append(&all[0]).unwrap();
            drop(journal);
            assert_eq!(temp.bytes(), journal_of(&[&all[..count - 1], &all[..1]].concat()), "cut at {length}");
        }
    }
}

/// Killed while the journal was made: nothing was finished, so the run begins anew.
#[test]
fn a_header_cut_off_anywhere_begins_anew() {
    let whole = journal_of(&[]);
    for length in 0..whole.len() {
        let temp = TempJournal::holding(&whole[..length]);
        assert_eq!(temp.records(), Ok(Vec::new()), "cut at {length}");
        assert_eq!(temp.bytes(), whole);
    }
    // That of another run is not ours to overwrite.
    let other = layout::preamble(&header().with("seed", 1)).unwrap();
    let temp = TempJournal::holding(&other[..other.len() - 1]);
    assert!(matches!(temp.records(), Err(JournalError::CorruptHeader { .. })));
}

/// After a loss of power the file may have its length and not its last bytes.
#[test]
fn zeros_at_the_end_are_dropped() {
    let whole = journal_of(&records());
    let sound = journal_of(&records()[..2]);
    for kept in 0..20 {
        let mut bytes = whole.clone();
        bytes[sound.len() + kept..].fill(0);
        assert_eq!(TempJournal::holding(&bytes).records(), Ok(records()[..2].to_vec()), "{kept} bytes kept");
    }
}

/// Each bit of a journal flipped: an error, or the last record is missing; never another record, never one less
/// than that.
#[test]
fn a_flipped_bit_gives_no_wrong_record() {
    for all in [records(), records()[2..4].to_vec(), records()[..1].to_vec()] {
        let sound = journal_of(&all);
        let before_last = journal_of(&all[..all.len() - 1]).len();
        for bit in 0..8 * sound.len() {
            let mut bytes = sound.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            match layout::read(&bytes) {
                Err(_) => {}
                Ok(contents) => {
                    assert!(bit / 8 >= before_last, "bit {bit}");
                    assert_eq!(contents.records, all[..all.len() - 1], "bit {bit}");
                    assert_eq!(contents.end, before_last as u64, "bit {bit}");
                }
            }
        }
    }
}

#[test]
fn damage_before_the_last_record_is_named_with_its_place() {
    let (first, second) = (journal_of(&records()[..1]).len(), journal_of(&records()[..2]).len());
    struct Case {
        byte: usize,
        reason: &'static str,
    }
    let table = [
        Case { byte: first, reason: "the length of a record is damaged" },
        Case { byte: first + 1, reason: "the length of a record is damaged" },
        Case { byte: first + 2, reason: "the checksum of a record does not match" },
        Case { byte: second - 1, reason: "the checksum of a record does not match" },
    ];
    for Case { byte, reason } in table {
        let mut bytes = journal_of(&records());
        bytes[byte] ^= 0x10;
        let temp = TempJournal::holding(&bytes);
        let path = temp.path.clone();
        let expected = JournalError::CorruptRecord { path, offset: first as u64, reason };
        assert!(expected.to_string().contains(&format!("damaged at byte {first} ({reason})")));
        assert_eq!(temp.records(), Err(expected), "byte {byte}");
        assert_eq!(temp.bytes(), bytes, "refusing changes nothing");
    }
}

/// Written by a program that knows more, and not damaged: even as the last record it is refused.
#[test]
fn a_record_of_unknown_content_is_refused() {
    let mut frame = layout::frame(&records()[0]);
    frame[2] = 9;
    let checksum = crc32fast::hash(&frame[..frame.len() - 4]);
    frame.truncate(frame.len() - 4);
    frame.extend(checksum.to_le_bytes());
    let temp = TempJournal::holding(&[journal_of(&[]), frame].concat());
    let reason = "an unknown kind of record";
    assert!(
        matches!(temp.records(), Err(JournalError::CorruptRecord { reason: found, .. }) if found == reason)
    );
}

#[test]
fn the_journal_of_another_run_is_refused_by_field() {
    let temp = TempJournal::holding(&journal_of(&records()));
    let before = temp.bytes();
    let other = header().with("threat_model", json!({ "norm": "l2", "epsilon": 0.3 }));
    let refused = Journal::resume(&temp.path, &other).unwrap_err();
    assert!(
        matches!(&refused, JournalError::Different { difference, .. } if difference.field == "threat_model.epsilon")
    );
    let text = refused.to_string();
    assert!(text.contains("threat_model.epsilon is 0.1 in the journal and 0.3 now"), "{text}");
    assert_eq!(temp.bytes(), before);
}

#[test]
fn another_version_is_refused_with_the_way_out() {
    for (version, words) in
        [(5_u32, "the newer program"), (u32::MAX, "the newer program"), (3, "the older program")]
    {
        let mut bytes = journal_of(&records());
        bytes[8..12].copy_from_slice(&version.to_le_bytes());
        let temp = TempJournal::holding(&bytes);
        let refused = temp.records().unwrap_err();
        assert_eq!(refused, JournalError::Version { path: temp.path.clone(), found: version });
        let text = refused.to_string();
        for part in [&format!("format version {version}, this program reads version 4"), words, "delete it"] {
            assert!(text.contains(part), "{text}");
        }
    }
}

#[test]
fn a_damaged_header_is_refused() {
    let sound = journal_of(&records());
    for byte in 12..journal_of(&[]).len() {
        let mut bytes = sound.clone();
        bytes[byte] ^= 1;
        let refused = TempJournal::holding(&bytes).records();
        assert!(matches!(refused, Err(JournalError::CorruptHeader { .. })), "byte {byte}: {refused:?}");
    }
}

#[test]
fn a_file_that_is_no_journal_is_left_alone() {
    for bytes in [&b"{\"schema_version\": 1}"[..], b"MIMIRJNK", b"x"] {
        let temp = TempJournal::holding(bytes);
        let expected = JournalError::NotAJournal { path: temp.path.clone() };
        assert_eq!(temp.records(), Err(expected.clone()));
        assert_eq!(Journal::create(&temp.path, &header()).unwrap_err(), expected);
        assert_eq!(Journal::replace(&temp.path, &header()).unwrap_err(), expected);
        assert_eq!(temp.bytes(), bytes);
    }
}

#[test]
fn an_earlier_journal_is_not_overwritten_unasked() {
    let temp = TempJournal::holding(&journal_of(&records()));
    let refused = Journal::create(&temp.path, &header()).unwrap_err();
    assert_eq!(refused, JournalError::Exists { path: temp.path.clone() });
    let text = refused.to_string();
    assert!(text.contains("--resume") && text.contains("delete"), "{text}");
    assert_eq!(temp.records(), Ok(records()));
    drop(Journal::replace(&temp.path, &header()).unwrap());
    assert_eq!(temp.bytes(), journal_of(&[]));
}

#[test]
fn nothing_to_resume_is_said() {
    let temp = TempJournal::new();
    assert_eq!(temp.records(), Err(JournalError::Missing { path: temp.path.clone() }));
    assert!(!temp.path.exists());
    let folder = temp.path.parent().unwrap();
    assert!(matches!(Journal::create(folder, &header()), Err(JournalError::Open { .. })));
    assert!(matches!(Journal::create(&temp.path.join("x"), &header()), Err(JournalError::Open { .. })));
}

#[test]
fn two_runs_cannot_use_one_journal() {
    let temp = TempJournal::new();
    let journal = Journal::create(&temp.path, &header()).unwrap();
    journal.append(&records()[0]).unwrap();
    let locked = JournalError::Locked { path: temp.path.clone() };
    assert!(locked.to_string().contains("another run is using"));
    assert_eq!(temp.records(), Err(locked.clone()));
    assert_eq!(Journal::create(&temp.path, &header()).unwrap_err(), locked);
    assert_eq!(Journal::replace(&temp.path, &header()).unwrap_err(), locked);
    drop(journal);
    assert_eq!(temp.records(), Ok(records()[..1].to_vec()));
}

#[test]
fn several_workers_append_whole_records() {
    let temp = TempJournal::new();
    let journal = Journal::create(&temp.path, &header()).unwrap();
    std::thread::scope(|scope| {
        for attack in 0..4 {
            let journal = &journal;
            scope.spawn(move || {
                for image in 0..200 {
                    journal.append(&Record { attack, ..record(image, Outcome::Spent) }).unwrap();
                }
            });
        }
    });
    drop(journal);
    let found = temp.records().unwrap();
    for attack in 0..4 {
        let images = found.iter().filter(|record| record.attack == attack).map(|record| record.image);
        assert!(images.eq(0..200), "attack {attack}");
    }
    assert_eq!(found.len(), 800);
}

/// A disk with room for so many bytes. It writes what fits, as a file system does, and may refuse to truncate too.
#[derive(Debug)]
struct FullDisk {
    file: File,
    room: usize,
    truncates: bool,
}

impl Write for FullDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let fits = bytes.len().min(self.room);
        if fits == 0 {
            return Err(ErrorKind::StorageFull.into());
        }
        self.room -= fits;
        self.file.write(&bytes[..fits])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for FullDisk {
    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        if self.truncates {
            Sink::truncate(&mut self.file, length)
        } else {
            Err(ErrorKind::StorageFull.into())
        }
    }
}

/// Every possible room for two records: the one that does not fit fails, the error stays, and a run that resumes
/// with room again finds what was finished.
#[test]
fn a_full_disk_keeps_what_was_finished() {
    let all = records();
    let (one, two) = (journal_of(&all[..1]).len(), journal_of(&all[..2]).len());
    let empty = journal_of(&[]);
    for (room, truncates) in (0..two - empty.len()).flat_map(|room| [(room, true), (room, false)]) {
        let temp = TempJournal::holding(&empty);
        let mut file = open_locked(&temp.path, false).unwrap();
        Sink::truncate(&mut file, empty.len() as u64).unwrap();
        let journal =
            Journal::over(&temp.path, Box::new(FullDisk { file, room, truncates }), empty.len() as u64);
        let fitting = usize::from(empty.len() + room >= one);
        let mut answers = all.iter().take(4).map(|record| journal.append(record));
        assert!(answers.by_ref().take(fitting).all(|answer| answer.is_ok()), "room {room}");
        let failures: Vec<JournalError> = answers.map(Result::unwrap_err).collect();
        let cause = io::Error::from(ErrorKind::StorageFull).to_string();
        let expected = JournalError::Write { path: temp.path.clone(), cause };
        assert_eq!(failures, vec![expected.clone(); 4 - fitting], "room {room}");
        assert_eq!(journal.sync(), Err(expected));
        drop(journal);

        let (journal, found) = Journal::resume(&temp.path, &header()).unwrap();
        assert_eq!(found, all[..fitting], "room {room}");
        journal.append(&all[6]).unwrap();
        drop(journal);
        assert_eq!(temp.bytes(), journal_of(&[&all[..fitting], &all[6..7]].concat()), "room {room}");
    }
}

/// /dev/full answers every write with ENOSPC.
#[cfg(target_os = "linux")]
#[test]
fn the_error_of_a_full_disk_says_what_to_do() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let journal = Journal::over(Path::new("report/journal"), Box::new(full), 0);
    assert_eq!(
        journal.append(&records()[0]).unwrap_err().to_string(),
        "cannot write the journal report/journal: No space left on device (os error 28); free some space and run \
         again with --resume (finished work is kept)"
    );
}

#[test]
fn lengths_are_bounded() {
    let large = Header::new().with("text", "x".repeat(1 << 20));
    let temp = TempJournal::new();
    let refused = Journal::create(&temp.path, &large).unwrap_err();
    assert!(matches!(refused, JournalError::TooLarge { limit: 1_048_576, .. }), "{refused}");
    // The refusal left no journal behind that would be in the way.
    assert!(temp.bytes().is_empty());
    // Sparse: it takes no room on the disk.
    File::create(&temp.path).unwrap().set_len(LONGEST_JOURNAL + 1).unwrap();
    assert!(matches!(temp.records(), Err(JournalError::TooLarge { limit: LONGEST_JOURNAL, .. })));
    // A length of 4 GiB in a header of a few bytes.
    let mut bytes = journal_of(&[]);
    bytes[12..16].fill(0xff);
    assert!(matches!(TempJournal::holding(&bytes).records(), Err(JournalError::CorruptHeader { .. })));
}

proptest! {
    #[test]
    fn any_records_are_read_back(records in prop::collection::vec(any_record(), 0..20)) {
        let bytes = journal_of(&records);
        let contents = layout::read(&bytes).unwrap();
        prop_assert_eq!(contents.header.difference(&header()), None);
        prop_assert_eq!(contents.end, bytes.len() as u64);
        // By bytes, as NaN differs from itself.
        prop_assert_eq!(journal_of(&contents.records), bytes);
    }

    /// A setting is the same after it was written, whatever its numbers: 0.1, 1e300, -0.0, the largest integers.
    #[test]
    fn any_numbers_in_a_header_are_read_back(float in any::<f64>(), single in any::<f32>(), integer in any::<u64>()) {
        let header = Header::new().with("f", float).with("s", single).with("i", json!({ "n": [integer, -3] }));
        let read = layout::read(&layout::preamble(&header).unwrap()).unwrap().header;
        prop_assert_eq!(read.difference(&header), None);
        prop_assert_eq!(read, header);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(
        version in prop::sample::select(vec![0_u8, 1, 2, 3]),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        kept in 0_usize..400,
    ) {
        let of_version = [&layout::MAGIC[..], &[version, 0, 0, 0], &bytes].concat();
        prop_assert!(layout::read(&of_version).is_err());
        // Behind a sound journal: what is read is at least that journal, or an error.
        let sound = journal_of(&records());
        let journal = [&sound[..kept.min(sound.len())], &bytes].concat();
        if let Ok(contents) = layout::read(&journal) {
            let whole = journal_of(&contents.records);
            prop_assert!(journal.starts_with(&whole));
        }
    }
}
