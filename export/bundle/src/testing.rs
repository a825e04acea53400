//! A certificate for tests.

use crate::certificate::*;
use crate::digest::{FileDigest, digest_model};
use crate::{
    AttackSpec, BatchMode, ChannelOrder, ImageShape, Layout, Manifest, Norm, Normalisation, OutputKind,
    PixelType, Pixels, ThreatModel,
};

/// A certificate that is of a model of those files.
pub(crate) fn certificate_of(files: Vec<FileDigest>) -> Certificate {
    let mut certificate = certificate();
    certificate.model.model_digest = digest_model(&files);
    certificate.model.files = files;
    certificate
}

/// Every field has a value.
pub(crate) fn certificate() -> Certificate {
    Certificate {
        schema_version: CERTIFICATE_VERSION,
        statement: STATEMENT.into(),
        created_at: "2026-11-23T21:30:00Z".into(),
        tool: Tool { name: "mimir-certify".into(), version: "0.1.0".into(), commit: None },
        model: manifest(),
        data: data(),
        threat_model: ThreatModel { norm: Norm::Linf, epsilon: 2.0 / 255.0, pixels: Pixels::Continuous },
        seed: 0,
        preset: None,
        attacks: vec![attack(8, 3)],
        standard_still_robust: None,
        extent: Extent::Complete,
        majority_test: None,
        settings: RunSettings {
            files: vec![SettingsFile {
                path: "mimir-certify.toml".into(),
                sha256: "e".repeat(64),
                place: SettingsPlace::WorkingFolder,
                keys: vec!["epsilon".into()],
                ignored: Vec::new(),
            }],
            effective: [("quiet".to_owned(), false.into())].into(),
        },
        execution: execution(),
        cross_check: Some(CrossCheck {
            engine: "rten".into(),
            engine_version: "0.27.0".into(),
            counterexamples: 3,
            confirmed: 2,
            attacks: vec![CrossCheckedAttack { name: "apgd-ce".into(), counterexamples: 3, confirmed: 2 }],
            disagreements: vec![Disagreement { image: 7, attack: "apgd-ce".into(), prediction: Some(1) }],
        }),
        accepted_differences: Vec::new(),
        counts: Counts {
            images: 10,
            clean_correct: 8,
            broken: 3,
            fragile: 0,
            still_robust: 5,
            non_finite: 0,
            unfinished: 0,
        },
        gate: GateRecord {
            conclusion: "holds".into(),
            sentence: "PASS  attacked accuracy 50.00 % is not below the required 40.00 %".into(),
            min_attacked_accuracy: Some(0.4),
            exit_code: 0,
        },
        warnings: vec![WarningRecord { kind: "rebatched".into(), message: "one image a call".into() }],
        counterexamples: Some(Counterexamples { file: "adversarial.npz".into(), digest: "d".repeat(64) }),
    }
}

pub(crate) fn processor(features: &[&str]) -> Processor {
    let features = features.iter().map(ToString::to_string).collect();
    Processor { name: "a processor".into(), features }
}

fn manifest() -> Manifest {
    let files = vec![FileDigest::new("model.onnx", b"graph"), FileDigest::new("weights.bin", b"weights")];
    Manifest {
        model_digest: digest_model(&files),
        files,
        opset: 17,
        ir_version: 8,
        producer: "pytorch 2.13.0".into(),
        image: ImageShape { channels: 3, height: 32, width: 32 },
        layout: Layout::Nchw,
        pixel_type: PixelType::Float,
        channel_order: ChannelOrder::Rgb,
        normalisation: Some(Normalisation::new([0.4914], [0.2023])),
        classes: 10,
        batch: BatchMode::Dynamic,
        output_name: "logits".to_owned(),
        output: OutputKind::Logits,
    }
}

fn attack(attacked: usize, broken: usize) -> AttackRecord {
    AttackRecord {
        name: "apgd-ce".into(),
        parameters: AttackSpec::named("apgd-ce").unwrap(),
        attacked,
        broken,
        non_finite: 0,
        still_robust: attacked - broken,
        unfinished: 0,
        forwards: 811,
        backwards: 800,
    }
}

fn data() -> EvaluationData {
    EvaluationData {
        source: "cifar10:data".into(),
        split: Some("test".into()),
        first: Some(10),
        sample: None,
        preprocessing: None,
        class_map: None,
        jpeg_decoder: None,
        class_names: Some(vec!["cat".into(), "dog".into()]),
        image_files: Some(vec!["cat/1.png".into(); 10]),
        images_digest: "b".repeat(64),
        labels_digest: "c".repeat(64),
    }
}

fn execution() -> Execution {
    Execution {
        engine: "onnxruntime".into(),
        engine_version: "1.32.0".into(),
        library: Some(FileDigest::new("/lib/libonnxruntime.so", b"library")),
        device: "cpu".into(),
        optimisation: "all".into(),
        precision: "float32".into(),
        batch: 32,
        workers: 2,
        threads: 1,
        architecture: "x86_64".into(),
        operating_system: "linux".into(),
        processor: processor(&["avx2", "fma"]),
    }
}
