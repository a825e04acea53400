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
fn the_doctor_names_libtorch() {
    ExperimentFolder::new().command(&["doctor"]).assert().success().stdout(contains("2.11.0"));
}
