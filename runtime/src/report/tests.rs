use mimir_bundle::certificate::{
    APPROXIMATE_SEARCH, AcceptedDifference, ComparedQuantity, Counterexamples, CrossCheck,
    CrossCheckedAttack, Disagreement, EvaluationData, Execution, Processor, RunSettings, SettingsFile,
    SettingsPlace, Tool,
};
use mimir_bundle::digest::{FileDigest, digest_model};
use mimir_bundle::{
    BatchMode, ChannelOrder, ImageShape, Layout, Manifest, Norm, OutputKind, PixelType, Pixels, Scan,
    ScannedNode, ThreatModel,
};

use super::*;
use crate::evaluate::{
    AttackResult, AttackSigns, AttackSpec, Ending, Evaluation, ImageOutcome, PassCounts, Verdict,
};

pub(super) fn description() -> RunDescription {
    RunDescription {
        model_file: "model.onnx".into(),
        manifest: manifest(),
        scan: Scan::default(),
        data: EvaluationData {
            source: "npz:images.npz".into(),
            split: None,
            first: None,
            sample: None,
            preprocessing: None,
            class_map: None,
            jpeg_decoder: None,
            class_names: None,
            image_files: None,
            images_digest: "b".repeat(64),
            labels_digest: "c".repeat(64),
        },
        threat_model: ThreatModel { norm: Norm::Linf, epsilon: 2.0 / 255.0, pixels: Pixels::Continuous },
        seed: 7,
        settings: RunSettings::default(),
        execution: execution(),
        majority_test: None,
        cross_check: None,
        accepted_differences: Vec::new(),
        curve: false,
        gate: Requirements { min_attacked_accuracy: MinAccuracy::new(0.4), ..Requirements::default() },
        min_preset: None,
        baseline: None,
        warnings: vec![Warning::Rebatched],
        seconds: 1.5,
        created_at: "2026-11-23T21:30:00Z".into(),
        tool: Tool { name: "mimir-certify".into(), version: "0.1.0".into(), commit: None },
        counterexamples: Some(Counterexamples { file: "adversarial.npz".into(), digest: "d".repeat(64) }),
        skipped_attacks: vec![],
        scaling: None,
        first_order: Err("no attack follows gradients of a loss".to_owned()),
        experiments: None,
        without_experiments: None,
        landscapes: None,
    }
}

fn manifest() -> Manifest {
    let files = vec![FileDigest::new("model.onnx", b"model")];
    Manifest {
        model_digest: digest_model(&files),
        files,
        opset: 17,
        ir_version: 8,
        producer: "pytorch 2.13.0".into(),
        image: ImageShape { channels: 1, height: 2, width: 2 },
        layout: Layout::Nchw,
        pixel_type: PixelType::Float,
        channel_order: ChannelOrder::Rgb,
        normalisation: None,
        classes: 10,
        batch: BatchMode::Rebatched,
        output_name: "logits".to_owned(),
        output: OutputKind::Logits,
    }
}

fn execution() -> Execution {
    Execution {
        engine: "onnxruntime".into(),
        engine_version: "1.32.0".into(),
        library: None,
        device: "cpu".into(),
        optimisation: "all".into(),
        precision: "float32".into(),
        batch: 32,
        workers: 2,
        threads: 1,
        architecture: "x86_64".into(),
        operating_system: "linux".into(),
        processor: Processor { name: "a processor".into(), features: vec!["avx2".into()] },
    }
}

