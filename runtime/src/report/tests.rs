use mimir_bundle::certificate::{Counterexamples, EvaluationData, Execution, Tool};
use mimir_bundle::{BatchMode, ImageShape, Layout, Manifest, Norm, OutputKind, ThreatModel};

use super::*;
use crate::evaluate::{ApgdSpec, AttackResult, AttackSpec, Evaluation, ImageOutcome, PassCounts, Verdict};

fn setting() -> Setting {
    Setting {
        model_file: "model.onnx".into(),
        manifest: manifest(),
        data: EvaluationData {
            source: "npz:images.npz".into(),
            split: None,
            first: None,
            images_digest: "b".repeat(64),
            labels_digest: "c".repeat(64),
        },
        threat_model: ThreatModel { norm: Norm::Linf, epsilon: 2.0 / 255.0 },
        seed: 7,
        execution: execution(),
        gate: MinAttackedAccuracy::new(0.4),
        warnings: vec![Warning::Rebatched],
        seconds: 1.5,
        created_at: "2026-11-23T21:30:00Z".into(),
        tool: Tool { name: "mimir-certify".into(), version: "0.1.0".into() },
        counterexamples: Some(Counterexamples { file: "adversarial.npz".into(), digest: "d".repeat(64) }),
    }
}

fn manifest() -> Manifest {
    Manifest {
        model_digest: "a".repeat(64),
        opset: 17,
        ir_version: 8,
        producer: "pytorch 2.13.0".into(),
        image: ImageShape { channels: 1, height: 2, width: 2 },
        layout: Layout::Nchw,
        normalisation: None,
        classes: 10,
        batch: BatchMode::Rebatched,
        output: OutputKind::Logits,
    }
}

fn execution() -> Execution {
    Execution {
        onnxruntime: "1.32.0".into(),
        execution_provider: "CPUExecutionProvider".into(),
        optimisation: "all".into(),
        batch: 32,
        workers: 2,
        threads: 1,
        architecture: "x86_64".into(),
        operating_system: "linux".into(),
    }
}

/// Four images: one misclassified, one broken, two still robust.
fn evaluation() -> Evaluation {
    let broken = Verdict::Broken { attack: "apgd-ce".into(), step: 17, prediction: 2, distance: 0.007_843 };
    let verdicts = [Verdict::Misclassified, broken, Verdict::StillRobust, Verdict::StillRobust];
    let outcome = |(image, verdict)| ImageOutcome {
        image,
        label: image % 3,
        clean_prediction: if verdict == Verdict::Misclassified { 9 } else { image % 3 },
        verdict,
    };
    Evaluation {
        outcomes: verdicts.into_iter().enumerate().map(outcome).collect(),
        attacks: vec![AttackResult {
            name: "apgd-ce".into(),
            spec: AttackSpec::ApgdCe(ApgdSpec::default()),
            attacked: 3,
            broken: 1,
            still_robust: 2,
            seconds: 1.25,
            forwards: 212,
            backwards: 210,
            steps: 210,
        }],
        clean: PassCounts { forwards: 4, backwards: 0 },
        adversarial: vec![None, Some([0.1, 0.2, 0.3, 0.4].into()), None, None],
    }
}

fn report() -> Report {
    Findings::new(&setting(), &evaluation()).report()
}

