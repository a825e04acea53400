//! The page of a report: written by a run, and made again from its files.

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;

use super::{Demo, certify};

fn read(demo: &Demo, name: &str) -> String {
    std::fs::read_to_string(demo.path(name)).unwrap()
}

#[test]
fn a_run_writes_the_page_that_its_files_give() {
    let demo = Demo::new();
    demo.run(&["--save-adversarial", "--curve"])
        .success()
        .stdout(contains("report.json, certificate.json, adversarial.npz, report.html"));
    let page = read(&demo, "out/report.html");
    let counts = demo.report().counts;
    assert!(counts.broken > 0);
    assert_eq!(page.matches("<figure class=\"card\">").count(), counts.broken.min(12));
    for expected in
        ["<h2 id=\"radius\">", "--epsilon=8&#x2f;255", "--steps=10", "mimir-certify replay", "model.onnx"]
    {
        assert!(page.contains(expected), "{expected}");
    }
    let out = demo.path("out").display().to_string();
    std::fs::remove_file(demo.path("out/report.html")).unwrap();
    certify()
        .args(["report", &out])
        .assert()
        .success()
        .stdout(contains("written to").and(contains("report.html")));
    assert_eq!(read(&demo, "out/report.html"), page);
    let other = demo.path("page.html").display().to_string();
    certify().args(["report", &out, "--output", &other]).assert().success();
    assert_eq!(read(&demo, "page.html"), page);
    // The page of an earlier run does not stay with the results of the next one.
    demo.run(&["--epsilon", "-1"]).code(2);
    assert!(!demo.path("out/report.html").exists() && demo.path("out/previous/report.html").exists());
    certify().args(["report", &out]).assert().success();
    assert!(read(&demo, "out/report.html").contains("<p class=\"word\">ERROR</p>"));
}

/// A report may name any file as its images: what is shown must be as far from the counterexamples as it says.
#[test]
fn a_page_shows_no_pictures_of_other_files() {
    let demo = Demo::new();
    demo.run(&["--save-adversarial"]).success();
    let out = demo.path("out").display().to_string();
    let text = read(&demo, "out/report.json");
    let images = format!("npz:{}", super::root().join("examples/demo/images.npz").display());
    // Those of another folder, and the right ones by --data.
    std::fs::write(demo.path("out/report.json"), text.replace(&images, "npz:/nonexistent.npz")).unwrap();
    certify().args(["report", &out]).assert().success();
    let page = read(&demo, "out/report.html");
    assert!(page.contains("The pictures cannot be shown") && !page.contains("<img "), "{page}");
    certify().args(["report", &out, "--data", &images]).assert().success();
    assert!(read(&demo, "out/report.html").contains("<img "));
    // The same number of images of the same size, but others.
    let mut shifted: serde_json::Value = serde_json::from_str(&text).unwrap();
    for outcome in shifted["outcomes"].as_array_mut().unwrap() {
        if let Some(distance) = outcome["verdict"].get_mut("distance") {
            *distance = 0.001.into();
        }
    }
    std::fs::write(demo.path("out/report.json"), shifted.to_string()).unwrap();
    certify().args(["report", &out, "--data", &images]).assert().success();
    let page = read(&demo, "out/report.html");
    assert!(page.contains("these are not the images of the report") && !page.contains("<img "), "{page}");
}

#[test]
fn flags_of_a_page_have_an_effect_or_are_refused() {
    let demo = Demo::new();
    demo.run(&[]).success();
    let out = demo.path("out").display().to_string();
    assert!(read(&demo, "out/report.html").contains("--save-adversarial keeps them"));
    certify()
        .args(["report", &out, "--format", "junit", "--data", "npz:x.npz"])
        .assert()
        .code(2)
        .stderr(contains("--data has no effect"));
    certify()
        .args(["report", &out, "--output", "/nonexistent/page.html"])
        .assert()
        .code(74)
        .stderr(contains("cannot write /nonexistent/page.html"));
    let junit = demo.path("junit.xml").display().to_string();
    certify().args(["report", &out, "--format", "junit", "--output", &junit]).assert().success();
    assert!(read(&demo, "junit.xml").starts_with("<?xml"));
}
