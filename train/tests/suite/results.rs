//! Commands on results.

use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;

use crate::experiment_folder::ExperimentFolder;

#[test]
fn bounds_are_printed_and_drawn() {
    let experiment = ExperimentFolder::new();
    // Section 1.1 of the specification: ten classes at p_e = 0.5.
    experiment
        .command(&["bounds", "--out", "bounds.svg"])
        .assert()
        .success()
        .stdout(contains("0.737").and(contains("2.322")));
    assert!(String::from_utf8(experiment.bytes("bounds.svg")).unwrap().starts_with("<svg"));
}

#[test]
fn curves_of_a_run_are_drawn() {
    let experiment = ExperimentFolder::new();
    experiment.edit("epochs = 2", "epochs = 1");
    experiment.stage("pretrain", "out", &[]).assert().success();
    experiment.command(&["plot", "out/pretrain", "--out", "curves.svg"]).assert().success();
    let svg = String::from_utf8(experiment.bytes("curves.svg")).unwrap();
    assert!(svg.contains("<svg") && svg.contains("loss"), "{}", &svg[..200.min(svg.len())]);
    // The folder of the run too, and the loss on held-out images.
    experiment.command(&["plot", "out", "--out", "all.svg"]).assert().success();
    let svg = String::from_utf8(experiment.bytes("all.svg")).unwrap();
    assert!(svg.contains("pretrain held out"), "{}", &svg[..200.min(svg.len())]);
}

#[test]
fn the_rows_of_table_12_are_measured() {
    let experiment = ExperimentFolder::new();
    let arguments = [
        "efficiency",
        "--networks",
        "vit_tiny",
        "--images",
        "cifar10",
        "--methods",
        "mae,mimir,fast-at",
        "--batch",
        "2",
        "--steps",
        "1",
        "--threads",
        "1",
        "--peak",
        "0.5",
    ];
    let output = experiment.command(&arguments).assert().success();
    let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| vit_tiny |")).collect();
    assert_eq!(rows.len(), 3, "{text}");
    for (row, method) in rows.iter().zip(["MAE", "MIMIR", "FastAT"]) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!((cells[2], cells[3]), (method, "CIFAR-10"));
        let number = |cell: usize| cells[cell].split(' ').next().unwrap().parse::<f64>().unwrap();
        // An epoch of 50,000 images at that speed, as far as both are printed.
        assert!((number(4) * number(5) / 50_000.0 - 1.0).abs() < 0.1, "{row}");
        assert!(number(7) > 0.0, "{row}");
    }
    let error =
        crate::experiment_folder::stderr_of(&mut experiment.command(&["efficiency", "--networks", "vit"]), 2);
    assert!(error.contains("`vit` is no network") && error.contains("vit_tiny"), "{error}");
}

#[test]
fn the_doctor_names_libtorch() {
    ExperimentFolder::new().command(&["doctor"]).assert().success().stdout(contains("2.11.0"));
}