/// Four images: one misclassified, one broken, two still robust.
pub(super) fn evaluation() -> Evaluation {
    let broken = Verdict::Broken {
        attack: "apgd-ce".into(),
        target: None,
        restart: 0,
        step: 17,
        prediction: 2,
        distance: 0.007_843,
        margin: -0.25,
        margin_float64: Some(-0.25),
        fragile: false,
    };
    let verdicts = [Verdict::Misclassified, broken, Verdict::StillRobust, Verdict::StillRobust];
    let outcome = |(image, verdict)| ImageOutcome {
        image,
        label: image % 3,
        clean_prediction: Some(if verdict == Verdict::Misclassified { 9 } else { image % 3 }),
        clean_margin: Some(if verdict == Verdict::Misclassified { -0.5 } else { 0.5 }),
        clean_margin_float64: Some(if verdict == Verdict::Misclassified { -0.5 } else { 0.5 }),
        closest: matches!(verdict, Verdict::Broken { .. }).then_some(0.007_843),
        passes: match verdict {
            Verdict::Misclassified => PassCounts::default(),
            Verdict::Broken { .. } => PassCounts { forwards: 19, backwards: 18 },
            _ => PassCounts { forwards: 101, backwards: 101 },
        },
        verdict,
    };
    Evaluation {
        outcomes: verdicts.into_iter().enumerate().map(outcome).collect(),
        attacks: vec![AttackResult {
            name: "apgd-ce".into(),
            spec: AttackSpec::named("apgd-ce").unwrap(),
            uses_margin: false,
            attacked: 3,
            broken: 1,
            non_finite: 0,
            still_robust: 2,
            unfinished: 0,
            zero_gradients: 0,
            non_finite_gradients: 0,
            signs: AttackSigns::default(),
            trace: Vec::new(),
            seconds: 1.25,
            model_seconds: 2.25,
            passes: PassCounts { forwards: 221, backwards: 220 },
        }],
        ending: Ending::Complete,
        clean: PassCounts { forwards: 4, backwards: 0 },
        undecided: 0,
        slots: vec![None, Some(0), None, None],
    }
}

fn report() -> Report {
    Findings::new(&description(), &evaluation()).report()
}

#[test]
fn certificate_agrees_with_the_report() {
    let certificate = Findings::new(&description(), &evaluation()).certificate().unwrap();
    certificate.check().unwrap();
    let report = report();
    let (gate, warning) = (&certificate.gate, &certificate.warnings[0]);
    assert_eq!((gate.conclusion.as_str(), gate.exit_code), ("holds", 0));
    assert_eq!(gate.sentence, report.to_string().lines().next().unwrap());
    assert_eq!((warning.kind.as_str(), &warning.message), ("rebatched", &report.warnings[0].message));
    assert_eq!((certificate.counts, certificate.data), (report.counts, report.data));
    assert_eq!((certificate.model, certificate.execution), (report.model.manifest, report.execution));
    insta::assert_json_snapshot!(certificate.attacks, @r#"
    [
      {
        "name": "apgd-ce",
        "parameters": {
          "attack": "apgd-ce",
          "steps": 100,
          "restarts": 1,
          "eot": 1,
          "radius_schedule": "fixed",
          "rho": 0.75,
          "momentum": 0.75,
          "initial_step": 2.0,
          "first_period": 0.22,
          "period_decrement": 0.03,
          "shortest_period": 0.06
        },
        "attacked": 3,
        "broken": 1,
        "non_finite": 0,
        "still_robust": 2,
        "unfinished": 0,
        "forwards": 221,
        "backwards": 220
      }
    ]
    "#);
}

#[test]
fn clean_accuracy_gives_cause_for_warnings() {
    let with = |clean_correct: usize| {
        let mut evaluation = evaluation();
        for outcome in &mut evaluation.outcomes[clean_correct..] {
            (outcome.verdict, outcome.clean_prediction) = (Verdict::Misclassified, Some(9));
        }
        let report = Findings::new(&description(), &evaluation).report();
        report.warnings.into_iter().map(|notice| notice.warning).collect::<Vec<_>>()
    };
    assert_eq!(with(4), [Warning::Rebatched]);
    assert_eq!(with(2), [Warning::Rebatched, Warning::NearChance { clean_accuracy: 0.25, classes: 10 }]);
    assert_eq!(with(0), [Warning::Rebatched, Warning::NothingToAttack]);

    // One image, classified correctly: 100 % is not near chance.
    let mut evaluation = evaluation();
    evaluation.outcomes.truncate(1);
    let only = &mut evaluation.outcomes[0];
    (only.clean_prediction, only.verdict) = (Some(only.label), Verdict::StillRobust);
    evaluation.attacks.clear();
    let report = Findings::new(&description(), &evaluation).report();
    let found = report.warnings.into_iter().map(|notice| notice.warning);
    assert!(found.into_iter().any(|warning| warning == Warning::FewImages { images: 1, classes: 10 }));
}

#[test]
fn round_trips_through_json() {
    let text = serde_json::to_string_pretty(&report()).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report());
    let with_more = text.replacen('{', "{\"certified\": true,", 1);
    assert!(serde_json::from_str::<Report>(&with_more).is_err());
}

