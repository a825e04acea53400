use mimir_bundle::{ImageShape, Norm};
use ndarray::{Array2, Axis};

use super::*;
use crate::linear::LinearClassifier;
use crate::model::Classifier;
use crate::random::{Key, Stream};

const SHAPE: ImageShape = ImageShape { channels: 1, height: 5, width: 8 };
const IMAGES: usize = 60;

fn noise(attack: &'static str, rows: usize, columns: usize) -> Array2<f32> {
    let mut values = Array2::zeros((rows, columns));
    let key = Key { seed: 1, image: 0, attack, target: None, restart: 0 };
    Stream::new(&key).fill_uniform(values.as_slice_mut().unwrap());
    values
}

fn linear(classes: usize, batch: usize) -> LinearClassifier {
    let weights = noise("weights", classes, SHAPE.pixels());
    // All logits are 0 at the grey image, so that classes are balanced and margins small.
    let bias = -0.5 * weights.sum_axis(Axis(1));
    LinearClassifier::new(weights, bias, SHAPE, batch)
}

/// Images around the middle of the box, which the balls here do not reach its edge.
fn images() -> Array2<f32> {
    noise("images", IMAGES, SHAPE.pixels()) * 0.1 + 0.5
}

/// The model's own predictions, every seventh made wrong.
fn labels(model: &LinearClassifier, images: &Array2<f32>) -> Vec<usize> {
    let mut one = model.clone();
    let logits = one.logits(images.view()).unwrap().to_owned();
    let classes = logits.ncols();
    let rows = logits.rows().into_iter().enumerate();
    rows.map(|(image, row)| {
        let predicted = crate::logits::prediction(row.as_slice().unwrap());
        (predicted + usize::from(image % 7 == 0)) % classes
    })
    .collect()
}

fn plan(norm: Norm, epsilon: f64) -> Plan {
    let attacks = vec!["apgd-ce".parse().unwrap()];
    Plan { threat_model: ThreatModel { norm, epsilon }, attacks, seed: 0, workers: 1 }
}

fn run(source: &dyn ModelSource, images: &Array2<f32>, labels: &[usize], plan: &Plan) -> Evaluation {
    let set = EvaluationSet::new(images, labels).unwrap();
    evaluate(source, &set, plan, &Silent).unwrap()
}

#[test]
fn two_linear_classes_are_broken_exactly_where_the_closed_form_says() {
    let (model, images) = (linear(2, IMAGES), images());
    let labels = labels(&model, &images);
    for (norm, epsilon, slack) in [(Norm::Linf, 0.01, 1e-5), (Norm::L2, 0.05, 1e-4)] {
        let plan = plan(norm, epsilon);
        let evaluation = run(&model, &images, &labels, &plan);
        let mut seen = [0; 3];
        for outcome in &evaluation.outcomes {
            let (image, label) = (images.row(outcome.image), outcome.label);
            let margin = model.worst_margin(&plan.threat_model, image.as_slice().unwrap(), label, 1 - label);
            match outcome.verdict {
                Verdict::Misclassified => seen[0] += 1,
                Verdict::Broken { .. } => {
                    assert!(margin < slack, "{norm:?} image {} was broken at {margin}", outcome.image);
                    seen[1] += 1;
                }
                Verdict::StillRobust => {
                    assert!(margin > -slack, "{norm:?} image {} was left at {margin}", outcome.image);
                    seen[2] += 1;
                }
            }
        }
        assert!(seen.iter().all(|count| *count > 5), "{norm:?}: one kind of verdict is missing: {seen:?}");
    }
}

#[test]
fn results_are_the_same_for_any_batch_order_and_workers() {
    let images = images();
    let labels = labels(&linear(5, IMAGES), &images);
    for (norm, epsilon) in [(Norm::Linf, 0.005), (Norm::L2, 0.03)] {
        let reference = run(&linear(5, 1), &images, &labels, &plan(norm, epsilon));
        let broken = reference.adversarial.iter().flatten().count();
        assert!((10..50).contains(&broken), "{norm:?}: {broken}");
        for batch in [2, 7, 32] {
            for workers in [1, 2, 3] {
                let plan = Plan { workers, ..plan(norm, epsilon) };
                let other = run(&linear(5, batch), &images, &labels, &plan);
                assert_eq!(other.outcomes, reference.outcomes, "batch {batch}, {workers} workers");
                assert_eq!(other.adversarial, reference.adversarial, "batch {batch}, {workers} workers");
                let counts = |evaluation: &Evaluation| {
                    let attack = &evaluation.attacks[0];
                    (attack.forwards, attack.backwards, attack.steps, attack.broken)
                };
                assert_eq!(counts(&other), counts(&reference), "batch {batch}, {workers} workers");
            }
        }
    }
}
