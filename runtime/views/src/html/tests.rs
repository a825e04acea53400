use std::collections::BTreeSet;

use mimir_bundle::ImageShape;
use mimir_bundle::certificate::Tool;
use mimir_runtime::evaluate::TracePoint;
use mimir_runtime::landscape::{InputLandscape, Landscapes, WeightLandscape};
use mimir_runtime::report::{CurvePoint, ErrorKind, Findings};

use super::*;
use crate::testing::{description, evaluation, report};

fn content(report: &Report) -> PageContent<'_> {
    PageContent {
        shown: Shown::from(report),
        certificate: None,
        folder: "out",
        pairs: &[],
        without_pictures: Some("The counterexamples were not kept."),
    }
}

/// Checks that every element is closed in its order, and returns the names of the elements.
fn elements(page: &str) -> BTreeSet<String> {
    const VOID: [&str; 6] = ["meta", "link", "img", "circle", "rect", "br"];
    let (mut open, mut names) = (Vec::new(), BTreeSet::new());
    for part in page.split('<').skip(1) {
        let (tag, _) = part.split_once('>').unwrap();
        let name =
            tag.trim_start_matches('/').split([' ', '\n']).next().unwrap().trim_end_matches('/').to_owned();
        match tag.starts_with('/') {
            _ if name == "!DOCTYPE" => {}
            true => assert_eq!(open.pop(), Some(name), "{tag}"),
            false if tag.ends_with('/') || VOID.contains(&name.as_str()) => {
                names.insert(name);
            }
            false => {
                names.insert(name.clone());
                open.push(name);
            }
        }
    }
    assert!(open.is_empty(), "{open:?}");
    names
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Vec<&'a str> {
    text.split(start).skip(1).map(|part| part.split(end).next().unwrap()).collect()
}

fn trace() -> Vec<TracePoint> {
    let point =
        |iterate| TracePoint { iterate, mean_margin: 1.0 - iterate as f64 / 50.0, broken: iterate.min(2) };
    [0, 1, 5, 10, 100].map(point).into()
}

/// So many rough maps around images, and one around the weights.
fn landscapes(count: usize) -> Landscapes {
    let axis: Vec<f64> = (-10..=10).map(|step| f64::from(step) / 5.0).collect();
    let rough = |row: usize, column: usize| Some(((row * 31 + column * 17) % 13) as f32 - 6.0);
    let margins = (0..21).map(|row| (0..21).map(|column| rough(row, column)).collect()).collect();
    let map = InputLandscape { image: 1, label: 1, axis: axis.clone(), margins };
    let losses =
        (0..21).map(|row| (0..21).map(|column| rough(row, column).map(f64::from)).collect()).collect();
    let weights =
        WeightLandscape { images: 64, tensors: 9, axis, losses, accuracies: vec![vec![0.5; 21]; 21] };
    Landscapes { images: vec![map; count], weights: Some(weights) }
}