#[test]
#[expect(clippy::too_many_lines, reason = "one line for each field of the document")]
fn json_form() {
    insta::assert_json_snapshot!(report(), {
        ".meaning" => "[meaning]",
        ".warnings[].message" => "[message]",
        ".diagnosis" => "[diagnosis]",
        ".attacked_accuracy_interval.*" => insta::rounded_redaction(6),
        ".gate.lower_limit" => insta::rounded_redaction(6),
    }, @r#"
    {
      "schema_version": 6,
      "clean_accuracy": 0.75,
      "attacked_accuracy": 0.5,
      "standard_accuracy": null,
      "attacked_accuracy_interval": {
        "lower": 0.067586,
        "upper": 0.932414,
        "confidence": 0.95,
        "method": "Clopper-Pearson"
      },
      "images": 4,
      "counts": {
        "images": 4,
        "clean_correct": 3,
        "broken": 1,
        "fragile": 0,
        "still_robust": 2,
        "non_finite": 0,
        "unfinished": 0
      },
      "ending": "complete",
      "gate": {
        "conclusion": "holds",
        "min_attacked_accuracy": 0.4,
        "attacked_accuracy": 0.5,
        "certain_accuracy": 0.5,
        "compared": "point_estimate",
        "lower_limit": 0.067586,
        "confidence": 0.95,
        "min_clean_accuracy": null,
        "clean_accuracy": 0.75,
        "deny_warnings": false,
        "weakened_by": [],
        "min_preset": null,
        "baseline": null,
        "interrupted": false,
        "exit_code": 0
      },
      "preset": null,
      "attacks": [
        {
          "name": "apgd-ce",
          "parameters": {
            "attack": "apgd-ce",
            "steps": 100,
            "restarts": 1,
            "eot": 1,
            "radius_schedule": "fixed",
            "rho": 0.75,
            "momentum": 0.75,
            "initial_step": 2.0,
            "first_period": 0.22,
            "period_decrement": 0.03,
            "shortest_period": 0.06
          },
          "uses_margin": false,
          "robust_accuracy": 0.5,
          "attacked": 3,
          "broken": 1,
          "non_finite": 0,
          "still_robust": 2,
          "unfinished": 0,
          "zero_gradients": 0,
          "non_finite_gradients": 0,
          "forwards": 221,
          "backwards": 220,
          "forwards_per_image": 73.66666666666667,
          "backwards_per_image": 73.33333333333333,
          "seconds": 1.25,
          "model_seconds": 2.25
        }
      ],
      "skipped_attacks": [],
      "curve": null,
      "meaning": "[meaning]",
      "warnings": [
        {
          "severity": "information",
          "warning": {
            "kind": "rebatched"
          },
          "message": "[message]"
        }
      ],
      "diagnosis": "[diagnosis]",
      "threat_model": {
        "norm": "linf",
        "epsilon": 0.00784313725490196,
        "pixels": "continuous"
      },
      "model": {
        "file": "model.onnx",
        "manifest": {
          "model_digest": "84f77c7f136426888e5bcda228e0a2537c43e45d4523616aefef995ce99c8693",
          "files": [
            {
              "name": "model.onnx",
              "bytes": 5,
              "sha256": "9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4"
            }
          ],
          "opset": 17,
          "ir_version": 8,
          "producer": "pytorch 2.13.0",
          "image": {
            "channels": 1,
            "height": 2,
            "width": 2
          },
          "layout": "nchw",
          "pixel_type": "float",
          "channel_order": "rgb",
          "normalisation": null,
          "classes": 10,
          "batch": "rebatched",
          "output_name": "logits",
          "output": "logits"
        },
        "scan": {
          "gradient_cuts": [],
          "straight_through": [],
          "random": [],
          "mixes_images": [],
          "softmax_outputs": [],
          "float32_copy_of": []
        }
      },
      "data": {
        "source": "npz:images.npz",
        "split": null,
        "first": null,
        "sample": null,
        "preprocessing": null,
        "class_map": null,
        "jpeg_decoder": null,
        "class_names": null,
        "image_files": null,
        "images_digest": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
        "labels_digest": "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
      },
      "seed": 7,
      "settings_files": [],
      "execution": {
        "engine": "onnxruntime",
        "engine_version": "1.32.0",
        "library": null,
        "device": "cpu",
        "optimisation": "all",
        "precision": "float32",
        "batch": 32,
        "workers": 2,
        "threads": 1,
        "architecture": "x86_64",
        "operating_system": "linux",
        "processor": {
          "name": "a processor",
          "features": [
            "avx2"
          ]
        }
      },
      "majority_test": null,
      "cross_check": null,
      "seconds": 1.5,
      "created_at": "2026-11-23T21:30:00Z",
      "tool": {
        "name": "mimir-certify",
        "version": "0.1.0",
        "commit": null
      },
      "outcomes": [
        {
          "image": 0,
          "label": 0,
          "clean_prediction": 9,
          "clean_margin": -0.5,
          "clean_margin_float64": -0.5,
          "verdict": {
            "outcome": "misclassified"
          },
          "closest": null,
          "passes": {
            "forwards": 0,
            "backwards": 0
          }
        },
        {
          "image": 1,
          "label": 1,
          "clean_prediction": 1,
          "clean_margin": 0.5,
          "clean_margin_float64": 0.5,
          "verdict": {
            "outcome": "broken",
            "attack": "apgd-ce",
            "target": null,
            "restart": 0,
            "step": 17,
            "prediction": 2,
            "distance": 0.007843,
            "margin": -0.25,
            "margin_float64": -0.25,
            "fragile": false
          },
          "closest": 0.007843,
          "passes": {
            "forwards": 19,
            "backwards": 18
          }
        },
        {
          "image": 2,
          "label": 2,
          "clean_prediction": 2,
          "clean_margin": 0.5,
          "clean_margin_float64": 0.5,
          "verdict": {
            "outcome": "still_robust"
          },
          "closest": null,
          "passes": {
            "forwards": 101,
            "backwards": 101
          }
        },
        {
          "image": 3,
          "label": 0,
          "clean_prediction": 0,
          "clean_margin": 0.5,
          "clean_margin_float64": 0.5,
          "verdict": {
            "outcome": "still_robust"
          },
          "closest": null,
          "passes": {
            "forwards": 101,
            "backwards": 101
          }
        }
      ]
    }
    "#);
}

#[test]
fn text_form() {
    insta::assert_snapshot!(report(), @r#"
    PASS  attacked accuracy 50.00 % is not below the required 40.00 %

    model              model.onnx (sha256 9372c470eead…)
    images             4 of npz:images.npz
    threat model       Linf, epsilon 2/255 = 0.00784 in pixels of [0, 1]
    engine             onnxruntime 1.32.0 on cpu
    clean accuracy     75.00 %  3 of 4
      after apgd-ce    50.00 %  broke 1 of 3 in 1.2 s (221 forwards, 220 backwards)
    attacked accuracy  50.00 %  2 of 4
                                95 % interval 6.75 % to 93.24 % (Clopper–Pearson)

    The attacked accuracy is an upper bound of the robust accuracy on these images: each broken image
    has a confirmed counterexample, but an image that these attacks left alone may fall to another. It
    is never a proof of robustness. The interval speaks about the population that the images are a
    random sample of.

    warning: the file has a fixed batch: its batch dimension was changed for speed, and the logits were
             checked to stay the same

    diagnosis          0 rules fail, 2 warn, 17 pass, 12 not examined
      warn standard_attacks: less than the standard evaluation ran (apgd-ce): apgd-t is missing;
      --attacks standard for a number that is comparable with published ones
      warn several_losses: 1 untargeted and 0 targeted attacks with gradients: apgd-ce; several losses,
      with and without targets: --attacks standard
    "#);
}

/// Each kind of trouble in the course of the attacks has its warning.
/// However long the names of attacks are.
#[test]
fn accuracies_stand_below_each_other() {
    for name in AttackSpec::NAMES {
        let mut report = report();
        report.attacks[0].name = (*name).to_owned();
        let text = report.to_string();
        let column = |start: &str| {
            let line = text.lines().find(|line| line.trim_start().starts_with(start)).unwrap();
            line.find(|letter: char| letter.is_ascii_digit()).unwrap()
        };
        assert_eq!(column(&format!("after {name} ")), column("clean accuracy"), "{text}");
    }
}

#[test]
fn the_course_of_the_attacks_gives_cause_for_warnings() {
    let with = |change: fn(&mut Evaluation)| {
        let mut evaluation = evaluation();
        change(&mut evaluation);
        let report = Findings::new(&description(), &evaluation).report();
        report.warnings.into_iter().map(|notice| notice.warning).collect::<Vec<_>>()
    };
    let square = |broken: usize| AttackResult {
        name: "square".into(),
        spec: AttackSpec::named("square").unwrap(),
        broken,
        passes: PassCounts { forwards: 5001, backwards: 0 },
        ..evaluation().attacks[0].clone()
    };
    assert_eq!(with(|_| {}), [Warning::Rebatched]);
    let zero = Warning::ZeroGradients { attack: "apgd-ce".into(), images: 2, attacked: 3 };
    assert_eq!(with(|evaluation| evaluation.attacks[0].zero_gradients = 2), [Warning::Rebatched, zero]);
    let mended = Warning::NonFiniteGradients { attack: "apgd-ce".into(), images: 1, attacked: 3 };
    let spoil = |evaluation: &mut Evaluation| evaluation.attacks[0].non_finite_gradients = 1;
    assert_eq!(with(spoil), [Warning::Rebatched, mended]);
    let margin = Warning::MarginForRatio { attack: "apgd-ce".into(), classes: 10 };
    assert_eq!(with(|evaluation| evaluation.attacks[0].uses_margin = true), [Warning::Rebatched, margin]);
    let spoilt = Warning::NonFinite { count: 1, images: vec![2] };
    let spoil = |evaluation: &mut Evaluation| {
        evaluation.outcomes[2].verdict = Verdict::NonFinite { attack: None };
    };
    assert_eq!(with(spoil), [Warning::Rebatched, spoilt]);

    let mut evaluation = evaluation();
    for (broken, suspicious) in [(0, false), (1, true)] {
        evaluation.attacks.truncate(1);
        evaluation.attacks.push(square(broken));
        let report = Findings::new(&description(), &evaluation).report();
        let found = report
            .warnings
            .iter()
            .any(|notice| notice.warning == Warning::SquareBeatsGradients { images: broken });
        assert_eq!(found, suspicious, "{broken}");
    }
}

/// Distance 0.007843 at a radius of 2/255: the image falls in the last of sixteen steps.
#[test]
fn the_curve_falls_from_clean_to_attacked_accuracy() {
    let curve = |evaluation: &Evaluation| {
        Findings::new(&RunDescription { curve: true, ..description() }, evaluation).report().curve.unwrap()
    };
    let points = curve(&evaluation());
    assert_eq!(points.len(), 17);
    assert_eq!((points[0].epsilon, points[0].attacked_accuracy), (0.0, 0.75));
    assert_eq!(points[15].attacked_accuracy, 0.75);
    assert_eq!((points[16].epsilon, points[16].attacked_accuracy), (2.0 / 255.0, 0.5));
    // Where the distance of every image is known the curve goes on.
    let mut known = evaluation();
    known.outcomes[2].closest = Some(0.009);
    known.outcomes[3].closest = Some(0.1);
    let points = curve(&known);
    assert_eq!(points.len(), 33);
    let at = |step: usize| points[step].attacked_accuracy;
    assert_eq!((at(16), at(18), at(19), at(32)), (0.5, 0.5, 0.25, 0.25));
}

#[test]
fn an_interrupted_evaluation_has_a_report_that_says_so_and_no_certificate() {
    let mut evaluation = evaluation();
    evaluation.ending = Ending::Interrupted;
    evaluation.outcomes[3].verdict = Verdict::Unfinished;
    evaluation.attacks[0].unfinished = 1;
    let (description, report) = (description(), Findings::new(&description(), &evaluation).report());
    assert!(Findings::new(&description, &evaluation).certificate().is_none());
    assert_eq!((report.counts.unfinished, report.attacked_accuracy), (1, 0.5));
    assert_eq!((report.gate.conclusion, report.gate.exit_code), (Conclusion::Open, 75));
    let text = report.to_string();
    assert!(text.contains("PARTIAL"), "{text}");
    // One of four is robust for certain: that decides a gate of a fifth.
    evaluation.ending = Ending::GateDecided;
    let mut decided = description;
    decided.gate.min_attacked_accuracy = MinAccuracy::new(0.2);
    let certificate = Findings::new(&decided, &evaluation).certificate().unwrap();
    certificate.check().unwrap();
    assert_eq!(certificate.counts.unfinished, 1);
}

/// What another engine says is in the report, its text and the certificate, and changes no verdict.
fn accepted_difference() -> AcceptedDifference {
    AcceptedDifference {
        graph: "gradient of margin".into(),
        quantity: ComparedQuantity::Gradient,
        difference: 0.456,
        explained: 0.0123,
        differing: 5,
        compared: 6,
    }
}

/// What was accepted is in every view, and the warning weakens the verdict.
#[test]
fn an_accepted_difference_is_in_the_report_the_certificate_and_the_summary() {
    let description = RunDescription { accepted_differences: vec![accepted_difference()], ..description() };
    let evaluation = evaluation();
    let findings = Findings::new(&description, &evaluation);
    let (report, certificate) = (findings.report(), findings.certificate().unwrap());
    assert_eq!(report.accepted_differences, [accepted_difference()]);
    assert_eq!(certificate.accepted_differences, [accepted_difference()]);
    certificate.check().unwrap();
    let warnings: Vec<&str> = certificate.warnings.iter().map(|warning| warning.kind.as_str()).collect();
    assert!(warnings.contains(&APPROXIMATE_SEARCH), "{warnings:?}");
    assert!(report.gate.weakened_by.contains(&APPROXIMATE_SEARCH.to_owned()));
    let said = "the graph `gradient of margin` has another gradient in 5 of 6 comparisons, by up to 46 %, where rounding \
                explains 1.23 %";
    let summary: Vec<String> = report.to_string().split_whitespace().map(str::to_owned).collect();
    assert!(summary.join(" ").contains(said), "{report}");
}

#[test]
fn a_cross_check_is_reported_and_decides_nothing() {
    let with = |confirmed: usize, disagreements: Vec<Disagreement>| CrossCheck {
        engine: "rten".into(),
        engine_version: "0.27.0".into(),
        counterexamples: 1,
        confirmed,
        attacks: vec![CrossCheckedAttack { name: "apgd-ce".into(), counterexamples: 1, confirmed }],
        disagreements,
    };
    let other = Disagreement { image: 1, attack: "apgd-ce".into(), prediction: Some(1) };
    for (cross_check, warned) in [(with(1, Vec::new()), false), (with(0, vec![other]), true)] {
        let description = RunDescription { cross_check: Some(cross_check.clone()), ..description() };
        let evaluation = evaluation();
        let findings = Findings::new(&description, &evaluation);
        let seen = findings.report();
        assert_eq!((seen.counts, seen.gate.exit_code), (report().counts, report().gate.exit_code));
        assert_eq!(seen.warnings.len(), if warned { 2 } else { 1 });
        let line = format!("rten 0.27.0 confirms {} of 1 counterexamples", cross_check.confirmed);
        assert!(seen.to_string().contains(&line), "{seen}");
        let certificate = findings.certificate().unwrap();
        certificate.check().unwrap();
        assert_eq!(
            (seen.cross_check.as_ref(), certificate.cross_check),
            (Some(&cross_check), Some(cross_check.clone()))
        );
    }
}

/// Every kind of warning, as a reader sees it.
#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn warnings_name_the_way_out() {
    let warnings = [
        Warning::ProbabilityOutput,
        Warning::ApproximateSearch { differences: vec![accepted_difference()] },
        Warning::BatchOfOne,
        Warning::FixedBatch { rows: 4 },
        Warning::RebatchingChangesLogits,
        Warning::FastPreset,
        Warning::FeatureChosen { tensor: "/pool/output".into(), is_penultimate: true },
        Warning::NothingToAttack,
        Warning::SortedScores { images: 32 },
        Warning::NearChance { clean_accuracy: 0.102, classes: 10 },
        Warning::FewImages { images: 1, classes: 10 },
        Warning::ClassMix { images: 6, of_images: 72, classes: 1, of_classes: 12, probability: 1e-12 },
        Warning::FewerClasses { class_map: vec!["cat → 0".into(), "dog → 1".into()], classes: 10 },
        Warning::NumberedClasses { folders: 12 },
        Warning::AlphaDropped { files: 3 },
        Warning::FilesLeftOut { files: 3, first: "a/notes.txt".into() },
        Warning::Random {
            votes: 1000,
            error_rate: 0.001,
            nodes: vec!["node \"noise\" (RandomNormalLike)".into()],
        },
        Warning::UndecidedImages { images: 2 },
        Warning::MarginForRatio { attack: "apgd-t".into(), classes: 3 },
        Warning::ZeroGradients { attack: "apgd-ce".into(), images: 3, attacked: 5 },
        Warning::NonFiniteGradients { attack: "apgd-ce".into(), images: 3, attacked: 5 },
        Warning::NoGradient { skipped: vec!["apgd-ce".into()], ran: vec!["square".into()] },
        Warning::SquareBeatsGradients { images: 7 },
        Warning::NonFinite { count: 12, images: vec![3, 5] },
        Warning::NeedlessExpectation { attack: "apgd-ce".into(), eot: 20 },
        Warning::NoOnnxRuntime { reason: "ONNX Runtime was not found; run `make setup`".into() },
        Warning::EnginesDisagree { engine: "rten 0.27.0".into(), counterexamples: 9, images: vec![4] },
        Warning::SilentUnits {
            activation: "node \"relu\" (Relu)".into(),
            inactive: 0.96,
            silent: 0.98,
            images: 3,
            sampled: 64,
        },
        Warning::QuantisedLogitsDiffer {
            difference: 0.12,
            processor: Processor { name: "a processor".into(), features: vec!["avx2".into()] },
        },
    ];
    let ways_out = [
        "choose another one (--output)",
        "Export the model",
        "Check normalisation",
        "at most 1000 fresh evaluations of each point",
        "2 clean images about as often",
        "more than 3 classes",
        "apgd-dlr, apgd-t and square do not",
        "Keep square among the attacks; an operator that overflows",
        "that of square alone",
        "Raise --queries",
        "12 images (3, 5, …)",
        "Leave --eot away",
        "Run --attacks standard",
        "--engine rten",
        "1 of the 9 counterexamples (images 4)",
        "name it among the attacks",
        "reduce_range",
        "Every counterexample was confirmed by the file itself",
        "Take more images",
        "--sample 6 draws as many",
        "taken as cat → 0, dog → 1. Where the model has other indices for them, give these with --class-map",
        "numeric order (2 before 10)",
        "Save the images without alpha",
        "the first: a/notes.txt",
        "`mimir-certify features` lists them",
    ];
    for warning in warnings {
        let text = warning.to_string();
        assert!(ways_out.iter().any(|way| text.contains(way)), "{text}");
        let json = serde_json::to_value(&warning).unwrap();
        assert_eq!(serde_json::from_value::<Warning>(json).unwrap(), warning);
    }
}

/// What `--deny-warnings` counts is in the table of `docs/report.md`.
#[test]
fn the_warnings_that_weaken_the_verdict_are_marked_in_the_documentation() {
    let schema = serde_json::to_value(schemars::schema_for!(Warning)).unwrap();
    let kinds = schema["oneOf"].as_array().unwrap().iter();
    let kinds: Vec<&str> = kinds.map(|kind| kind["properties"]["kind"]["const"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"zero_gradients"), "{kinds:?}");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/report.md");
    let page = std::fs::read_to_string(path).unwrap();
    for kind in kinds {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{kind}`")));
        assert!(row.is_some(), "docs/report.md has no row for the warning {kind}");
    }
    for (warning, severity) in [
        (Warning::Rebatched, Severity::Information),
        (Warning::NothingToAttack, Severity::WeakensVerdict),
        (Warning::SquareBeatsGradients { images: 1 }, Severity::WeakensVerdict),
        (Warning::GradientCut { nodes: vec![] }, Severity::WeakensVerdict),
    ] {
        let is_marked = page.contains(&format!("| `{}` † |", warning.kind()));
        assert_eq!(
            (warning.severity(), is_marked),
            (severity, severity == Severity::WeakensVerdict),
            "{warning}"
        );
    }
}

/// Consumers validate against the committed schema. `MIMIR_BLESS=1 cargo test` rewrites the file.
#[test]
fn committed_schema_is_the_schema_of_the_type() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/report.schema.json");
    let schema = serde_json::to_string_pretty(&schemars::schema_for!(ReportFile)).unwrap() + "\n";
    if std::env::var_os("MIMIR_BLESS").is_some() {
        std::fs::write(path, &schema).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(path).unwrap(),
        schema,
        "docs/report.schema.json: run with MIMIR_BLESS=1"
    );
}

#[test]
fn what_the_scan_found_is_a_warning_and_is_listed() {
    let node = |name: &str, operator: &str| ScannedNode { name: name.into(), operator: operator.into() };
    let scan = Scan {
        gradient_cuts: vec![node("steps", "Round")],
        straight_through: (0..7).map(|index| node(&format!("q{index}"), "QuantizeLinear")).collect(),
        float32_copy_of: vec!["float16".into()],
        ..Scan::default()
    };
    let warnings = Warning::from_scan(&scan);
    let [approximation, cut, copies] = &warnings[..] else { panic!("{warnings:?}") };
    let text = approximation.to_string();
    assert!(text.starts_with("gradient approximation (BPDA) at node \"q0\" (QuantizeLinear), "), "{text}");
    assert!(
        text.contains("node \"q4\" (QuantizeLinear) and 2 more (model.scan in report.json has all)"),
        "{text}"
    );
    assert!(cut.to_string().starts_with("no gradient passes node \"steps\" (Round): "), "{cut}");
    assert!(copies.to_string().starts_with("the file computes in float16: "), "{copies}");
    assert_eq!(Warning::from_scan(&Scan::default()), []);

    let report =
        Findings::new(&RunDescription { scan: scan.clone(), warnings, ..description() }, &evaluation())
            .report();
    assert_eq!(report.model.scan, scan);
    assert!(report.to_string().contains("warning: gradient approximation (BPDA) at"), "{report}");
}

/// Whoever reads the summary sees which file decided what, and what it could not decide.
#[test]
fn settings_files_are_named() {
    let file = |path: &str, place, keys: &[&str], ignored: &[&str]| SettingsFile {
        path: path.into(),
        sha256: "0123456789abcdef".repeat(4),
        place,
        keys: keys.iter().map(ToString::to_string).collect(),
        ignored: ignored.iter().map(ToString::to_string).collect(),
    };
    let files = vec![
        file("mimir-certify.toml", SettingsPlace::WorkingFolder, &["epsilon", "norm"], &[]),
        file("hub/mimir-certify.toml", SettingsPlace::BesideModel, &[], &["attacks", "onnxruntime"]),
    ];
    let settings = RunSettings { files: files.clone(), ..RunSettings::default() };
    let description = RunDescription { settings, ..description() };
    let report = Findings::new(&description, &evaluation()).report();
    let text = report.to_string();
    assert!(
        text.contains("\nsettings           mimir-certify.toml (sha256 0123456789ab…): epsilon, norm\n"),
        "{text}"
    );
    assert!(
        text.contains("\n                   hub/mimir-certify.toml (sha256 0123456789ab…): nothing\n"),
        "{text}"
    );
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("its attacks, onnxruntime had no effect"), "{text}");
    assert!(text.contains("name it with --config hub/mimir-certify.toml"), "{text}");
    assert_eq!(report.settings_files, files);
    let certificate = Findings::new(&description, &evaluation()).certificate().unwrap();
    assert_eq!(certificate.settings.files, files);
}

/// Policies have the kinds of warnings only, and must not take one that weakens a verdict for information.
#[test]
fn policies_know_which_warnings_are_information() {
    let source = include_str!("warning.rs");
    let arms =
        source.split("pub fn severity").nth(1).unwrap().split("=> Severity::Information").next().unwrap();
    let names = arms.split("Self::").skip(1);
    let mut kinds: Vec<String> = names
        .map(|rest| {
            let name = rest.chars().take_while(char::is_ascii_alphanumeric);
            let snake = name.flat_map(|letter| {
                let mark = letter.is_ascii_uppercase().then_some('_');
                mark.into_iter().chain([letter.to_ascii_lowercase()])
            });
            snake.skip(1).collect()
        })
        .collect();
    let mut known = mimir_bundle::certificate::INFORMATION.to_vec();
    kinds.sort();
    known.sort_unstable();
    assert_eq!(kinds, known);
}

#[test]
fn a_counterexample_of_float32_alone_is_a_warning() {
    let with_margin = |margin: Option<f32>| {
        let mut evaluation = evaluation();
        let Verdict::Broken { margin_float64, .. } = &mut evaluation.outcomes[1].verdict else {
            panic!("broken")
        };
        *margin_float64 = margin;
        let report = Findings::new(&description(), &evaluation).report();
        report.warnings.into_iter().map(|notice| notice.warning).collect::<Vec<_>>()
    };
    let warning = Warning::BrokenInFloat32Only { images: vec![1], known: 1 };
    assert!(with_margin(Some(0.25)).contains(&warning));
    for margin in [None, Some(0.0), Some(-0.25)] {
        assert!(!with_margin(margin).contains(&warning), "{margin:?}");
    }
    let text = warning.to_string();
    assert!(
        text.starts_with("1 of 1 counterexamples (images 1) exist in the rounding of float32 only"),
        "{text}"
    );
}
