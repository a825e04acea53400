//! The diagnosis of a run: rule by rule, with and without extra passes, and what goes wrong before the attack.

use std::sync::atomic::{AtomicBool, Ordering};

use mimir_bundle::{AttackSpec, Norm, Normalisation, ThreatModel};
use mimir_certify::{
    CertifyOptions, ExistingJournal, MakeExtraPasses, ReportOptions, StoreCounterexamples, certify as run,
};
use mimir_runtime::evaluate::{Ending, Observer, Progress, Stage};
use mimir_runtime::report::{Report, Rule, RuleAnswer, RuleVerdict};
use ndarray::{Array1, Array4};
use ndarray_npy::NpzWriter;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;

use super::{Demo, certify, models, root};

fn answer(report: &Report, rule: Rule) -> &RuleAnswer {
    report.diagnosis.iter().find(|answer| answer.rule == rule).unwrap()
}

#[test]
fn extra_passes_examine_every_rule_and_change_no_verdict() {
    let plain = Demo::new();
    plain.run(&["--attacks", "standard", "--steps", "20", "--queries", "100"]).success();
    let plain = plain.report();
    let examined = Demo::new();
    let flags =
        ["--attacks", "standard", "--steps", "20", "--queries", "100", "--diagnose", "--landscape", "2"];
    examined.run(&flags).success().stdout(contains("diagnosis          0 rules fail"));
    let report = examined.report();
    assert_eq!((&report.outcomes, report.counts), (&plain.outcomes, plain.counts));
    let not_examined = |report: &Report| -> Vec<Rule> {
        let answers = report.diagnosis.iter().filter(|answer| answer.verdict == RuleVerdict::NotExamined);
        answers.map(|answer| answer.rule).collect()
    };
    assert_eq!(not_examined(&report), [Rule::EnginesAgree, Rule::TransferNotBetter]);
    assert!(not_examined(&plain).contains(&Rule::UnconstrainedAttack));
    assert!(answer(&report, Rule::UnconstrainedAttack).found.contains("leaves 0 of"));
    let landscapes = report.landscapes.as_ref().unwrap();
    assert_eq!(landscapes.images.len(), 2);
    let weights = landscapes.weights.as_ref().unwrap();
    assert!(weights.tensors > 2 && weights.images == 24, "{} {}", weights.tensors, weights.images);
    // In the middle stands the model itself.
    assert!((weights.accuracies[5][5] - report.clean_accuracy).abs() < 1e-9);
    let page = std::fs::read_to_string(examined.path("out/report.html")).unwrap();
    for expected in ["Rule by rule", "How far searches came", "Loss landscapes", "unconstrained attack"] {
        assert!(page.contains(expected), "{expected}");
    }
    // The same for other batches and workers.
    let other = Demo::new();
    other.run(&[&flags[..], &["--batch", "7", "--workers", "2"]].concat()).success();
    let other = other.report();
    assert_eq!(other.diagnosis, report.diagnosis);
    assert_eq!(other.landscapes, report.landscapes);
    for (one, another) in report.attacks.iter().zip(&other.attacks) {
        assert_eq!(one.trace, another.trace, "{}", one.name);
        assert!(
            one.trace.len() > 3
                && one.trace.is_sorted_by(|left, right| left.mean_margin >= right.mean_margin)
        );
    }
}

#[test]
fn a_normalisation_that_was_forgotten_is_named_and_nothing_is_changed() {
    let demo = Demo::new();
    let images = format!("npz:{}", root().join("examples/demo/images.npz").display());
    let out = demo.path("out").display().to_string();
    let model = demo.path("model.onnx").display().to_string();
    let flags = ["--config", "/dev/null", "--data", &images, "--epsilon", "8/255", "--attacks", "fgsm"];
    let run = certify().arg(&model).args(flags).args(["--report", &out]).assert().success();
    run.stdout(contains("warn input_scaling").and(contains("--mean 0.485,0.456,0.406")));
    let report = demo.report();
    assert_eq!(report.model.manifest.normalisation, None);
    let found = answer(&report, Rule::InputScaling);
    assert!(found.way_out.as_ref().unwrap().contains("--mean 0.485,0.456,0.406 --std 0.229"), "{found:?}");
}

