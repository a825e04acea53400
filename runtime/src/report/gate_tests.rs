//! The gate gives one answer, however a run comes to it: to the end, stopped early, resumed, with one worker or three.

use std::path::Path;

use mimir_bundle::{AttackSpec, ImageShape, Norm, Pixels, ThreatModel};
use ndarray::{Array2, ArrayView2};
use proptest::prelude::*;

use super::tests::description;
use super::{Comparison, Conclusion, Findings, MinAccuracy, Report, Requirements, RunDescription};
use crate::archive::Archive;
use crate::evaluate::{Control, Curve, Ending, EvaluationSet, Plan, Silent, evaluate};
use crate::journal::{Header, Journal};
use crate::model::{Classifier, Differentiable, GradientBatch, LabelAndTarget, ModelError};
use crate::testing::TestModel;

/// What the model does with an image: the first pixel says, and the ball does not reach the next kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Robust,
    Breakable,
    Misclassified,
    /// No gradient is finite; the logits are robust.
    GradientNaN,
    /// No gradient is finite; an attack without gradients breaks it.
    GradientNaNBreakable,
    /// The file itself returns NaN away from the clean image.
    LogitsNaN,
    /// The file returns NaN for the clean image too.
    AlwaysNaN,
}

const KINDS: [Kind; 7] = [
    Kind::Robust,
    Kind::Breakable,
    Kind::Misclassified,
    Kind::GradientNaN,
    Kind::GradientNaNBreakable,
    Kind::LogitsNaN,
    Kind::AlwaysNaN,
];

/// Distance of the kinds in the first pixel: more than twice [`EPSILON`].
const SPACING: f32 = 0.15;
const EPSILON: f64 = 0.05;

impl Kind {
    fn pixels(self) -> [f32; 2] {
        let position = KINDS.iter().position(|kind| *kind == self).unwrap();
        let second = match self {
            Self::Breakable | Self::GradientNaNBreakable => 0.48,
            Self::Misclassified => 0.8,
            _ => 0.3,
        };
        [SPACING * position as f32, second]
    }

    fn of(image: &[f32]) -> Self {
        KINDS[((image[0] / SPACING).round() as usize).min(KINDS.len() - 1)]
    }
}

/// Logits `(1 - q, q)` of an image `(p, q)`, and what its kind makes of them.
#[derive(Clone)]
struct Scripted {
    logits: Array2<f32>,
    answers: GradientBatch,
}

const BATCH: usize = 3;

impl Scripted {
    fn new() -> Self {
        Self { logits: Array2::zeros((BATCH, 2)), answers: GradientBatch::zeros(BATCH, 2, 2) }
    }
}

fn scripted_logits(image: &[f32]) -> [f32; 2] {
    let is_clean = (image[1] - Kind::of(image).pixels()[1]).abs() < 1e-4;
    let spoilt = match Kind::of(image) {
        Kind::LogitsNaN => !is_clean,
        Kind::AlwaysNaN => true,
        _ => false,
    };
    [if spoilt { f32::NAN } else { 1.0 - image[1] }, image[1]]
}

impl Classifier for Scripted {
    fn image_shape(&self) -> ImageShape {
        ImageShape { channels: 1, height: 1, width: 2 }
    }

    fn classes(&self) -> usize {
        2
    }

    fn batch(&self) -> usize {
        BATCH
    }

    fn logits(&mut self, images: ArrayView2<f32>) -> Result<&Array2<f32>, ModelError> {
        for (row, image) in images.rows().into_iter().enumerate() {
            let [first, second] = scripted_logits(&image.to_vec());
            (self.logits[[row, 0]], self.logits[[row, 1]]) = (first, second);
        }
        Ok(&self.logits)
    }
}

impl Differentiable for Scripted {
    fn batch(&self) -> usize {
        BATCH
    }

    fn loss_gradient(
        &mut self,
        images: ArrayView2<f32>,
        _: &[LabelAndTarget],
    ) -> Result<&GradientBatch, ModelError> {
        for (row, image) in images.rows().into_iter().enumerate() {
            let image = image.to_vec();
            let [first, second] = scripted_logits(&image);
            (self.answers.logits[[row, 0]], self.answers.logits[[row, 1]]) = (first, second);
            self.answers.loss[row] = second;
            let spoilt = matches!(Kind::of(&image), Kind::GradientNaN | Kind::GradientNaNBreakable);
            self.answers.gradient[[row, 0]] = 0.0;
            self.answers.gradient[[row, 1]] = if spoilt { f32::NAN } else { 1.0 };
        }
        Ok(&self.answers)
    }
}

impl TestModel for Scripted {}

