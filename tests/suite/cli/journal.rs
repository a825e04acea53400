//! The journal: a full disk, and what is refused.

use std::fs;

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;

use super::{Demo, models};

/// More than a hundred units of work on one engine.
const WORK: [&str; 12] = [
    "--attacks",
    "apgd-ce,apgd-t",
    "--steps",
    "5",
    "--first",
    "64",
    "--workers",
    "1",
    "--threads",
    "1",
    "--save-adversarial",
    "--quiet",
];

/// A run whose files cannot grow beyond so many KiB: what a full disk is, without filling one.
fn with_file_limit(demo: &Demo, kibibytes: usize, flags: &[&str]) -> Assert {
    let mut command = Command::new("bash");
    command.arg("-c").arg(format!("ulimit -f {kibibytes}; exec \"$@\"")).arg("bash");
    command.arg(env!("CARGO_BIN_EXE_mimir-certify-under-test")).current_dir(super::root());
    command.args(demo.arguments(flags)).assert()
}

/// Few KiB, but enough for some records: a counterexample takes 7, a record a twentieth.
fn limit(flags: &[&str]) -> usize {
    if flags.contains(&"--save-adversarial") { 24 } else { 4 }
}

/// A folder with the journal of a run that met a full disk.
pub(super) fn cut_off(flags: &[&str]) -> Demo {
    let demo = Demo::new();
    let way_out = contains("cannot write").and(contains("free some space and run again with --resume"));
    with_file_limit(&demo, limit(flags), flags).code(74).stderr(way_out).stdout("");
    assert!(demo.path("out/journal.bin").exists());
    assert!(!demo.path("out/certificate.json").exists());
    demo
}

pub(super) fn resume(demo: &Demo, flags: &[&str]) -> Assert {
    demo.run(&[flags, &["--resume"]].concat())
}

#[test]
fn a_full_disk_is_74_and_the_run_goes_on_when_there_is_space() {
    // Where the first to hit the limit is the journal, and where it is the store.
    let without_store: Vec<&str> = WORK.into_iter().filter(|flag| *flag != "--save-adversarial").collect();
    for flags in [&WORK[..], &without_store] {
        let whole = Demo::new();
        whole.run(flags).success();
        let demo = cut_off(flags);
        let named = if flags.len() == WORK.len() { "counterexamples.bin" } else { "journal.bin" };
        with_file_limit(&demo, limit(flags), &[flags, &["--resume"]].concat())
            .code(74)
            .stderr(contains(named));
        resume(&demo, flags).success();
        assert_eq!(demo.timeless_report(), whole.timeless_report());
        for file in ["journal.bin", "counterexamples.bin"] {
            assert!(!demo.path("out").join(file).exists(), "{file} is left behind");
        }
        if flags.len() == WORK.len() {
            let read = |demo: &Demo| fs::read(demo.path("out/adversarial.npz")).unwrap();
            assert!(read(&demo) == read(&whole), "other counterexamples");
        }
    }
}

/// The report is longer than the journal: what is lost to the full disk is the report alone.
#[test]
fn a_report_that_cannot_be_written_costs_no_attack() {
    let flags: Vec<&str> = WORK.into_iter().filter(|flag| *flag != "--save-adversarial").collect();
    let whole = Demo::new();
    whole.run(&flags).success();
    let report = fs::metadata(whole.path("out/report.json")).unwrap().len();

    let demo = Demo::new();
    let kibibytes = usize::try_from(report / 1024).unwrap();
    let kept = contains("finished work is kept").and(contains("report.json"));
    with_file_limit(&demo, kibibytes, &flags).code(74).stderr(kept).stdout("");
    resume(&demo, &flags).success();
    assert_eq!(demo.timeless_report(), whole.timeless_report());
    let times: Vec<f64> = demo.report().attacks.iter().map(|attack| attack.model_seconds).collect();
    assert_eq!(times, [0.0, 0.0], "the attacks asked the model again");
    assert!(whole.report().attacks.iter().all(|attack| attack.model_seconds > 0.0));
}