#[test]
fn certificate_agrees_with_the_report() {
    let certificate = Findings::new(&setting(), &evaluation()).certificate();
    certificate.check().unwrap();
    let report = report();
    assert_eq!((certificate.counts, certificate.data), (report.counts, report.data));
    assert_eq!((certificate.model, certificate.execution), (report.model.manifest, report.execution));
    insta::assert_json_snapshot!(certificate.attacks, @r#"
    [
      {
        "name": "apgd-ce",
        "parameters": {
          "kind": "apgd-ce",
          "steps": 100,
          "restarts": 1,
          "rho": 0.75,
          "momentum": 0.75,
          "initial_step": 2.0,
          "first_period": 0.22,
          "period_decrement": 0.03,
          "shortest_period": 0.06
        },
        "attacked": 3,
        "broken": 1,
        "still_robust": 2,
        "forwards": 212,
        "backwards": 210
      }
    ]
    "#);
}

#[test]
fn clean_accuracy_gives_cause_for_warnings() {
    let with = |clean_correct: usize| {
        let mut evaluation = evaluation();
        for outcome in &mut evaluation.outcomes[clean_correct..] {
            outcome.verdict = Verdict::Misclassified;
        }
        let report = Findings::new(&setting(), &evaluation).report();
        report.warnings.into_iter().map(|notice| notice.warning).collect::<Vec<_>>()
    };
    assert_eq!(with(4), [Warning::Rebatched]);
    assert_eq!(with(2), [Warning::Rebatched, Warning::NearChance { clean_accuracy: 0.25, classes: 10 }]);
    assert_eq!(with(0), [Warning::Rebatched, Warning::NothingToAttack]);
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
        ".attacked_accuracy_interval.*" => insta::rounded_redaction(6),
    }, @r#"
    {
      "schema_version": 1,
      "clean_accuracy": 0.75,
      "attacked_accuracy": 0.5,
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
        "still_robust": 2
      },
      "gate": {
        "conclusion": "holds",
        "min_attacked_accuracy": 0.4,
        "attacked_accuracy": 0.5,
        "compared": "point_estimate",
        "exit_code": 0
      },
      "attacks": [
        {
          "name": "apgd-ce",
          "robust_accuracy": 0.5,
          "seconds": 1.25,
          "forwards": 212,
          "backwards": 210,
          "attacked": 3,
          "broken": 1,
          "still_robust": 2
        }
      ],
      "meaning": "[meaning]",
      "warnings": [
        {
          "warning": {
            "kind": "rebatched"
          },
          "message": "[message]"
        }
      ],
      "threat_model": {
        "norm": "linf",
        "epsilon": 0.00784313725490196
      },
      "model": {
        "file": "model.onnx",
        "manifest": {
          "model_digest": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          "opset": 17,
          "ir_version": 8,
          "producer": "pytorch 2.13.0",
          "image": {
            "channels": 1,
            "height": 2,
            "width": 2
          },
          "layout": "nchw",
          "normalisation": null,
          "classes": 10,
          "batch": "rebatched",
          "output": "logits"
        }
      },
      "data": {
        "source": "npz:images.npz",
        "split": null,
        "first": null,
        "images_digest": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
        "labels_digest": "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
      },
      "seed": 7,
      "execution": {
        "onnxruntime": "1.32.0",
        "execution_provider": "CPUExecutionProvider",
        "optimisation": "all",
        "batch": 32,
        "workers": 2,
        "threads": 1,
        "architecture": "x86_64",
        "operating_system": "linux"
      },
      "seconds": 1.5,
      "created_at": "2026-11-23T21:30:00Z",
      "tool": {
        "name": "mimir-certify",
        "version": "0.1.0"
      },
      "outcomes": [
        {
          "image": 0,
          "label": 0,
          "clean_prediction": 9,
          "verdict": {
            "outcome": "misclassified"
          }
        },
        {
          "image": 1,
          "label": 1,
          "clean_prediction": 1,
          "verdict": {
            "outcome": "broken",
            "attack": "apgd-ce",
            "step": 17,
            "prediction": 2,
            "distance": 0.007843
          }
        },
        {
          "image": 2,
          "label": 2,
          "clean_prediction": 2,
          "verdict": {
            "outcome": "still_robust"
          }
        },
        {
          "image": 3,
          "label": 0,
          "clean_prediction": 0,
          "verdict": {
            "outcome": "still_robust"
          }
        }
      ]
    }
    "#);
}

#[test]
fn text_form() {
    insta::assert_snapshot!(report(), @r#"
    PASS  attacked accuracy 50.00 % is at least the required 40.00 %

    model              model.onnx (sha256 aaaaaaaaaaaa…)
    images             4 of npz:images.npz
    threat model       Linf, epsilon 2/255 = 0.00784 in pixels of [0, 1]
    clean accuracy     75.00 %  3 of 4
      after apgd-ce    50.00 %  broke 1 of 3 in 1.2 s (212 forwards, 210 backwards)
    attacked accuracy  50.00 %  2 of 4
                                95 % interval 6.75 % to 93.24 % (Clopper–Pearson)

    The attacked accuracy is an upper bound of the robust accuracy on these images: each broken image
    has a confirmed counterexample, but an image that these attacks left alone may fall to another. It
    is never a proof of robustness. The interval speaks about the population that the images are a
    random sample of.

    warning: the file takes one image a call: its batch dimension was changed for speed, and the logits
             were checked to stay the same
    "#);
}

/// Every kind of warning, as a reader sees it.
#[test]
fn warnings_name_the_way_out() {
    let warnings = [
        Warning::ProbabilityOutput,
        Warning::BatchOfOne,
        Warning::RebatchingChangesLogits,
        Warning::NothingToAttack,
        Warning::NearChance { clean_accuracy: 0.102, classes: 10 },
    ];
    for warning in warnings {
        let text = warning.to_string();
        assert!(text.contains("Export the model") || text.contains("Check normalisation"), "{text}");
        let json = serde_json::to_value(&warning).unwrap();
        assert_eq!(serde_json::from_value::<Warning>(json).unwrap(), warning);
    }
}

/// Consumers validate against the committed schema. `MIMIR_BLESS=1 cargo test` rewrites the file.
#[test]
fn committed_schema_is_the_schema_of_the_type() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/report.schema.json");
    let schema = serde_json::to_string_pretty(&schemars::schema_for!(Report)).unwrap() + "\n";
    if std::env::var_os("MIMIR_BLESS").is_some() {
        std::fs::write(path, &schema).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(path).unwrap(),
        schema,
        "docs/report.schema.json: run with MIMIR_BLESS=1"
    );
}