fn attacks(names: &[&str]) -> Vec<AttackSpec> {
    let spec = |name: &&str| AttackSpec::named(name).unwrap();
    let mut attacks: Vec<AttackSpec> = names.iter().map(spec).collect();
    for attack in &mut attacks {
        attack.set("steps", mimir_bundle::attack::Argument::Count(3));
        attack.set("restarts", mimir_bundle::attack::Argument::Count(2));
        attack.set("queries", mimir_bundle::attack::Argument::Count(8));
    }
    attacks
}

/// A gate on images of those kinds.
struct Case {
    images: Array2<f32>,
    labels: Vec<usize>,
    requirements: Requirements,
    attacks: Vec<AttackSpec>,
}

impl Case {
    fn report(&self, stops: bool, workers: usize, archive: &Archive) -> Report {
        let plan = Plan {
            threat_model: ThreatModel { norm: Norm::Linf, epsilon: EPSILON, pixels: Pixels::Continuous },
            attacks: self.attacks.clone(),
            seed: 0,
            workers,
            stop_when_decided: stops.then_some(self.requirements),
            curve: Curve::No,
            votes: 1,
        };
        let set = EvaluationSet::new(&self.images, &self.labels).unwrap();
        let evaluation = evaluate(&Scripted::new(), &set, &plan, &Control::new(&Silent, archive)).unwrap();
        let description = RunDescription { gate: self.requirements, ..description() };
        Findings::new(&description, &evaluation).report()
    }

    /// A run in a journal that was cut off there, and then resumed.
    fn resumed(&self, cut: f64, workers: usize) -> Report {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let archive = Archive::none().with_journal(Journal::create(&path, &Header::new()).unwrap(), vec![]);
        self.report(true, 1, &archive);
        drop(archive);
        cut_off(&path, cut);
        let (journal, finished) = Journal::resume(&path, &Header::new()).unwrap();
        self.report(true, workers, &Archive::none().with_journal(journal, finished))
    }
}

fn cut_off(path: &Path, cut: f64) {
    let header = {
        let empty = tempfile::tempdir().unwrap();
        let path = empty.path().join("journal");
        drop(Journal::create(&path, &Header::new()).unwrap());
        std::fs::metadata(path).unwrap().len() as usize
    };
    let bytes = std::fs::read(path).unwrap();
    let kept = header + ((bytes.len() - header) as f64 * cut) as usize;
    std::fs::write(path, &bytes[..kept]).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_answer_does_not_depend_on_how_the_run_came_to_it(
        kinds in prop::collection::vec(0..KINDS.len(), 1..14),
        part in 0..=14_usize,
        just_above in any::<bool>(),
        lower in any::<bool>(),
        deny_warnings in any::<bool>(),
        gradient_free_last in any::<bool>(),
        cut in 0.0..1.0_f64,
    ) {
        prop_assume!(kinds.iter().any(|kind| KINDS[*kind] != Kind::AlwaysNaN));
        let pixels: Vec<f32> = kinds.iter().flat_map(|kind| KINDS[*kind].pixels()).collect();
        let count = kinds.len();
        let least = part.min(count) as f64 / count as f64 + if just_above { 1e-9 } else { 0.0 };
        let case = Case {
            images: Array2::from_shape_vec((count, 2), pixels).unwrap(),
            labels: vec![0; count],
            requirements: Requirements {
                min_attacked_accuracy: MinAccuracy::new(least.min(1.0)),
                compared: if lower { Comparison::LowerLimit } else { Comparison::PointEstimate },
                deny_warnings,
                ..Requirements::default()
            },
            attacks: attacks(if gradient_free_last { &["apgd-ce", "square"] } else { &["square", "apgd-ce"] }),
        };
        let full = case.report(false, 1, &Archive::none());
        prop_assert_eq!(full.ending, Ending::Complete);
        prop_assert_ne!(full.gate.conclusion, Conclusion::Open);
        let others = [
            case.report(false, 3, &Archive::none()),
            case.report(true, 1, &Archive::none()),
            case.report(true, 3, &Archive::none()),
            case.resumed(cut, 1),
            case.resumed(cut, 3),
        ];
        for (way, other) in others.iter().enumerate() {
            prop_assert_eq!(other.gate.conclusion, full.gate.conclusion, "way {}: {} and {}", way, other, full);
            prop_assert_eq!(other.gate.exit_code, full.gate.exit_code);
            prop_assert!(other.ending != Ending::Interrupted && other.gate.exit_code != 75);
            prop_assert!(other.to_string().starts_with(full.to_string().split("  ").next().unwrap()));
        }
    }
}
