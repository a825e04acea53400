//! What can be done with results.

use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;

use crate::workshop::Workshop;

#[test]
fn bounds_are_printed_and_drawn() {
    let workshop = Workshop::new();
    // Section 1.1 of the specification: ten classes at p_e = 0.5.
    workshop
        .command(&["bounds", "--out", "bounds.svg"])
        .assert()
        .success()
        .stdout(contains("0.737").and(contains("2.322")));
    assert!(String::from_utf8(workshop.bytes("bounds.svg")).unwrap().starts_with("<svg"));
}

#[test]
fn curves_of_a_run_are_drawn() {
    let workshop = Workshop::new();
    workshop.edit("epochs = 2", "epochs = 1");
    workshop.stage("pretrain", "out", &[]).assert().success();
    workshop.command(&["plot", "out/pretrain", "--out", "curves.svg"]).assert().success();
    let svg = String::from_utf8(workshop.bytes("curves.svg")).unwrap();
    assert!(svg.contains("<svg") && svg.contains("loss"), "{}", &svg[..200.min(svg.len())]);
}

#[test]
fn the_doctor_names_libtorch() {
    Workshop::new().command(&["doctor"]).assert().success().stdout(contains("2.11.0"));
}
