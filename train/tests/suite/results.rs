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
fn the_loss_around_the_weights_is_a_table() {
    let experiment = ExperimentFolder::new();
    experiment.edit("epochs = 3", "epochs = 1");
    experiment.edit("warmup_epochs = 1\nmin", "warmup_epochs = 0.5\nmin");
    experiment.stage("finetune", "out", &["--initial-weights", "scratch"]).assert().success();
    let weights = ["--weights", "out/finetune-scratch/last.safetensors", "--images", "8"];
    let landscape = |points: &str| {
        let mut command = experiment.stage("landscape", "out", &weights);
        command.args(["--points", points]).assert().success();
        let text = String::from_utf8(experiment.bytes("landscape.csv")).unwrap();
        let rows =
            text.lines().skip(1).map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect());
        rows.collect::<Vec<Vec<f64>>>()
    };
    let (plane, centre) = (landscape("3"), landscape("1"));
    assert_eq!((plane.len(), centre.len()), (9, 1));
    assert_eq!(plane[4], centre[0], "the middle of the plane is the network itself");
    assert!(centre[0][3] >= centre[0][2], "the attack raises the loss: {centre:?}");
    assert!(plane[0] != plane[8] && plane[0][..2] == [-1.0, -1.0], "{plane:?}");
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
