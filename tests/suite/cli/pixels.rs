//! What a pixel is: levels of 8 bits, their order of colours, their scale.

use std::fs::File;

use mimir_bundle::{ChannelOrder, PixelType, Pixels};
use mimir_runtime::evaluate::Verdict;
use ndarray::Array4;
use ndarray_npy::NpzReader;
use predicates::str::{contains, starts_with};

use super::{Demo, certify, models};

fn counterexamples(demo: &Demo) -> Array4<f32> {
    let file = File::open(demo.path("out/adversarial.npz")).unwrap();
    NpzReader::new(file).unwrap().by_name("images").unwrap()
}

fn assert_levels(images: &Array4<f32>) {
    for value in images {
        assert_eq!((255.0 * value).round() / 255.0, *value, "{value} is no level");
    }
}

fn confirms(demo: &Demo) {
    let replay = certify().arg("replay").arg(demo.path("out")).arg(demo.path("model.onnx")).assert();
    replay.success().stdout(starts_with("PASS"));
}

#[test]
fn eight_bit_counterexamples_survive_rounding_in_every_norm() {
    for (norm, epsilon) in [("linf", "8/255"), ("l2", "1"), ("l1", "20")] {
        let demo = Demo::new();
        let flags =
            ["--pixels", "8bit", "--norm", norm, "--epsilon", epsilon, "--save-adversarial", "--first", "12"];
        demo.run(&flags).success();
        let (report, certificate) = (demo.report(), demo.certificate());
        assert!(report.counts.broken > 0, "{norm}: {:?}", report.counts);
        assert_eq!(certificate.threat_model.pixels, Pixels::EightBit);
        for outcome in &report.outcomes {
            if let Verdict::Broken { distance, .. } = outcome.verdict {
                assert!(distance <= report.threat_model.epsilon, "{norm}: {distance}");
            }
        }
        assert_levels(&counterexamples(&demo));
        confirms(&demo);
    }
}

/// An attack that sees classes only probes by less than a level: it must find among levels what it finds between them.
#[test]
fn an_attack_by_labels_alone_finds_levels_too() {
    let broken = |pixels: &[&str]| {
        let demo = Demo::new();
        let flags = ["--attacks", "hopskipjump", "--subset", "1", "--queries", "1000", "--save-adversarial"];
        demo.run(&[&flags[..], pixels].concat()).success();
        if !pixels.is_empty() {
            assert_levels(&counterexamples(&demo));
            confirms(&demo);
        }
        demo.report().counts.broken
    };
    let (between, among) = (broken(&[]), broken(&["--pixels", "8bit"]));
    assert!(among >= 4 && 2 * among > between, "{among} among levels, {between} between them");
}

#[test]
fn no_distance_exceeds_epsilon() {
    for (norm, epsilon) in [("linf", "8/255"), ("linf", "0.03"), ("l2", "0.7"), ("l1", "15")] {
        let demo = Demo::new();
        demo.run(&[
            "--norm",
            norm,
            "--epsilon",
            epsilon,
            "--attacks",
            "fab-t,apgd-ce,square",
            "--queries",
            "50",
            "--first",
            "12",
            "--save-adversarial",
        ])
        .success();
        let report = demo.report();
        assert!(report.counts.broken > 0, "{norm} {:?}", report.counts);
        for outcome in &report.outcomes {
            if let Verdict::Broken { distance, .. } = outcome.verdict {
                assert!(distance <= report.threat_model.epsilon, "{norm}: {distance} > {epsilon}");
            }
        }
        confirms(&demo);
    }
}

/// The same network, once with its preprocessing inside behind a uint8 input.
#[test]
fn a_model_that_takes_uint8_is_attacked_in_levels() {
    let (inside, outside) = (Demo::new(), Demo::new());
    models::with_uint8_input(&inside.path("model.onnx"));
    let images = format!("npz:{}", super::root().join("examples/demo/images.npz").display());
    let report = inside.path("out").display().to_string();
    let model = inside.path("model.onnx").display().to_string();
    let flags =
        ["--data", &images, "--first", "24", "--epsilon", "8/255", "--attacks", "apgd-ce", "--steps", "10"];
    let mut command = certify();
    command.arg(&model).args(flags).args(["--report", &report, "--save-adversarial"]).assert().success();
    outside.run(&["--pixels", "8bit"]).success();
    assert_eq!(inside.certificate().model.pixel_type, PixelType::Uint8);
    assert_eq!(inside.certificate().threat_model, outside.certificate().threat_model);
    assert_eq!(inside.report().counts, outside.report().counts);
    assert_levels(&counterexamples(&inside));
    confirms(&inside);
    let normalised = certify().arg(&model).args(flags).args(["--mean", "0.5", "--std", "0.25"]).assert();
    normalised.code(3).stderr(contains("leave out --mean and --std"));
}

#[test]
fn a_model_of_blue_green_red_is_that_of_red_green_blue() {
    let (bgr, rgb) = (Demo::new(), Demo::new());
    models::with_reversed_channels(&bgr.path("model.onnx"));
    bgr.run(&["--channels", "bgr", "--save-adversarial"]).success();
    rgb.run(&[]).success();
    assert_eq!(bgr.certificate().model.channel_order, ChannelOrder::Bgr);
    assert_eq!(bgr.report().counts, rgb.report().counts);
    confirms(&bgr);
}

#[test]
fn means_of_levels_are_understood_and_mixed_ones_refused() {
    let demo = Demo::new();
    demo.run(&["--mean", "127.5", "--std", "63.75"]).success();
    let normalisation = demo.certificate().model.normalisation.unwrap();
    assert_eq!((normalisation.scale, normalisation.mean), (255.0, vec![127.5]));
    let fractions = Demo::new();
    fractions.run(&["--mean", "127.5/255", "--std", "63.75/255"]).success();
    assert_eq!(fractions.report().counts, demo.report().counts);
    let mixed = Demo::new().run(&["--mean", "127.5", "--std", "0.25"]);
    mixed.code(2).stderr(contains("--std has 0.25, which is for [0, 1]"));
}

#[test]
fn images_between_levels_are_refused_where_only_levels_count() {
    let demo = Demo::new();
    let original = File::open(super::root().join("examples/demo/images.npz")).unwrap();
    let levels: Array4<u8> = NpzReader::new(original).unwrap().by_name("images").unwrap();
    let mut images = levels.mapv(|level| f32::from(level) / 255.0);
    images[[1, 0, 0, 0]] = 0.3;
    let path = demo.path("between.npz");
    let mut archive = ndarray_npy::NpzWriter::new(File::create(&path).unwrap());
    archive.add_array("images", &images).unwrap();
    archive.add_array("labels", &ndarray::Array1::<i64>::zeros(images.dim().0)).unwrap();
    archive.finish().unwrap();
    let data = format!("npz:{}", path.display());
    demo.run(&["--data", &data, "--pixels", "8bit"])
        .code(4)
        .stderr(contains("image 1: pixel value 0.3 at 0"));
}
