//! Journals and the counterexamples beside them.

use mimir_runtime::journal::{CounterexampleStore, Header, Journal, slots_in_use};

use super::place;

/// Resumes from a journal: the bytes themselves, or, where the first is odd, records of them behind a sound header and
/// with sound checksums.
pub(crate) fn run(bytes: &[u8]) {
    let Some((kind, content)) = bytes.split_first() else { return };
    let journal = if kind % 2 == 1 { framed(content) } else { content.to_vec() };
    let path = place::file("journal.bin", &journal);
    let Ok((journal, records)) = Journal::resume(&path, &header()) else { return };
    drop(journal);
    let (_, again) = Journal::resume(&path, &header()).expect("what was resumed can be resumed again");
    // As text: a margin that is NaN is not equal to itself.
    assert_eq!(format!("{again:?}"), format!("{records:?}"));
    let slots = slots_in_use(&records);
    let store = place::file("counterexamples.bin", &content[content.len() / 2..]);
    let Ok(store) = CounterexampleStore::resume(&store, 2, slots) else { return };
    for slot in 0..slots.min(8) {
        let _ = store.read(slot, &mut [0.0; 2]);
    }
}

fn header() -> Header {
    Header::new().with("seed", 7)
}

/// A journal of that run with the content as records, each behind its length, as `docs/journal.md` has it.
fn framed(content: &[u8]) -> Vec<u8> {
    let path = place::path("framed.bin");
    Journal::replace(&path, &header()).map(drop).expect("a new journal");
    let mut journal = std::fs::read(&path).expect("it is there");
    let mut left = content;
    while let Some((&length, rest)) = left.split_first() {
        let length = (20 + length % 41).min(rest.len() as u8);
        let (record, behind) = rest.split_at(usize::from(length).min(rest.len()));
        let start = journal.len();
        journal.extend([length, !length]);
        journal.extend(record);
        let checksum = crc32fast::hash(&journal[start..]);
        journal.extend(checksum.to_le_bytes());
        left = behind;
    }
    journal
}
