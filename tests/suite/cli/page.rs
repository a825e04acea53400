//! The page of a report: written by a run, and made again from its files.

use std::collections::BTreeMap;

use assert_cmd::Command;
use image::{Rgb, RgbImage};
use mimir_bundle::{is_more_than_text, one_line};
use mimir_runtime::report::Report;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;

use super::{Demo, certify, models};

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
    // What sha256sum prints for the model, and not the digest of all its files.
    assert!(page.contains(demo.report().model.sha256()), "{page}");
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

/// Names of classes as folders may have them.
const ODD_NAMES: [&str; 6] =
    ["it's", "a b", "tab\there", "line\nbreak", "日本 ü", "$(touch evil) `x` \u{202e}\\ \"q\""];

/// A copied line is the command, whatever names are in it.
#[test]
fn the_commands_of_a_page_run_as_they_are() {
    let demo = Demo::new();
    // A new line, an escape sequence, letters turned around: the report holds none of them as they are.
    let model = "it's a\n\u{1b}[1mmödel\u{202e} \\x.onnx";
    models::telling_brightness(&demo.path(model), [3, 4, 4], ODD_NAMES.len());
    for (class, name) in ODD_NAMES.into_iter().enumerate() {
        let folder = demo.path("my 'images'").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for number in 0..3_u8 {
            let level = (class * 255 / ODD_NAMES.len()) as u8 + 8 * number;
            RgbImage::from_pixel(4, 4, Rgb([level; 3])).save(folder.join(format!("{number}.png"))).unwrap();
        }
    }
    let map: BTreeMap<&str, usize> = ODD_NAMES.into_iter().zip(0..).collect();
    std::fs::write(demo.path("map \"日本\"\t`x`.json"), serde_json::to_string(&map).unwrap()).unwrap();
    // As a user would have it in the path.
    std::fs::create_dir(demo.path("bin")).unwrap();
    let program = env!("CARGO_BIN_EXE_mimir-certify-under-test");
    std::os::unix::fs::symlink(program, demo.path("bin/mimir-certify")).unwrap();
    let in_shell = |line: &str| {
        let mut command = Command::new("bash");
        let path = format!("{}:{}", demo.path("bin").display(), std::env::var("PATH").unwrap());
        command.args(["-c", line]).env("PATH", path).env_remove("GITHUB_STEP_SUMMARY");
        command.env("LC_ALL", "C").current_dir(demo.path("")).assert()
    };

    let flags = [
        "--class-map",
        "map \"日本\"\t`x`.json",
        "--report",
        "the 'out' $(touch evil) ü\r",
        "--epsilon",
        "16/255",
    ];
    let mut command = certify();
    command.current_dir(demo.path("")).arg(model).args(["--data", "folder:my 'images'"]).args(flags);
    command.args(["--attacks", "apgd-ce,square", "--queries", "20", "--steps", "5", "--save-adversarial"]);
    command.assert().success();
    let result = || {
        let report = std::fs::read_to_string(demo.path("the 'out' $(touch evil) ü\r/report.json")).unwrap();
        serde_json::from_str::<Report>(&report).unwrap()
    };
    let first = result();
    assert!(first.counts.broken > 0 && first.counts.clean_correct == 18, "{:?}", first.counts);
    assert_eq!(first.data.class_map.as_ref().unwrap()[&*one_line(ODD_NAMES[5])], 5);

    let page = read(&demo, "the 'out' $(touch evil) ü\r/report.html");
    let lines: Vec<String> =
        page.split("<pre>").skip(1).map(|rest| unescaped(rest.split("</pre>").next().unwrap())).collect();
    assert_eq!(lines.len(), 5, "run, replay, replay of one, verify, page: {lines:?}");
    assert!(lines.iter().all(|line| !line.contains(is_more_than_text)), "{lines:?}");
    // What is there afterwards is theirs.
    std::fs::remove_file(demo.path("the 'out' $(touch evil) ü\r/report.json")).unwrap();
    lines.iter().for_each(|line| drop(in_shell(line).success()));
    let second = result();
    assert_eq!((&second.outcomes, &second.data, second.attacks.len()), (&first.outcomes, &first.data, 2));
    assert_eq!(
        read(&demo, "the 'out' $(touch evil) ü\r/report.html").split("<pre>").nth(1),
        page.split("<pre>").nth(1)
    );
    assert!(!demo.path("evil").exists());
}

/// HTML as its text.
fn unescaped(html: &str) -> String {
    let entities =
        [("&#x27;", "'"), ("&#x2f;", "/"), ("&quot;", "\""), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
    entities.into_iter().fold(html.to_owned(), |text, (entity, letter)| text.replace(entity, letter))
}
