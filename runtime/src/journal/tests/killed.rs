//! The promise itself: a process is killed while it appends, and another goes on from its files.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use super::super::{CounterexampleStore, slots_in_use};
use super::*;

/// Tells this test that it is the process to be killed, and in which folder it works.
const FOLDER: &str = "MIMIR_TEST_JOURNAL_FOLDER";
const NAME: &str = "journal::tests::killed::what_was_appended_survives_kill_9";
const PIXELS: usize = 5;

/// What the process finds out about image `number`, and the pixels of its counterexample.
fn finding(number: u32) -> (Record, [f32; PIXELS]) {
    let slot = Some(u64::from(number));
    let outcome = Outcome::Broken {
        step: number,
        prediction: 1,
        distance: 0.5,
        margin: -1.0,
        margin_float64: None,
        fragile: false,
        slot,
    };
    (record(number, outcome), [number as f32; PIXELS])
}

/// Goes on with the files of this folder; each record and slot must be as it was appended.
fn resumed(folder: &Path) -> (Journal, CounterexampleStore, u32) {
    let (journal, records) = Journal::resume(&folder.join("journal"), &header()).unwrap();
    let store = CounterexampleStore::resume(&folder.join("store"), PIXELS, slots_in_use(&records)).unwrap();
    for (number, found) in (0..).zip(&records) {
        let (record, pixels) = finding(number);
        let mut stored = [f32::NAN; PIXELS];
        store.read(u64::from(number), &mut stored).unwrap();
        assert_eq!((found, stored), (&record, pixels), "{number}");
    }
    (journal, store, records.len() as u32)
}

/// Appends, and says so on standard output, until it is killed (or its reader is gone).
fn append_for_ever(folder: &Path) {
    let (journal, store, first) = resumed(folder);
    for number in first.. {
        let (record, pixels) = finding(number);
        store.append(&pixels).unwrap();
        journal.append(&record).unwrap();
        // Not `println!`, which the test harness may keep to itself.
        if writeln!(io::stdout(), "\nappended {number}").is_err() {
            return;
        }
    }
}

/// This program again, with that one test only.
fn child(folder: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", NAME, "--nocapture"]).env(FOLDER, folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
}

#[test]
fn what_was_appended_survives_kill_9() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return append_for_ever(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    drop(Journal::create(&folder.path().join("journal"), &header()).unwrap());
    let mut total = 0;
    for appended in [1, 2, 5, 20, 60, 100] {
        let mut child = child(folder.path());
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let last = lines
            .filter_map(|line| line.strip_prefix("appended ")?.parse::<u32>().ok())
            .nth(appended - 1)
            .unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let (_journal, _store, count) = resumed(folder.path());
        assert!(count > last && last >= total, "{count} records, {last} was said, {total} before");
        total = count;
    }
}