/// Sixty images are right with the other order of colours, two more with a customary normalisation besides, four never: so few do not
/// tell the one from the other, and the order alone changes least.
#[test]
fn of_what_is_as_good_the_least_change_is_proposed() {
    let demo = Demo::new();
    models::telling_colours(&demo.path("model.onnx"), 4);
    // Red, green and blue of each image, and its label in a model that takes blue first.
    let image = |image: usize| match image {
        0..60 => (std::array::from_fn(|channel| if channel == image % 3 { 200 } else { 60 }), 2 - image % 3),
        60..62 => ([51, 126, 128], 1),
        _ => ([200, 60, 60], 1),
    };
    let images = Array4::from_shape_fn((66, 3, 4, 4), |(index, channel, ..)| image(index).0[channel]);
    let labels: Array1<i64> = (0..66).map(|index| image(index).1 as i64).collect();
    let mut archive = NpzWriter::new(std::fs::File::create(demo.path("images.npz")).unwrap());
    archive.add_array("images", &images.mapv(|level: u8| level)).unwrap();
    archive.add_array("labels", &labels).unwrap();
    archive.finish().unwrap();
    let (images, model) = (format!("npz:{}", demo.path("images.npz").display()), demo.path("model.onnx"));
    let run = |command: &[&str], flags: &[&str]| {
        let mut certify = certify();
        certify.args(command).arg(&model).args(["--config", "/dev/null", "--data", &images]).args(flags);
        certify.assert().success()
    };
    let out = demo.path("out").display().to_string();
    run(&[], &["--attacks", "fgsm", "--epsilon", "1/255", "--report", &out])
        .stdout(contains("warn input_scaling"));
    let report = demo.report();
    let found = answer(&report, Rule::InputScaling);
    assert_eq!(found.way_out.as_deref(), Some("if the model was trained so, run with --channels bgr"));
    assert!(found.found.contains("on 60 of 66 images with colours from blue to red"), "{}", found.found);
    assert!(found.found.contains("; so few images do not tell it from "), "{}", found.found);
    assert!(found.found.contains("ImageNet with colours from blue to red"), "{}", found.found);
    let checked = contains("(--channels bgr) the model is right on 60 of 66")
        .and(contains("or, so few images do not tell: ImageNet with colours from blue to red (--mean"))
        .and(contains("--channels bgr), 62 of 66"));
    run(&["check"], &[]).stdout(checked);
}

/// The last bits of a loss may follow the places of images in a batch: the landscape has batches of its own.
#[test]
fn the_landscape_of_the_weights_does_not_follow_the_batch() {
    let demo = Demo::new();
    models::with_mean_of_odd_length(&demo.path("model.onnx"));
    let weights = |batch: &str| {
        demo.run(&["--attacks", "fgsm", "--landscape", "1", "--batch", batch, "--workers", "1"]).success();
        demo.report().landscapes.unwrap().weights.unwrap()
    };
    assert_eq!(weights("7"), weights("16"));
}

#[test]
fn a_radius_of_levels_is_named() {
    let demo = Demo::new();
    demo.run(&["--epsilon", "0.03/255", "--attacks", "fgsm"]).success().stdout(contains("warn epsilon_unit"));
    assert!(answer(&demo.report(), Rule::EpsilonUnit).way_out.as_ref().unwrap().contains("--epsilon 0.03"));
}

/// Ends the run when the attacks are done.
struct EndsAfterAttacks(AtomicBool);

impl Observer for EndsAfterAttacks {
    fn progress(&self, progress: &Progress) {
        if progress.stage == Stage::Float64Margins {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// What was asked for and cut off may be what weakens the verdicts: the run is not complete, and goes on with `--resume`.
#[test]
fn a_run_that_ends_within_its_extra_passes_is_interrupted() {
    for (extra_passes, ending) in
        [(MakeExtraPasses::Yes, Ending::Interrupted), (MakeExtraPasses::No, Ending::Complete)]
    {
        let demo = Demo::new();
        let images = format!("npz:{}", root().join("examples/demo/images.npz").display()).parse().unwrap();
        let threat_model = ThreatModel::new(Norm::Linf, 4.0 / 255.0).unwrap();
        let mut options = CertifyOptions::new(demo.path("model.onnx"), images, threat_model);
        options.normalisation = Some(Normalisation { scale: 1.0, mean: vec![0.5], std: vec![0.25] });
        options.attacks = vec![AttackSpec::named("fgsm").unwrap()];
        options.extra_passes = extra_passes;
        options.report = Some(ReportOptions {
            folder: demo.path("out"),
            counterexamples: StoreCounterexamples::No,
            existing_journal: ExistingJournal::Refuse,
        });
        let observer = EndsAfterAttacks(AtomicBool::new(false));
        let report = run(&options, &observer, &observer.0).unwrap().report;
        assert_eq!((report.ending, report.counts.unfinished), (ending, 0));
        let is_complete = ending == Ending::Complete;
        assert_eq!(demo.path("out/certificate.json").exists(), is_complete);
        assert_eq!(demo.path("out/journal.bin").exists(), !is_complete);
    }
}
