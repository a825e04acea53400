//! A run that was stopped and resumed ends with the bytes of one that was not.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::experiment_folder::{ExperimentFolder, stderr_of};

const RESULTS: [&str; 3] = ["last.safetensors", "best.safetensors", "state.safetensors"];

fn assert_same_results(experiment: &ExperimentFolder, one: &str, other: &str) {
    for file in RESULTS {
        let (one, other) = (format!("{one}/{file}"), format!("{other}/{file}"));
        assert!(experiment.bytes(&one) == experiment.bytes(&other), "{one} and {other} differ");
    }
}

/// Starts a stage, waits until its log has `steps` steps, and sends the signal.
fn interrupt(
    experiment: &ExperimentFolder,
    stage: &str,
    run: &str,
    more: &[&str],
    steps: usize,
    signal: &str,
) -> Option<i32> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mimir-train"))
        .current_dir(experiment.path(""))
        .env("OMP_NUM_THREADS", "1")
        .args([stage, "experiment.toml", "--run", run, "--threads", "1"])
        .args(more)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let folder = if more.contains(&"scratch") { "finetune-scratch" } else { stage };
    let log = experiment.path(run).join(folder).join("log.jsonl");
    let from = Instant::now();
    while std::fs::read_to_string(&log).map_or(0, |text| text.matches("\"kind\":\"step\"").count()) < steps {
        assert!(from.elapsed() < Duration::from_secs(120), "the run does not get to step {steps}");
        std::thread::sleep(Duration::from_millis(1));
    }
    Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    child.wait().unwrap().code()
}

#[test]
fn sigterm_saves_and_a_resumed_run_ends_with_equal_bytes() {
    let experiment = ExperimentFolder::new();
    // Long enough that a signal comes in time.
    experiment.edit("epochs = 2", "epochs = 20");
    experiment.stage("pretrain", "whole", &[]).assert().success();
    let code = interrupt(&experiment, "pretrain", "cut", &[], 11, "-TERM");
    assert_eq!(code, Some(75));
    assert!(experiment.log("cut/pretrain", "stopped").len() == 1);
    experiment.stage("pretrain", "cut", &["--resume"]).assert().success();
    assert_same_results(&experiment, "whole/pretrain", "cut/pretrain");
    let steps: Vec<_> =
        experiment.log("cut/pretrain", "step").iter().map(|line| line["step"].clone()).collect();
    assert_eq!(steps, (1..=160).map(serde_json::Value::from).collect::<Vec<_>>(), "each step is logged once");
    let losses = |run: &str| -> Vec<_> {
        experiment.log(run, "epoch").iter().map(|line| line["train_loss"].clone()).collect()
    };
    assert_eq!(
        losses("whole/pretrain"),
        losses("cut/pretrain"),
        "the epoch that was cut counts all its steps"
    );
}

#[test]
fn a_killed_run_goes_on_from_its_last_state() {
    let experiment = ExperimentFolder::new();
    experiment.edit("epochs = 3", "epochs = 12");
    let scratch = ["--initial-weights", "scratch"];
    experiment.stage("finetune", "whole", &scratch).assert().success();
    let code = interrupt(&experiment, "finetune", "cut", &scratch, 13, "-KILL");
    assert_eq!(code, None, "killed by a signal");
    experiment.stage("finetune", "cut", &[scratch[0], scratch[1], "--resume"]).assert().success();
    assert_same_results(&experiment, "whole/finetune-scratch", "cut/finetune-scratch");
}

#[test]
fn a_time_limit_stops_in_good_order() {
    let experiment = ExperimentFolder::new();
    experiment.edit("epochs = 2", "epochs = 100000");
    // Twenty of the 22 seconds are kept for saving.
    let error = stderr_of(&mut experiment.stage("pretrain", "out", &["--time-limit", "22s"]), 75);
    assert!(error.contains("--resume"), "{error}");
    assert!(experiment.path("out/pretrain/state.safetensors").is_file());
}

#[test]
fn a_folder_with_a_run_is_not_overwritten() {
    let experiment = ExperimentFolder::new();
    experiment.edit("epochs = 2", "epochs = 1");
    experiment.stage("pretrain", "out", &[]).assert().success();
    let before = experiment.bytes("out/pretrain/last.safetensors");
    let error = stderr_of(&mut experiment.stage("pretrain", "out", &[]), 2);
    assert!(error.contains("--resume"), "{error}");
    assert!(experiment.bytes("out/pretrain/last.safetensors") == before);
}

#[test]
fn resuming_with_another_experiment_names_what_differs() {
    let experiment = ExperimentFolder::new();
    experiment.edit("epochs = 2", "epochs = 1");
    experiment.stage("pretrain", "out", &[]).assert().success();
    experiment.edit("mask_ratio = 0.5", "mask_ratio = 0.75");
    let error = stderr_of(&mut experiment.stage("pretrain", "out", &["--resume"]), 2);
    assert!(error.contains("pretrain.mask_ratio"), "{error}");
}

#[test]
fn a_stage_is_resumed_whatever_became_of_the_keys_of_others() {
    let experiment = ExperimentFolder::new();
    experiment.edit("epochs = 2", "epochs = 1");
    experiment.stage("pretrain", "out", &[]).assert().success();
    experiment.edit("layer_decay = 0.75", "layer_decay = 0.5");
    experiment.edit("steps = 5", "steps = 7");
    experiment.edit("held_out = 16", "held_out = 16\ntest = \"cifar10:elsewhere\"");
    experiment.stage("pretrain", "out", &["--resume"]).assert().success();
    // The held-out images, and so the best epoch, depend on this one.
    experiment.edit("[evaluate]", "[evaluate]\ntransform = { crop = 32 }");
    let error = stderr_of(&mut experiment.stage("pretrain", "out", &["--resume"]), 2);
    assert!(error.contains("evaluate.transform.crop") && !error.contains("layer_decay"), "{error}");
}

#[test]
fn a_state_travels_in_parts() {
    let experiment = ExperimentFolder::new();
    experiment.edit("epochs = 2", "epochs = 1");
    experiment.stage("pretrain", "out", &[]).assert().success();
    experiment
        .command(&["split", "out/pretrain/state.safetensors", "parts", "--mib", "1"])
        .assert()
        .success();
    experiment.command(&["join", "parts/state.safetensors.parts.json", "joined"]).assert().success();
    assert!(experiment.bytes("joined") == experiment.bytes("out/pretrain/state.safetensors"));
}

#[test]
fn a_run_that_was_killed_before_its_first_state_starts_again() {
    let experiment = ExperimentFolder::new();
    experiment.edit("epochs = 2", "epochs = 1");
    experiment.stage("pretrain", "whole", &[]).assert().success();
    experiment.stage("pretrain", "cut", &[]).assert().success();
    for file in RESULTS {
        std::fs::remove_file(experiment.path("cut/pretrain").join(file)).unwrap();
    }
    experiment.stage("pretrain", "cut", &["--resume"]).assert().success();
    assert_same_results(&experiment, "whole/pretrain", "cut/pretrain");
    assert_eq!(experiment.log("cut/pretrain", "step").len(), 8, "each step is logged once");
}