#[test]
fn the_journal_of_an_earlier_run_is_never_overwritten() {
    let demo = cut_off(&WORK);
    let journal = fs::read(demo.path("out/journal.bin")).unwrap();
    demo.run(&WORK).code(2).stderr(contains("continue that run with --resume, or delete"));
    assert_eq!(fs::read(demo.path("out/journal.bin")).unwrap(), journal);
}

#[test]
fn the_journal_of_another_run_is_refused_and_the_field_named() {
    let demo = cut_off(&WORK);
    let replaced = |flag: &'static str, value: &'static str| -> Vec<&str> {
        let mut flags = WORK.to_vec();
        match flags.iter().position(|known| *known == flag) {
            Some(position) => flags[position + 1] = value,
            None => flags.extend([flag, value]),
        }
        flags
    };
    let epsilon: Vec<&str> = replaced("--epsilon", "4/255");
    let cases = [
        (replaced("--first", "63"), "images_digest is"),
        (epsilon, "threat_model.epsilon is"),
        (replaced("--norm", "l2"), "threat_model.norm is \"linf\" in the journal and \"l2\" now"),
        (replaced("--mean", "0.5,0.5,0.25"), "normalisation.mean[2] is 0.5 in the journal and 0.25 now"),
        (replaced("--steps", "6"), "attacks[0].steps is 5 in the journal and 6 now"),
        (replaced("--attacks", "apgd-ce"), "attacks[1] is"),
        (replaced("--seed", "1"), "seed is 0 in the journal and 1 now"),
        ([&WORK[..], &["--curve"]].concat(), "curve is false in the journal and true now"),
        (WORK.into_iter().filter(|flag| *flag != "--save-adversarial").collect(), "counterexamples is true"),
    ];
    for (flags, expected) in cases {
        resume(&demo, &flags).code(2).stderr(contains("belongs to another run").and(contains(expected)));
    }
    models::scaled(&demo.path("model.onnx"), 2.0);
    resume(&demo, &WORK).code(2).stderr(contains("model_digest is"));
}

/// The run's identity has the surrogate's digest, whatever its file is called.
#[test]
fn another_surrogate_cannot_resume() {
    let demo = Demo::new();
    fs::copy(demo.path("model.onnx"), demo.path("other.onnx")).unwrap();
    let path = demo.path("other.onnx").display().to_string();
    let flags = [&WORK[..], &["--surrogate", &path]].concat();
    with_file_limit(&demo, limit(&flags), &flags).code(74);
    models::scaled(&demo.path("other.onnx"), 2.0);
    resume(&demo, &flags).code(2).stderr(contains("attacks[2].surrogate.model_digest is"));
    fs::copy(demo.path("model.onnx"), demo.path("moved.onnx")).unwrap();
    let path = demo.path("moved.onnx").display().to_string();
    resume(&demo, &[&WORK[..], &["--surrogate", &path]].concat()).success();
}

/// What cannot change a result may differ.
#[test]
fn another_batch_and_another_requirement_can_resume() {
    let demo = cut_off(&WORK);
    let other = ["--batch", "8", "--min-attacked-accuracy", "0", "--full"];
    resume(&demo, &[&WORK[..], &other].concat()).success();
    let resumed = demo.report();
    let whole = Demo::new();
    whole.run(&WORK).success();
    assert_eq!(resumed.outcomes, whole.report().outcomes);
}

#[test]
fn journals_that_cannot_be_read_are_refused_and_left_alone() {
    let cases: [(&[u8], &str); 3] = [
        (b"MIMIRJNL\x05\0\0\0 whatever follows", "format version 5"),
        (b"MIMIRJNL\x04\0\0\0 no header", "the header of the journal"),
        (b"another file", "is not a journal"),
    ];
    for (bytes, expected) in cases {
        let demo = Demo::new();
        fs::create_dir(demo.path("out")).unwrap();
        fs::write(demo.path("out/journal.bin"), bytes).unwrap();
        for flags in [&["--resume"][..], &[]] {
            let expected =
                if flags.is_empty() && bytes.starts_with(b"MIMIRJNL") { "--resume" } else { expected };
            demo.run(flags).code(2).stderr(contains(expected)).stdout("");
        }
        assert_eq!(fs::read(demo.path("out/journal.bin")).unwrap(), bytes);
    }
    let newer = Demo::new();
    fs::create_dir(newer.path("out")).unwrap();
    fs::write(newer.path("out/journal.bin"), cases[0].0).unwrap();
    newer.run(&["--resume"]).code(2).stderr(contains("resume it with the newer program"));
}

