//! The order of the questions, what counts, and what is missing, on answers made by hand.

use mimir_bundle::Norm;
use ndarray::{Array1, Array2};

use super::*;
use crate::attack::testing::{clean_image, context, run};
use crate::attack::{Attack, AttackContext, attack};
use crate::testing::{NORMS, key, linear_around_grey, noise};

/// The loss `3·f_0 + 2·x_1`, which compares with nothing.
struct Fixed {
    clean: Vec<f32>,
    needs_clean_features: bool,
}

impl Objective for Fixed {
    fn needs_clean_features(&self) -> bool {
        self.needs_clean_features
    }

    fn begin(&mut self, features: &[f32]) {
        self.clean = features.to_vec();
    }

    fn at(&mut self, point: &FeaturePoint<'_>, slopes: &mut Slopes) -> f32 {
        slopes.features[0] = 3.0;
        slopes.logits[0] = f32::NAN;
        slopes.pixels = vec![0.0, 2.0];
        3.0 * point.features[0] + 2.0 * point.pixels[1]
    }
}

/// Keeps what it is told, for so many steps.
#[derive(Default)]
struct Told {
    point: Vec<f32>,
    left: usize,
    answers: std::sync::Arc<std::sync::Mutex<Vec<(f32, Vec<f32>)>>>,
}

impl Ascent for Told {
    fn point(&self) -> &[f32] {
        &self.point
    }

    fn is_last(&self) -> bool {
        self.left == 0
    }

    fn observe(&mut self, answer: &Answer) -> Step {
        self.answers.lock().unwrap().push((answer.loss, answer.gradient.to_vec()));
        self.left -= 1;
        Step::Continue
    }

    fn step_back(&mut self) -> Step {
        if self.left == 0 {
            return Step::Done;
        }
        self.left -= 1;
        Step::Continue
    }
}

fn search(left: usize, needs_clean_features: bool) -> (FeatureSearch<'static>, Told) {
    let clean = CleanImage { image: 0, pixels: [0.25, 0.5].into(), label: 1, targets: [].into() };
    let told = Told { point: vec![0.5, 0.75], left, ..Told::default() };
    let copy = Told { answers: told.answers.clone(), ..Told::default() };
    let objective = Fixed { clean: Vec::new(), needs_clean_features };
    (FeatureSearch::new(&clean, Box::new(objective), Box::new(told)), copy)
}

fn proposal(search: &mut FeatureSearch) -> Vec<f32> {
    let mut out = vec![f32::NAN; 2];
    search.propose(&mut out);
    out
}

const LOGITS: Answer<'static> = Answer { logits: &[1.0, 2.0], loss: 0.0, gradient: &[] };

#[test]
fn an_iterate_is_asked_about_twice_and_counts_once() {
    let (mut search, told) = search(1, true);
    assert_eq!((search.query(), search.counts()), (Query::Features, false));
    assert_eq!(proposal(&mut search), [0.25, 0.5]);
    assert_eq!(search.observe_features(&LOGITS, &[7.0]), Step::Continue);

    assert_eq!((search.query(), search.counts()), (Query::Features, true));
    assert_eq!(proposal(&mut search), [0.5, 0.75]);
    assert_eq!(search.observe_features(&LOGITS, &[5.0]), Step::Continue);

    assert_eq!((search.query(), search.counts()), (Query::FeatureGradient, false));
    assert_eq!(proposal(&mut search), [0.5, 0.75]);
    // What is not finite counts as zero.
    assert_eq!((search.cotangents().logits, search.cotangents().features), (&[0.0, 0.0][..], &[3.0][..]));
    let gradient = Answer { gradient: &[10.0, 20.0], ..LOGITS };
    assert_eq!(search.observe(&gradient), Step::Continue);
    // The gradient of the model, and that by the pixels as an argument of the loss.
    assert_eq!(*told.answers.lock().unwrap(), [(16.5, vec![10.0, 22.0])]);

    assert_eq!((search.query(), search.counts()), (Query::Features, true));
    assert_eq!(search.observe_features(&LOGITS, &[5.0]), Step::Done, "the last iterate needs no gradient");
}

#[test]
fn points_without_an_answer_end_like_others() {
    for needs_clean_features in [false, true] {
        let (mut search, _) = search(5, needs_clean_features);
        let mut asked = 0;
        while search.step_back() == Step::Continue {
            asked += 1;
        }
        assert_eq!(asked, 5 + usize::from(needs_clean_features));
    }
}

fn attacks(context: &AttackContext) -> Vec<Box<dyn Attack>> {
    let named = ["pgd-feature", "pgd-mi", "feature-ce"].map(mimir_bundle::AttackSpec::named);
    named.into_iter().flatten().map(|spec| attack(&spec, context).unwrap()).collect()
}

/// A linear model whose classes are far away, so that searches spend what they have.
#[test]
fn passes_are_those_that_were_announced_and_no_proposal_leaves_the_ball() {
    for norm in NORMS {
        let context = context(norm, 1e-3, 12, 3);
        let weights: Array2<f32> = noise(key(5, 0, "weights"), 3, 12);
        let mut model = linear_around_grey(weights, &Array1::from(vec![2.0, 0.5, -1.0]), context.image, 4);
        let clean = clean_image(&mut model, 0, &[0.5; 12]);
        for attack in attacks(&context) {
            let trace = run(&model, attack.as_ref(), &context, &clean, 0);
            assert_eq!((trace.forwards + trace.backwards) as u64, attack.most_passes());
            assert!(trace.broken.is_none());
            assert!(
                trace.proposals.iter().all(|point| context.ball.contains(&clean.pixels, point)),
                "{norm:?}"
            );
        }
    }
}

/// `z = Wx + b` with features `z`: the distance grows along the largest singular direction, and so does each step of it.
#[test]
fn features_go_away_from_where_they_were() {
    let context = context(Norm::L2, 0.2, 12, 3);
    let weights: Array2<f32> = noise(key(5, 1, "weights"), 3, 12);
    let mut model = linear_around_grey(weights.clone(), &Array1::zeros(3), context.image, 4);
    let clean = clean_image(&mut model, 0, &[0.5; 12]);
    let distance = |point: &[f32]| {
        let moved: Array1<f32> = point.iter().zip(clean.pixels.iter()).map(|(to, from)| to - from).collect();
        weights.dot(&moved).mapv(|value| value * value).sum().sqrt()
    };
    let attack = &attacks(&context)[0];
    let trace = run(&model, attack.as_ref(), &context, &clean, 0);
    let distances: Vec<f32> = trace.proposals[1..].iter().map(|point| distance(point)).collect();
    assert!(distances.windows(2).all(|pair| pair[1] >= pair[0] - 1e-5), "{distances:?}");
    // The largest singular value, by power iteration on WᵀW.
    let mut direction = Array1::from_elem(12, 1.0_f32);
    for _ in 0..200 {
        direction = weights.t().dot(&weights.dot(&direction));
        direction /= direction.mapv(|value| value * value).sum().sqrt();
    }
    let largest = weights.dot(&direction).mapv(|value| value * value).sum().sqrt();
    let reached = distances.last().copied().unwrap();
    assert!((reached - 0.2 * largest).abs() < 1e-3 * largest, "{reached} of {}", 0.2 * largest);
}
