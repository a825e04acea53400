//! `mimir-train experiment` and `report`.

use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;

use crate::experiment_folder::{ExperimentFolder, stderr_of};

const GRID: &str = "seeds = [1, 2]\n\
                    [[method]]\nname = \"random weights\"\nfile = \"sweep.toml\"\nvariant = \"short\"\n\
                    initial_weights = \"scratch\"\n\
                    [[method]]\nname = \"MAE\"\nfile = \"sweep.toml\"\nvariant = \"mae\"\n";

/// One epoch of everything, and a variant that the paper has a number for.
fn sweep() -> ExperimentFolder {
    let experiment = ExperimentFolder::new();
    experiment.edit("epochs = 2", "epochs = 1");
    experiment.edit("epochs = 3", "epochs = 1");
    experiment.edit("warmup_epochs = 1\nmin", "warmup_epochs = 0.5\nmin");
    experiment.write(
        "sweep.toml",
        "base = \"experiment.toml\"\n[variants.short]\nevaluate.images = 20\n[variants.mae]\nevaluate.images = 20\n\
         remove = [\"pretrain.adversary\", \"pretrain.penalty\"]\npretrain.method = \"mae\"\n\
         paper = [{ source = \"table 5\", natural = 69.02, attacked = 42.31, attack = \"PGD-5\" }]\n",
    );
    experiment.write("grid.toml", GRID);
    experiment
}

fn run(experiment: &ExperimentFolder) -> assert_cmd::Command {
    experiment.command(&["experiment", "grid.toml", "--threads", "1"])
}

#[test]
fn a_grid_runs_every_method_and_seed_and_does_nothing_twice() {
    let experiment = sweep();
    run(&experiment).assert().success().stdout(
        contains("| method | clean | PGD-5 at 2/255 | seeds | the paper |")
            .and(contains("| random weights | "))
            .and(contains("| 1, 2 | clean 69.02, PGD-5 42.31 (table 5) |")),
    );
    let svg = String::from_utf8(experiment.bytes("runs/grid/report.svg")).unwrap();
    assert!(svg.contains("random weights") && svg.contains("the paper"), "{svg}");
    let evaluation = "runs/grid/MAE/seed-2/finetune/evaluation.json";
    let found: serde_json::Value = serde_json::from_slice(&experiment.bytes(evaluation)).unwrap();
    assert_eq!(found["images"], 20);
    assert!(!experiment.path("runs/grid/random weights/seed-1/pretrain").exists());

    // Finished steps are left alone; one that is gone is done again.
    std::fs::remove_file(experiment.path(evaluation)).unwrap();
    let told = run(&experiment).assert().success();
    let told = String::from_utf8(told.get_output().stderr.clone()).unwrap();
    assert_eq!(told.matches("] ").count(), 1, "{told}");
    assert!(told.contains("MAE, seed 2: evaluate"), "{told}");

    // The same table from the folders.
    let report = experiment.command(&["report", "runs/grid"]).assert().success();
    let table = String::from_utf8(report.get_output().stdout.clone()).unwrap();
    assert!(table.starts_with("| method |") && table.contains("| MAE | "), "{table}");
    assert!(experiment.path("report.md").is_file() && experiment.path("report.svg").is_file());

    // Another experiment in the same folder would be compared with what it is not.
    experiment.edit("mask_ratio = 0.5", "mask_ratio = 0.75");
    let error = stderr_of(&mut run(&experiment), 2);
    assert!(error.contains("another configuration") && error.contains("pretrain.mask_ratio"), "{error}");
}

/// The grid exports and attacks networks: whoever asks for the table must not learn that after building the one command.
#[test]
fn make_train_quick_builds_every_program_that_the_grid_runs() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let plan =
        std::process::Command::new("make").args(["-n", "train-quick"]).current_dir(root).output().unwrap();
    let plan = String::from_utf8(plan.stdout).unwrap();
    let run = plan.find("scripts/train-quick").unwrap();
    for step in [
        "scripts/setup\n",
        "scripts/setup-train\n",
        "-p mimir-certify-cli",
        "-p mimir-export-cli",
        "-p mimir-train",
    ] {
        assert!(
            plan.find(step).is_some_and(|place| place < run),
            "no {step:?} before the grid runs:\n{plan}"
        );
    }
}

#[test]
fn a_grid_is_checked_before_anything_runs() {
    let experiment = sweep();
    experiment.write("grid.toml", &GRID.replace("variant = \"mae\"", "variant = \"mea\""));
    let error = stderr_of(&mut run(&experiment), 2);
    assert!(error.contains("method MAE") && error.contains("`mea`; it has mae, short"), "{error}");
    assert!(!experiment.path("runs").exists());
    // The programs of [certify] are looked for first.
    experiment.write("grid.toml", &format!("{GRID}[certify]\nsample = 10\n"));
    let mut command = run(&experiment);
    command.env("PATH", experiment.path("cifar"));
    let beside = std::path::Path::new(env!("CARGO_BIN_EXE_mimir-train")).with_file_name("mimir-certify");
    if !beside.exists() {
        let error = stderr_of(&mut command, 2);
        assert!(error.contains("[certify] needs mimir-"), "{error}");
    }
    assert!(!experiment.path("runs").exists());
}

/// As Ctrl-C in a terminal: to all processes of the group.
#[test]
#[cfg(unix)]
fn a_signal_stops_a_grid_in_order() {
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    let experiment = sweep();
    experiment.edit("epochs = 1\nlog_every", "epochs = 100000\nlog_every");
    let mut grid = Command::new(env!("CARGO_BIN_EXE_mimir-train"))
        .current_dir(experiment.path(""))
        .env("OMP_NUM_THREADS", "1")
        .args(["experiment", "grid.toml", "--threads", "1"])
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let log = experiment.path("runs/grid/MAE/seed-1/pretrain/log.jsonl");
    let from = Instant::now();
    while !std::fs::read_to_string(&log).is_ok_and(|text| text.contains("\"kind\":\"step\"")) {
        assert!(from.elapsed() < Duration::from_secs(120), "the grid does not get to its second method");
        std::thread::sleep(Duration::from_millis(5));
    }
    Command::new("kill").args(["-INT", "--", &format!("-{}", grid.id())]).status().unwrap();
    assert_eq!(grid.wait().unwrap().code(), Some(75));
    assert_eq!(experiment.log("runs/grid/MAE/seed-1/pretrain", "stopped").len(), 1);
}

#[test]
fn a_report_of_nothing_says_what_it_looks_for() {
    let experiment = ExperimentFolder::new();
    let error = stderr_of(&mut experiment.command(&["report", "cifar"]), 2);
    assert!(error.contains("evaluation.json") && error.contains("seed-0"), "{error}");
}
