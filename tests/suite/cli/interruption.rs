//! Runs that are killed, and runs that are told to end.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use mimir_runtime::evaluate::{Ending, Verdict};
use mimir_runtime::report::Conclusion;
use predicates::str::contains;

use super::{Demo, root};

/// A second or so of work of every kind.
const WORK: [&str; 14] = [
    "--attacks",
    "apgd-ce,apgd-t,fab-t,square",
    "--steps",
    "20",
    "--queries",
    "200",
    "--first",
    "72",
    "--workers",
    "1",
    "--threads",
    "1",
    "--save-adversarial",
    "--resume",
];

fn start(demo: &Demo, flags: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mimir-certify-under-test"));
    command.args(demo.arguments(flags)).current_dir(root());
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn counterexamples(demo: &Demo) -> Vec<u8> {
    fs::read(demo.path("out/adversarial.npz")).unwrap()
}

/// One run that is killed and resumed again and again, at moments spread over the time of a whole run.
#[test]
fn a_run_that_is_killed_at_any_moment_goes_on() {
    const KILLS: usize = 10;
    let whole = Demo::new();
    let began = Instant::now();
    whole.run(&WORK).success();
    let time = began.elapsed();

    let mut demo = Demo::new();
    let mut killed = 0;
    for moment in 0.. {
        let mut run = start(&demo, &WORK);
        // The golden ratio spreads them evenly, in no order.
        std::thread::sleep(time.mul_f64((f64::from(moment) * 0.618_034).fract()));
        let has_ended = run.try_wait().unwrap().is_some();
        run.kill().unwrap();
        killed += usize::from(!has_ended);
        let status = run.wait().unwrap();
        if has_ended || killed == KILLS {
            assert!(!has_ended || status.success(), "{status}");
            demo.run(&WORK).success();
            assert_eq!(demo.timeless_report(), whole.timeless_report());
            assert!(counterexamples(&demo) == counterexamples(&whole), "other counterexamples");
            demo = Demo::new();
        }
        if killed == KILLS {
            return;
        }
    }
}

/// Tells a run to end when it says that it attacks.
fn end_in_the_attack(mut run: Child, signal: &str) -> ExitStatus {
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("apgd-t:")), "it ended before it attacked");
    let kill = Command::new("kill").args([signal, &run.id().to_string()]).status();
    assert!(kill.unwrap().success());
    // The rest of what it says, so that it is not held up.
    lines.for_each(drop);
    run.wait().unwrap()
}

#[test]
fn a_run_that_is_told_to_end_reports_what_it_has_and_goes_on_later() {
    let flags = [&WORK[..], &["--min-attacked-accuracy", "0.1", "--full"]].concat();
    let whole = Demo::new();
    whole.run(&flags).success();

    let demo = Demo::new();
    let status = end_in_the_attack(start(&demo, &flags), "-TERM");
    assert_eq!(status.code(), Some(75));
    let partial = demo.report();
    assert_eq!((partial.ending, partial.gate.exit_code), (Ending::Interrupted, 75));
    assert_ne!(partial.gate.conclusion, Conclusion::DoesNotHold);
    assert!(partial.counts.unfinished > 0, "{:?}", partial.counts);
    assert!(partial.outcomes.iter().any(|outcome| outcome.verdict == Verdict::Unfinished));
    for (file, is_there) in [
        ("journal.bin", true),
        ("counterexamples.bin", true),
        ("certificate.json", false),
        ("adversarial.npz", false),
    ] {
        assert_eq!(demo.path("out").join(file).exists(), is_there, "{file}");
    }

    demo.run(&flags).success();
    assert_eq!(demo.timeless_report(), whole.timeless_report());
    assert!(counterexamples(&demo) == counterexamples(&whole), "other counterexamples");
}

/// A signal after each line that a run prints: while files are opened, the model is prepared, the attacks run and results
/// are written. Whatever was done by then, the run that resumes ends with the report of one that was left alone.
#[test]
fn a_signal_in_any_phase_leaves_a_state_that_resumes() {
    let flags =
        ["--attacks", "apgd-ce,square", "--steps", "5", "--queries", "20", "--workers", "1", "--resume"];
    let flags = [&flags[..], &["--threads", "1", "--save-adversarial", "-v"]].concat();
    let whole = Demo::new();
    let printed = whole.run(&flags).success().get_output().stderr.clone();
    let phases = String::from_utf8(printed).unwrap().lines().count();
    assert!(phases > 10, "{phases}");
    let mut interrupted = 0;
    for phase in 0..phases {
        let demo = Demo::new();
        let mut run = start(&demo, &flags);
        let mut lines = BufReader::new(run.stderr.take().unwrap()).lines();
        let said = lines.by_ref().take(phase + 1).last().unwrap().unwrap();
        let kill = Command::new("kill").args(["-TERM", &run.id().to_string()]).status();
        assert!(kill.unwrap().success());
        lines.for_each(drop);
        let code = run.wait().unwrap().code();
        assert!(matches!(code, Some(0 | 75)), "after `{said}`: {code:?}");
        interrupted += usize::from(code == Some(75));
        demo.run(&flags).success();
        assert_eq!(demo.timeless_report(), whole.timeless_report(), "after `{said}`");
        assert!(counterexamples(&demo) == counterexamples(&whole), "after `{said}`: other counterexamples");
    }
    assert!(interrupted >= phases / 2, "{interrupted} of {phases}");
}

/// Ctrl-C, and also without a folder; the summary says that it is partial.
#[test]
fn a_run_without_a_folder_ends_in_order_too() {
    let demo = Demo::new();
    let flags = ["--attacks", "apgd-ce,apgd-t", "--steps", "200", "--first", "240"];
    let mut arguments = demo.arguments(&flags);
    arguments.truncate(arguments.len() - 2);
    let mut command = Command::new(env!("CARGO_BIN_EXE_mimir-certify-under-test"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut run = command.spawn().unwrap();
    let summary = run.stdout.take().unwrap();
    let status = end_in_the_attack(run, "-INT");
    assert_eq!(status.code(), Some(75));
    let text = std::io::read_to_string(summary).unwrap();
    assert!(text.contains("interrupted"), "{text}");
}

/// Two runs in one folder would write into each other's journal.
#[test]
fn a_second_run_in_the_same_folder_is_refused() {
    let demo = Demo::new();
    let flags = ["--attacks", "apgd-ce,apgd-t", "--steps", "200", "--first", "240", "--resume"];
    let mut first = start(&demo, &flags);
    let mut lines = BufReader::new(first.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("apgd-ce:")));
    demo.run(&flags).code(2).stderr(contains("another run is using it"));
    first.kill().unwrap();
    first.wait().unwrap();
}
