//! Names of strangers: what is printed is text, and what is written can be read again.

use std::fs;
use std::path::Path;

use assert_cmd::assert::Assert;
use image::{Rgb, RgbImage};
use mimir_bundle::is_more_than_text;
use predicates::str::contains;
use serde_json::Value;

use super::{Demo, certify, export, models};

/// A name that would clear a terminal, turn what follows, and begin a line that looks like an answer.
const ODD: &str = "a\u{1b}[2J\u{202e}\nPASS  all is well\t<b>";

/// What was printed, which is text and has no line of the odd name's.
fn printed(assert: &Assert) -> String {
    let output = assert.get_output();
    let text = [&output.stdout[..], &output.stderr[..]]
        .map(|text| String::from_utf8(text.to_vec()).unwrap())
        .concat();
    let odd = text.chars().find(|letter| is_more_than_text(*letter) && !"\n\t".contains(*letter));
    assert_eq!(odd, None, "{text:?}");
    assert!(!text.lines().any(|line| line.trim_start().starts_with("PASS  all")), "{text}");
    text
}

fn path(demo: &Demo, name: &str) -> String {
    demo.path(name).display().to_string()
}

/// Every command that reads a model for its numbers says which name, and `show` and `diff` show it.
#[test]
fn a_model_with_a_name_that_is_more_than_text_is_3() {
    let demo = Demo::new();
    let plain = fs::read(demo.path("model.onnx")).unwrap();
    fs::write(demo.path("plain.onnx"), &plain).unwrap();
    let changes: [fn(&Path, &str); 3] =
        [models::with_tensor_named, models::with_node_named, models::with_output_named];
    for change in changes {
        fs::write(demo.path("model.onnx"), &plain).unwrap();
        change(&demo.path("model.onnx"), ODD);
        let model = path(&demo, "model.onnx");
        let run = demo.run(&["--attacks", "fgsm"]).code(3).stderr(contains("rename it"));
        assert!(
            printed(&run)
                .contains("is `a\\u{1b}[2J\\u{202e}\\nPASS  all is well\\t<b>`, with the character U+001B")
        );
        assert!(demo.failure().error.message.contains("\\nPASS"));
        for form in ["text", "markdown", "junit", "sarif", "json"] {
            printed(&certify().args(["report", &path(&demo, "out"), "--format", form]).assert().success());
        }
        for command in ["features", "check"] {
            printed(&certify().args([command, &model]).assert().code(3));
        }
        let shown = printed(&export().args(["show", &model]).assert().success());
        assert!(shown.contains("\\nPASS"), "{shown}");
        printed(&export().args(["diff", &model, &path(&demo, "plain.onnx")]).assert());
        for command in ["show", "diff"] {
            let others: &[&str] = if command == "diff" { &[&model, "--json"] } else { &["--json"] };
            let json = export().args([command, &model]).args(others).assert().success();
            printed(&json);
        }
    }
}

/// Files of images and models may be called what they like: people have such names.
#[test]
fn records_of_odd_file_names_can_be_read_again() {
    let demo = Demo::new();
    let model = path(&demo, &format!("{}.onnx", ODD.replace('/', "")));
    fs::rename(demo.path("model.onnx"), &model).unwrap();
    for class in 0..6 {
        let folder = demo.path("im\nages").join(format!("{class}{ODD}"));
        fs::create_dir_all(&folder).unwrap();
        let shade = |x: u32, y: u32| Rgb([(x * 10) as u8, (y * 10) as u8, (class * 40) as u8]);
        RgbImage::from_fn(24, 24, shade).save(folder.join(format!("{ODD}.png"))).unwrap();
    }
    let images = format!("folder:{}", path(&demo, "im\nages"));
    let out = path(&demo, "o\nut");
    let flags = ["--data", &images, "--mean", "0.5", "--std", "0.25", "--config", "/dev/null"];
    let attack = ["--epsilon", "64/255", "--attacks", "fgsm", "--save-adversarial", "--report", &out, "-v"];
    for form in ["text", "json"] {
        fs::remove_dir_all(&out).unwrap_or_default();
        let run = certify().arg(&model).args(flags).args(attack).args(["--format", form]).assert().success();
        printed(&run);
    }
    for check in [vec!["verify", &out, &model], vec!["replay", &out, &model, "--data", &images]] {
        printed(&certify().args(check).assert().success());
    }
    for form in ["text", "markdown", "junit", "sarif"] {
        printed(&certify().args(["report", &out, "--format", form]).assert().success());
    }
    let page = printed(&certify().args(["report", &out, "--data", &images]).assert().success());
    assert!(page.contains("written to"), "{page}");
    let page = fs::read_to_string(Path::new(&out).join("report.html")).unwrap();
    assert!(
        !page.contains(|letter: char| is_more_than_text(letter) && letter != '\n') && !page.contains("<b>")
    );
    for form in ["text", "markdown", "json"] {
        printed(&certify().args(["compare", &out, &out, "--format", form]).assert().success());
    }
    let classified = certify().args(["classify", &model]).args(flags).assert().success();
    assert!(printed(&classified).contains("\\nPASS"));
    let json = certify().args(["classify", &model, "--json"]).args(flags).assert().success();
    let json: Value = serde_json::from_str(&printed(&json)).unwrap();
    assert!(json["images"][0]["file"].as_str().unwrap().contains(ODD), "{json:#}");
    printed(&certify().args(["check", &model]).args(flags).assert().success());
}

/// A report that would print lines of its own is none of ours.
#[test]
fn a_report_with_a_control_character_is_refused() {
    let demo = Demo::new();
    demo.run(&["--attacks", "fgsm", "--first", "8"]).success();
    let file = demo.path("out/report.json");
    let text = fs::read_to_string(&file).unwrap();
    for odd in ["\\nPASS", "\\u001b[2J", "\u{9b}2J"] {
        fs::write(&file, text.replacen("model.onnx", odd, 1)).unwrap();
        let out = path(&demo, "out");
        for command in [&["report", &out][..], &["compare", &out, &out]] {
            let refused =
                certify().args(command).assert().code(4).stderr(contains("holds a control character"));
            printed(&refused);
        }
        demo.run(&["--baseline", &file.display().to_string(), "--report", &path(&demo, "other")])
            .code(2)
            .stderr(contains("holds a control character"));
    }
}