#[test]
fn the_page_has_everything_and_needs_nothing() {
    let (mut description, evaluation) = (description(8), evaluation("mraasrrf"));
    description.settings.effective = [("data".to_owned(), "folder:images".into())].into();
    let findings = Findings::new(&description, &evaluation);
    let (mut report, certificate) = (findings.report(), findings.certificate().unwrap());
    report.curve = Some(
        (0..=16)
            .map(|step| CurvePoint { epsilon: f64::from(step) / 2040.0, attacked_accuracy: 0.5 })
            .collect(),
    );
    let pair = |image| PicturePair { image, original: vec![0.5; 12], adversarial: vec![0.504; 12] };
    let pairs: Vec<PicturePair> = shown_images(&report).into_iter().map(pair).collect();
    let page =
        page(&PageContent { certificate: Some(&certificate), pairs: &pairs, ..content(&report) }).unwrap();
    let names = elements(&page);
    for never in ["script", "iframe", "object", "form", "base", "use", "image"] {
        assert!(!names.contains(never), "{never}");
    }
    for id in ["meaning", "attacks", "radius", "classes", "examples", "diagnosis", "costs", "reproduce"] {
        assert!(
            page.contains(&format!("<h2 id=\"{id}\">")) && page.contains(&format!("href=\"#{id}\"")),
            "{id}"
        );
    }
    // Whatever it names is in it.
    for link in between(&page, "href=\"", "\"").into_iter().chain(between(&page, "src=\"", "\"")) {
        assert!(link.starts_with('#') || link.starts_with("data:"), "{link}");
    }
    assert!(!page.contains("url(") && !page.contains("@import"), "{page}");
    let handlers = between(&page, "<", ">").into_iter().flat_map(|tag| tag.split(' '));
    assert_eq!(handlers.filter(|word| word.starts_with("on") && word.contains('=')).count(), 0);
    for expected in [
        "50.00 %",
        "never a proof",
        "mimir-certify replay out model.onnx",
        "--data=folder:images",
        "Image 2</strong>",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
    assert_eq!(page.matches("<img ").count(), 3 * pairs.len());
    // A row for each rule.
    for answer in &report.diagnosis {
        assert!(page.contains(&format!("<th scope=\"row\">{}</th>", answer.name())), "{answer:?}");
    }
    assert!(page.len() < 110_000, "{}", page.len());
}

#[test]
fn the_page_can_be_read_by_everybody() {
    let mut report = report("mrarrrsf");
    report.attacks[0].trace = trace();
    report.landscapes = Some(landscapes(2));
    let page = page(&content(&report)).unwrap();
    assert!(page.contains("How far searches came") && page.contains("Loss landscapes"));
    assert!(page.contains("<html lang=\"en\">") && page.contains("<meta name=\"viewport\""));
    let levels: Vec<u32> = between(&page, "<h", ">")
        .into_iter()
        .filter_map(|tag| tag.chars().next().and_then(|level| level.to_digit(10)))
        .collect();
    assert_eq!((levels[0], levels.iter().filter(|level| **level == 1).count()), (1, 1));
    assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{levels:?}");
    for table in between(&page, "<table", "</table>") {
        assert!(table.contains("<caption><span>") && table.contains("scope="), "{table}");
    }
    for head in between(&page, "<th", ">") {
        assert!(head.starts_with("ead") || head.contains("scope="), "{head}");
    }
    for svg in between(&page, "<svg", ">") {
        assert!(svg.contains("role=\"img\"") && svg.contains("aria-label=\""), "{svg}");
    }
    for image in between(&page, "<img", ">") {
        assert!(image.contains("alt=\""), "{image}");
    }
    // What is coloured says the same in words.
    assert!(page.contains("✓ </span>met") && page.contains("<p class=\"word\">PASS</p>"));
}

/// WCAG 2.1, 1.4.3: text has a contrast of 4.5 at least with what is behind it, in every form of the page.
#[test]
fn text_has_enough_contrast() {
    let style = include_str!("style.css");
    let light = |colour: &str| -> f64 {
        let channel = |range| f64::from(u8::from_str_radix(&colour[range], 16).unwrap()) / 255.0;
        let linear =
            |value: f64| if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) };
        0.2126 * linear(channel(1..3)) + 0.7152 * linear(channel(3..5)) + 0.0722 * linear(channel(5..7))
    };
    let themes = between(style, ":root {", "}");
    assert_eq!(themes.len(), 3);
    for theme in themes {
        let colour = |name: &str| between(theme, &format!("--{name}: "), ";")[0].to_owned();
        for text in ["ink", "muted", "accent", "good", "bad", "unclear", "neutral", "limit"] {
            for behind in ["paper", "card"] {
                let (a, b) = (light(&colour(text)), light(&colour(behind)));
                let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
                assert!(contrast >= 4.5, "{text} on {behind}: {contrast}");
            }
        }
        for series in 1..=6 {
            let (a, b) = (light(&colour(&format!("s{series}"))), light(&colour("paper")));
            assert!((a.max(b) + 0.05) / (a.min(b) + 0.05) >= 3.0, "s{series}");
        }
    }
}

