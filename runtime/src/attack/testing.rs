//! Runs one search against models in memory, without the scheduler: what tests of attacks share.

use mimir_bundle::{ImageShape, Norm};
use ndarray::{Array1, ArrayView2};

use super::{Answer, AskedModel, Attack, AttackContext, CleanImage, Query, Step};
use crate::logits::predicted_class;
use crate::model::{Classifier, LabelAndTarget, Loss, ModelSource};
use crate::testing::{attack_context, key, linear_around_grey, noise};

/// What one unit of an attack did on one image.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SearchTrace {
    /// Every proposal, in order.
    pub(crate) proposals: Vec<Vec<f32>>,
    /// Position of the first proposal that counts, lies in the ball, and is misclassified.
    pub(crate) broken: Option<usize>,
    /// The closest misclassified point that the search kept.
    pub(crate) closest: Option<Vec<f32>>,
    /// Forward passes, those of gradients included.
    pub(crate) forwards: usize,
    /// Backward passes.
    pub(crate) backwards: usize,
}

/// Runs one unit to its end, with the model as its own surrogate, also beyond the point where the scheduler would stop it.
pub(crate) fn run(
    source: &dyn ModelSource,
    attack: &dyn Attack,
    context: &AttackContext,
    clean: &CleanImage,
    unit: usize,
) -> SearchTrace {
    let mut classifier = source.classifier().unwrap();
    let mut search = attack.search(clean, unit);
    let mut run = SearchTrace { proposals: vec![], broken: None, closest: None, forwards: 0, backwards: 0 };
    loop {
        let (query, pair) = (search.query(), search.label_and_target());
        let announced = match search.asked_model() {
            AskedModel::Attacked => attack.queries(),
            AskedModel::Surrogate => attack.surrogate_queries(),
        };
        assert!(announced.contains(&query), "{query:?} was not announced");
        let mut proposal = vec![f32::NAN; clean.pixels.len()];
        search.propose(&mut proposal);
        let counts = search.counts();
        let images = ArrayView2::from_shape((1, proposal.len()), &proposal).unwrap();
        run.forwards += 1;
        let (logits, step) = match query {
            Query::Forward => {
                let logits = classifier.logits(images).unwrap().row(0).to_vec();
                let step = search.observe(&Answer { logits: &logits, loss: 0.0, gradient: &[] });
                (logits, step)
            }
            Query::Features => {
                let mut model = source.feature_model().unwrap();
                let batch = model.logits_and_features(images).unwrap();
                let (logits, features) = (batch.logits.row(0).to_vec(), batch.features.row(0).to_vec());
                let answer = Answer { logits: &logits, loss: 0.0, gradient: &[] };
                let step = search.observe_features(&answer, &features);
                (logits, step)
            }
            Query::FeatureGradient => {
                run.backwards += 1;
                let mut model = source.feature_model().unwrap();
                let batch = model.gradient(images, search.cotangents()).unwrap();
                let (logits, gradient) = (batch.logits.row(0).to_vec(), batch.gradient.row(0).to_vec());
                let step = search.observe(&Answer { logits: &logits, loss: 0.0, gradient: &gradient });
                (logits, step)
            }
            Query::Gradient(loss) => {
                run.backwards += 1;
                let mut graph = source.differentiable(loss).unwrap();
                let batch = graph.loss_gradient(images, &[pair]).unwrap();
                let (logits, gradient) = (batch.logits.row(0).to_vec(), batch.gradient.row(0).to_vec());
                let answer = Answer { logits: &logits, loss: batch.loss[0], gradient: &gradient };
                let step = search.observe(&answer);
                (logits, step)
            }
        };
        let breaks = counts
            && predicted_class(&logits) != Some(clean.label)
            && context.ball.contains(&clean.pixels, &proposal);
        if breaks && run.broken.is_none() {
            run.broken = Some(run.proposals.len());
        }
        run.proposals.push(proposal);
        if step == Step::Done {
            run.closest = search.closest().map(<[f32]>::to_vec);
            return run;
        }
    }
}

/// The image with its targets in the order that the scheduler gives them: wrong classes by falling clean logit.
pub(crate) fn clean_image(classifier: &mut dyn Classifier, image: usize, pixels: &[f32]) -> CleanImage {
    let view = ArrayView2::from_shape((1, pixels.len()), pixels).unwrap();
    let logits = classifier.logits(view).unwrap().row(0).to_vec();
    let label = predicted_class(&logits).unwrap();
    let mut targets: Vec<usize> = (0..logits.len()).filter(|class| *class != label).collect();
    targets.sort_by(|left, right| logits[*right].total_cmp(&logits[*left]));
    CleanImage { image, pixels: pixels.into(), label, targets: targets.into() }
}

/// A context for images of one row of grey pixels, with seed 0.
pub(crate) fn context(norm: Norm, epsilon: f64, pixels: usize, classes: usize) -> AttackContext {
    attack_context(norm, epsilon, ImageShape { channels: 1, height: 1, width: pixels }, classes)
}

/// A file of `tests/fixtures/attack`, which a script of `scripts/reference` makes from the formulae in float64.
pub(crate) fn fixture(name: &str) -> serde_json::Value {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/attack");
    serde_json::from_str(&std::fs::read_to_string(folder.join(name)).unwrap()).unwrap()
}

/// Lets an attack that minimises the distance find that of points near grey from where a linear difference of two classes is
/// zero: its value over the dual norm of its slopes. The closest point is not nearer than that, and at most `factor` times as far.
pub(crate) fn near_the_boundary(norm: Norm, factor: f64, attack: impl Fn(&AttackContext) -> Box<dyn Attack>) {
    const PIXELS: usize = 40;
    let context = context(norm, 0.1, PIXELS, 2);
    let weights = noise(key(1, 0, "test"), 2, PIXELS);
    let model = linear_around_grey(weights, &Array1::zeros(2), context.image, 1);
    for index in 0..12 {
        let pixels = (noise(key(2, index, "test"), 1, PIXELS) * 0.05 + 0.5).into_raw_vec_and_offset().0;
        let clean = clean_image(&mut *model.classifier().unwrap(), index, &pixels);
        let mut graph = model.differentiable(Loss::Margin).unwrap();
        let images = ArrayView2::from_shape((1, PIXELS), &pixels).unwrap();
        let pair = LabelAndTarget { label: clean.label, target: Some(clean.targets[0]) };
        let at_clean = graph.loss_gradient(images, &[pair]).unwrap();
        let slope = context.ball.linear_function(&at_clean.gradient.row(0).to_vec()).dual_norm();
        let exact = f64::from(at_clean.loss[0].abs()) / slope;
        let found = run(&model, attack(&context).as_ref(), &context, &clean, 0);
        let closest = found.closest.expect("a linear classifier has a boundary");
        let ratio = context.ball.distance(&clean.pixels, &closest) / exact;
        assert!(ratio > 1.0 - 1e-4, "{norm:?} image {index}: closer than the boundary: {ratio}");
        assert!(ratio < factor, "{norm:?} image {index}: {ratio}");
    }
}