/// A journal of a run on the demo's images with these frames in the place of its first. Each gets its checksum.
fn with_records(replace: impl FnOnce(Vec<u8>) -> Vec<Vec<u8>>) -> Demo {
    let demo = cut_off(&without_store());
    let path = demo.path("out/journal.bin");
    let bytes = fs::read(&path).unwrap();
    let header = 20 + u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
    let end = header + 2 + usize::from(bytes[header]);
    let frames = replace(bytes[header..end].to_vec());
    let with_checksum =
        |frame: Vec<u8>| [frame.clone(), crc32fast::hash(&frame).to_le_bytes().to_vec()].concat();
    let frames: Vec<u8> = frames.into_iter().flat_map(with_checksum).collect();
    fs::write(&path, [&bytes[..header], &frames, &bytes[end + 4..]].concat()).unwrap();
    demo
}

fn without_store() -> Vec<&'static str> {
    WORK.into_iter().filter(|flag| *flag != "--save-adversarial").collect()
}

/// Whole records, with their checksums, that no run of these images and attacks can have written.
#[test]
fn records_that_no_run_wrote_are_refused_by_name() {
    let changed = |byte: usize, value: u8| {
        with_records(|mut frame| {
            frame[byte] = value;
            vec![frame]
        })
    };
    // Of a frame, bytes 4 and 5 are the attack, 6 to 9 the image, 10 to 13 the unit.
    let cases = [
        (changed(6, 64), "record 0 (image 64", "there are 64 images, 0 to 63"),
        (changed(9, 255), "record 0 (image", "there are 64 images"),
        (changed(4, 2), "record 0 (image", "the run has 2 attacks"),
        (changed(10, 200), "record 0 (image", "units on an image"),
        (with_records(|frame| vec![frame.clone(), frame]), "record 1 (image", "it is there twice"),
    ];
    for (demo, record, reason) in cases {
        let journal = fs::read(demo.path("out/journal.bin")).unwrap();
        resume(&demo, &without_store()).code(2).stdout("").stderr(contains(record).and(contains(reason)));
        assert_eq!(fs::read(demo.path("out/journal.bin")).unwrap(), journal, "it is left alone");
    }
}

/// A bit of a counterexample's pixels flipped, and the end cut off.
#[test]
fn a_damaged_store_is_4() {
    let demo = cut_off(&WORK);
    let store = demo.path("out/counterexamples.bin");
    let mut bytes = fs::read(&store).unwrap();
    bytes[100] ^= 1;
    fs::write(&store, &bytes).unwrap();
    let damaged = contains("counterexamples.bin is damaged").and(contains("delete"));
    resume(&demo, &WORK).code(4).stderr(damaged).stdout("");
    // Cut short: fewer than the journal names.
    fs::write(&store, &bytes[..10]).unwrap();
    resume(&demo, &WORK).code(4).stderr(contains("but the journal refers to")).stdout("");
}

/// Pixels with their checksum that break nothing: what the journal says of them is not believed.
#[test]
fn a_store_of_other_pixels_is_4() {
    let demo = cut_off(&WORK);
    let store = demo.path("out/counterexamples.bin");
    let length = fs::metadata(&store).unwrap().len() as usize;
    let pixels = vec![0_u8; 4 * 3 * 24 * 24];
    let slot = [pixels.clone(), crc32fast::hash(&pixels).to_le_bytes().to_vec()].concat();
    fs::write(&store, slot.repeat(length / slot.len())).unwrap();
    let said = contains("what an earlier run left in the journal does not hold");
    resume(&demo, &WORK).code(4).stderr(said).stdout("");
}

#[test]
fn without_a_journal_resume_begins_anew() {
    let demo = Demo::new();
    demo.run(&["--resume"]).success();
    let first = demo.timeless_report();
    // And so does a run after one that has ended.
    demo.run(&["--resume"]).success();
    assert_eq!(demo.timeless_report(), first);
    demo.run(&[]).success();
    assert_eq!(demo.timeless_report(), first);
}