#[test]
fn names_of_others_are_text_on_the_page() {
    let hostile = "</style><script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7 * 7 }}";
    let mut report = report("mraasrrf");
    report.model.file = hostile.into();
    report.data.source = hostile.into();
    report.data.class_names = Some(vec![hostile.into(); 3]);
    report.data.image_files = Some(vec![hostile.into(); 8]);
    report.meaning = hostile.into();
    report.created_at = hostile.into();
    report.tool.version = hostile.into();
    report.execution.processor.name = hostile.into();
    report.gate.weakened_by = vec![hostile.into()];
    report.diagnosis[0].found = hostile.into();
    report.diagnosis[0].way_out = Some(hostile.into());
    report.diagnosis[0].nodes = vec![hostile.into()];
    report.attacks[0].trace = trace();
    report.landscapes = Some(landscapes(1));
    report.attacks[0].name = hostile.into();
    report.warnings[0].message = hostile.into();
    report.model.manifest.model_digest = hostile.into();
    let pair = PicturePair { image: 2, original: vec![0.5; 12], adversarial: vec![0.504; 12] };
    let content = PageContent {
        shown: Shown { gate: Some(hostile), ..Shown::from(&report) },
        folder: hostile,
        pairs: &[pair],
        ..content(&report)
    };
    let text = page(&content).unwrap();
    assert!(!elements(&text).contains("script") && !text.contains("<script"));
    assert_eq!(text.matches("<img ").count(), 3);
    assert!(text.contains("{{ 7 * 7 }}") && !text.contains("49}"), "a template of others was run");
    let tool = Tool { name: hostile.into(), version: hostile.into(), commit: None };
    let failed = FailureReport::new(ErrorKind::Model, hostile, hostile.into(), tool);
    let shown = Shown { gate: Some(hostile), answer: Answer::Failed(&failed) };
    let text = page(&PageContent { shown, ..content }).unwrap();
    assert!(
        !elements(&text).contains("script") && text.contains("ERROR") && text.contains("Exit code 3 (model)"),
        "{text}"
    );
}

/// Whatever stands in a report, the page stays below its limit.
#[test]
fn pages_stay_below_three_megabytes() {
    let mut report = report(&"mras".repeat(2500));
    let long = "<&>\"'".repeat(20_000);
    report.model.manifest.classes = 5000;
    report.data.class_names = Some(vec![long.clone(); 5000]);
    for outcome in &mut report.outcomes {
        outcome.label = outcome.image % 5000;
    }
    report.model.file = long.clone();
    report.meaning = long.clone();
    report.warnings[0].message = long.clone();
    report.warnings = vec![report.warnings[0].clone(); 500];
    report.diagnosis[0].found = long.clone();
    report.diagnosis[0].way_out = Some(long.clone());
    report.diagnosis[0].nodes = vec![long.clone(); 2];
    report.diagnosis = vec![report.diagnosis[0].clone(); 100];
    report.landscapes = Some(landscapes(500));
    report.attacks[0].name = long.clone();
    report.attacks[0].trace = trace().into_iter().cycle().take(5000).collect();
    report.attacks = vec![report.attacks[0].clone(); 500];
    let shape = ImageShape { channels: 3, height: 128, width: 128 };
    report.model.manifest.image = shape;
    let noise = |seed: usize| {
        (0..shape.pixels())
            .map(move |index| ((index + seed).wrapping_mul(2_654_435_761) % 1009) as f32 / 1008.0)
    };
    let pair = |image| PicturePair {
        image,
        original: noise(image).collect(),
        adversarial: noise(2 * image).collect(),
    };
    let pairs: Vec<PicturePair> = shown_images(&report).into_iter().map(pair).collect();
    let text = page(&PageContent { pairs: &pairs, folder: &long, ..content(&report) }).unwrap();
    assert!(text.contains("<img ") && text.len() < 3_000_000, "{}", text.len());
}

#[test]
fn the_same_values_give_the_same_page() {
    let report = report("mraasrrf");
    assert_eq!(page(&content(&report)).unwrap(), page(&content(&report)).unwrap());
}

#[test]
fn what_is_unfinished_makes_the_accuracy_an_upper_bound() {
    let [complete, partial] = ["rrmaas", "rruuas"].map(report);
    assert!(page(&content(&complete)).unwrap().contains("<dt>Attacked accuracy</dt>"));
    let text = page(&content(&partial)).unwrap();
    assert!(
        text.contains("<dt>Attacked accuracy, at most</dt>") && text.contains("This report is partial"),
        "{text}"
    );
}
