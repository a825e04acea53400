//! Reports for tests.

use mimir_bundle::certificate::{Counterexamples, EvaluationData, Execution, Processor, RunSettings, Tool};
use mimir_bundle::digest::{FileDigest, digest_model};
use mimir_bundle::{
    AttackSpec, BatchMode, ChannelOrder, ImageShape, Layout, Manifest, Norm, OutputKind, PixelType, Pixels,
    Scan, ThreatModel,
};
use mimir_runtime::evaluate::{
    AttackResult, AttackSigns, Ending, Evaluation, ImageOutcome, PassCounts, Verdict,
};
use mimir_runtime::report::{Findings, MinAccuracy, Report, Requirements, RunDescription, Warning};

/// Attacks of the reports.
pub(crate) const ATTACKS: [&str; 2] = ["apgd-ce", "square"];

/// A verdict in one letter: misclassified `m`, broken by the first attack `a`, by the second `s`, by rounding only `f`, not
/// finite `n`, robust `r`, unfinished `u`.
fn verdict(letter: char) -> Verdict {
    let broken = |attack: &str, fragile: bool| Verdict::Broken {
        attack: attack.into(),
        target: None,
        restart: 0,
        step: 17,
        prediction: 2,
        distance: 0.0078,
        margin: -0.25,
        margin_float64: Some(-0.25),
        fragile,
    };
    match letter {
        'm' => Verdict::Misclassified,
        'a' => broken(ATTACKS[0], false),
        's' => broken(ATTACKS[1], false),
        'f' => broken(ATTACKS[0], true),
        'n' => Verdict::NonFinite { attack: Some(ATTACKS[0].into()) },
        'r' => Verdict::StillRobust,
        'u' => Verdict::Unfinished,
        other => panic!("{other}"),
    }
}

/// An evaluation with those outcomes, one letter an image; labels are 0, 1, 0, 1, …
pub(crate) fn evaluation(letters: &str) -> Evaluation {
    let outcome = |(image, letter): (usize, char)| {
        let is_correct = letter != 'm';
        ImageOutcome {
            image,
            label: image % 2,
            clean_prediction: Some(if is_correct { image % 2 } else { 2 }),
            clean_margin: Some(if is_correct { 0.5 } else { -0.5 }),
            clean_margin_float64: None,
            closest: matches!(verdict(letter), Verdict::Broken { .. }).then_some(0.0078),
            passes: PassCounts { forwards: 10, backwards: 5 },
            verdict: verdict(letter),
        }
    };
    let outcomes: Vec<ImageOutcome> = letters.chars().enumerate().map(outcome).collect();
    let count = |letter| letters.chars().filter(|found| *found == letter).count();
    let mut attacked = letters.len() - count('m');
    let attack = |(name, letter)| {
        let (broken, non_finite) = (count(letter), if letter == 'a' { count('n') } else { 0 });
        let before = attacked;
        attacked -= broken + non_finite;
        AttackResult {
            name: String::from(name),
            spec: AttackSpec::named(name).unwrap(),
            uses_margin: false,
            attacked: before,
            broken,
            non_finite,
            still_robust: attacked,
            unfinished: count('u'),
            zero_gradients: 0,
            non_finite_gradients: 0,
            signs: AttackSigns::default(),
            trace: Vec::new(),
            seconds: 1.25,
            model_seconds: 2.25,
            passes: PassCounts { forwards: 221, backwards: 220 },
        }
    };
    Evaluation {
        attacks: ATTACKS.into_iter().zip(['a', 's']).map(attack).collect(),
        ending: if count('u') > 0 { Ending::Interrupted } else { Ending::Complete },
        clean: PassCounts { forwards: letters.len() as u64, backwards: 0 },
        undecided: 0,
        slots: vec![None; outcomes.len()],
        outcomes,
    }
}

/// A run of a model of three classes.
#[expect(clippy::too_many_lines, reason = "a table of cases")]
pub(crate) fn description(images: usize) -> RunDescription {
    let files = vec![FileDigest::new("model.onnx", b"model")];
    let manifest = Manifest {
        model_digest: digest_model(&files),
        files,
        opset: 17,
        ir_version: 8,
        producer: "pytorch 2.13.0".into(),
        image: ImageShape { channels: 3, height: 2, width: 2 },
        layout: Layout::Nchw,
        pixel_type: PixelType::Float,
        channel_order: ChannelOrder::Rgb,
        normalisation: None,
        classes: 3,
        batch: BatchMode::Dynamic,
        output_name: "logits".to_owned(),
        output: OutputKind::Logits,
    };
    let execution = Execution {
        engine: "onnxruntime".into(),
        engine_version: "1.32.0".into(),
        library: None,
        device: "cpu".into(),
        optimisation: "all".into(),
        precision: "float32".into(),
        batch: 64,
        workers: 2,
        threads: 1,
        architecture: "x86_64".into(),
        operating_system: "linux".into(),
        processor: Processor { name: "a processor".into(), features: vec!["avx2".into()] },
    };
    RunDescription {
        model_file: "model.onnx".into(),
        manifest,
        scan: Scan::default(),
        data: EvaluationData {
            source: "folder:images".into(),
            split: None,
            first: None,
            sample: None,
            preprocessing: None,
            class_map: None,
            jpeg_decoder: None,
            class_names: Some(["cat", "dog", "fox"].map(str::to_owned).into()),
            image_files: Some((0..images).map(|image| format!("{image}.png")).collect()),
            images_digest: "b".repeat(64),
            labels_digest: "c".repeat(64),
        },
        threat_model: ThreatModel { norm: Norm::Linf, epsilon: 2.0 / 255.0, pixels: Pixels::Continuous },
        seed: 7,
        settings: RunSettings::default(),
        execution,
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

/// The report of a run with those outcomes.
pub(crate) fn report(letters: &str) -> Report {
    Findings::new(&description(letters.len()), &evaluation(letters)).report()
}
