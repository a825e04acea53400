use mimir_bundle::certificate::{AttackParameters, AttackRecord, Counts, EvaluationData, Execution, Tool};
use mimir_bundle::{BatchMode, ImageShape, Layout, Manifest, Norm, OutputKind, ThreatModel};

use super::*;
use crate::statistics::clopper_pearson;

fn report() -> Report {
    let counts = Counts { images: 4, clean_correct: 3, broken: 1, still_robust: 2 };
    Report {
        schema_version: REPORT_VERSION,
        clean_accuracy: 0.75,
        attacked_accuracy: 0.5,
        attacked_accuracy_interval: clopper_pearson(counts.still_robust, counts.images),
        images: 4,
        counts,
        gate: GateReport::decide(MinAttackedAccuracy::new(0.4), 0.5),
        attacks: vec![AttackSummary::new(&attack(), 4, 1.25)],
        meaning: MEANING.into(),
        warnings: vec![Warning::Rebatched.into()],
        threat_model: ThreatModel { norm: Norm::Linf, epsilon: 2.0 / 255.0 },
        model: ModelSummary { file: "model.onnx".into(), manifest: manifest() },
        data: EvaluationData {
            source: "npz:images.npz".into(),
            split: "test".into(),
            first: None,
            images_digest: "b".repeat(64),
            labels_digest: "c".repeat(64),
        },
        seed: 7,
        execution: execution(),
        seconds: 1.5,
        created_at: "2026-11-23T21:30:00Z".into(),
        tool: Tool { name: "mimir-certify".into(), version: "0.1.0".into() },
        outcomes: outcomes(),
    }
}

fn attack() -> AttackRecord {
    AttackRecord {
        name: "apgd-ce".into(),
        parameters: AttackParameters::ApgdCe { steps: 100, restarts: 1, rho: 0.75 },
        attacked: 3,
        broken: 1,
        still_robust: 2,
        forwards: 212,
        backwards: 210,
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
        classes: 3,
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

fn outcomes() -> Vec<ImageReport> {
    let broken =
        ImageVerdict::Broken { attack: "apgd-ce".into(), step: 17, prediction: 2, distance: 0.007_843 };
    let verdicts =
        [ImageVerdict::Misclassified, broken, ImageVerdict::StillRobust, ImageVerdict::StillRobust];
    let images = verdicts.into_iter().enumerate();
    images.map(|(image, outcome)| ImageReport { image, label: image % 3, outcome }).collect()
}

#[test]
fn round_trips_through_json() {
    let text = serde_json::to_string_pretty(&report()).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report());
    let with_more = text.replacen('{', "{\"certified\": true,", 1);
    assert!(serde_json::from_str::<Report>(&with_more).is_err());
}

#[test]
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
          "classes": 3,
          "batch": "rebatched",
          "output": "logits"
        }
      },
      "data": {
        "source": "npz:images.npz",
        "split": "test",
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
          "outcome": {
            "verdict": "misclassified"
          }
        },
        {
          "image": 1,
          "label": 1,
          "outcome": {
            "verdict": "broken",
            "attack": "apgd-ce",
            "step": 17,
            "prediction": 2,
            "distance": 0.007843
          }
        },
        {
          "image": 2,
          "label": 2,
          "outcome": {
            "verdict": "still_robust"
          }
        },
        {
          "image": 3,
          "label": 0,
          "outcome": {
            "verdict": "still_robust"
          }
        }
      ]
    }
    "#);
}

#[test]
fn text_form() {
    insta::assert_snapshot!(report(), @r#"
    PASS  attacked accuracy 50 % is at least the required 40 %

    model              model.onnx (sha256 aaaaaaaaaaaa…)
    images             4 of npz:images.npz, test
    threat model       Linf, epsilon 2/255 = 0.00784 in pixels of [0, 1]
    clean accuracy     75 %     3 of 4
      after apgd-ce    50 %     broke 1 of 3 in 1.2 s (212 forwards, 210 backwards)
    attacked accuracy  50 %     2 of 4
                                95 % interval 6.8 to 93.2 % (Clopper–Pearson)

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
        Warning::RebatchingChangesLogits { difference: 0.25 },
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
