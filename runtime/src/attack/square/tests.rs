use mimir_bundle::{Norm, Pixels, ThreatModel};
use ndarray::{Array1, Array2, ArrayView2};

use super::*;
use crate::attack::testing::{SearchTrace, clean_image, run};
use crate::linear::LinearClassifier;
use crate::model::ModelSource;
use crate::testing::{self, NORMS, attack_context, key};

fn context(norm: Norm, epsilon: f64, image: ImageShape) -> AttackContext {
    attack_context(norm, epsilon, image, 2)
}

fn queries(queries: usize) -> SquareSpec {
    SquareSpec { queries, ..SquareSpec::default() }
}

/// Uniform in `[-1, 1)`.
fn noise(seed: u64, count: usize) -> Vec<f32> {
    testing::noise(key(seed, 0, "test"), 1, count).into_raw_vec_and_offset().0
}

/// Two classes whose margin at a grey image is `margin`, and falls along `slopes`.
fn classifier(slopes: &[f32], margin: f32, image: ImageShape) -> LinearClassifier {
    let mut weights = Array2::zeros((2, slopes.len()));
    weights.row_mut(0).assign(&Array1::from(slopes.to_vec()));
    let at_grey: f32 = slopes.iter().map(|slope| 0.5 * slope).sum();
    LinearClassifier::new(weights, Array1::from(vec![margin - at_grey, 0.0]), image, 1)
}

fn grey(image: ImageShape) -> Vec<f32> {
    vec![0.5; image.pixels()]
}

/// Runs unit `unit` on a grey image.
fn attack(model: &LinearClassifier, spec: &SquareSpec, context: &AttackContext, unit: usize) -> SearchTrace {
    let square = Square::new(spec, context);
    let clean = clean_image(&mut model.clone(), 3, &grey(context.image));
    run(model, &square, context, &clean, unit)
}

#[test]
fn the_share_of_pixels_is_halved_after_those_queries() {
    let changes: Vec<(usize, f64)> = (0..10_000)
        .map(|query| (query, share_of_pixels(0.8, query)))
        .filter(|(query, share)| *query == 0 || *share != share_of_pixels(0.8, query - 1))
        .collect();
    let firsts = [0, 11, 51, 201, 501, 1001, 2001, 4001, 6001, 8001];
    let want: Vec<(usize, f64)> =
        firsts.iter().zip(0..).map(|(first, halvings)| (*first, 0.8 / 2_f64.powi(halvings))).collect();
    assert_eq!(changes, want);
}

/// Square once more, asking about every candidate. Returns the accepted points and the number of questions.
fn literal(model: &LinearClassifier, spec: &SquareSpec, context: &AttackContext) -> (Vec<Vec<f32>>, usize) {
    let key = Key { seed: context.seed, image: 3, attack: "square", target: None, restart: 0 };
    let mut noise = Stream::new(&key);
    let mut windows = WindowSearch::new(context.ball, context.image, grey(context.image).into(), &mut noise);
    let mut margin_of = margins(model);
    let mut smallest = margin_of(windows.candidate());
    let mut accepted = vec![windows.candidate().to_vec()];
    for query in 0..spec.queries {
        windows.draw(share_of_pixels(spec.p_init, query), &mut noise);
        let margin = margin_of(windows.candidate());
        if margin < smallest || margin <= 0.0 {
            windows.accept();
            accepted.push(windows.candidate().to_vec());
        }
        smallest = smallest.min(margin);
    }
    // Where nothing moved nothing was won.
    accepted.dedup();
    (accepted, spec.queries + 1)
}

fn margins(model: &LinearClassifier) -> impl FnMut(&[f32]) -> f32 {
    let mut classifier = model.classifier().unwrap();
    move |point| {
        let images = ArrayView2::from_shape((1, point.len()), point).unwrap();
        margin(classifier.logits(images).unwrap().row(0).as_slice().unwrap(), 0)
    }
}

#[test]
fn the_outcome_is_that_of_asking_about_every_candidate() {
    let image = ImageShape { channels: 1, height: 6, width: 7 };
    let slopes = noise(1, image.pixels());
    for norm in NORMS {
        for (epsilon, margin) in [(0.1, 100.0), (0.1, 0.5), (0.0, 1.0)] {
            let (context, spec) = (context(norm, epsilon, image), queries(400));
            let model = classifier(&slopes, margin, image);
            let (want, asked) = literal(&model, &spec, &context);
            let run = attack(&model, &spec, &context, 0);
            let mut margin_of = margins(&model);
            let mut smallest = f32::INFINITY;
            let accepted: Vec<Vec<f32>> = run
                .proposals
                .into_iter()
                .filter(|point| {
                    let margin = margin_of(point);
                    let improved = margin < smallest;
                    smallest = smallest.min(margin);
                    improved || margin <= 0.0
                })
                .collect();
            assert_eq!(accepted, want, "{norm:?} {epsilon} {margin}");
            assert!(run.forwards <= asked);
            if norm == Norm::Linf {
                // A window of one pixel has its sign already every other time, a larger one less often.
                assert!(run.forwards < asked * 9 / 10, "{} of {asked}", run.forwards);
            }
            if epsilon == 0.0 {
                assert_eq!(run.forwards, 1, "{norm:?}");
            }
        }
    }
}

#[test]
fn it_spends_its_queries_and_no_more() {
    let image = ImageShape { channels: 3, height: 8, width: 8 };
    let model = classifier(&noise(1, image.pixels()), 1e3, image);
    for norm in NORMS {
        for count in [1, 2, 300] {
            let run = attack(&model, &queries(count), &context(norm, 0.1, image), 0);
            assert!((2..=count + 1).contains(&run.forwards), "{norm:?}: {} for {count}", run.forwards);
            assert_eq!(run.backwards, 0);
        }
    }
}

/// Not on images of a few rows: small windows never reach the last row and column, as in the reference, and there these
/// are a large part.
#[test]
fn what_is_clearly_breakable_breaks_and_nothing_else_does() {
    for image in [
        ImageShape { channels: 1, height: 12, width: 12 },
        ImageShape { channels: 3, height: 10, width: 10 },
        ImageShape { channels: 3, height: 16, width: 11 },
    ] {
        // Slopes that differ little from pixel to pixel, as those of classifiers of images do.
        let slopes: Vec<f32> = (0..image.pixels())
            .map(|pixel| {
                let (row, column) = (pixel / image.width % image.height, pixel % image.width);
                libm::sinf(0.6 * row as f32 + 1.0) * libm::cosf(0.5 * column as f32)
            })
            .collect();
        for (norm, epsilon) in [(Norm::Linf, 0.1), (Norm::L2, 0.5), (Norm::L1, 2.0)] {
            let context = context(norm, epsilon, image);
            let reach = |epsilon: f64| {
                let model = classifier(&slopes, 0.0, image);
                -model.worst_margin(
                    &ThreatModel { norm, epsilon, pixels: Pixels::Continuous },
                    &grey(image),
                    0,
                    1,
                )
            };
            let (near, far) = (reach(0.5 * epsilon) as f32, reach(1.001 * epsilon) as f32);
            let broken = |margin: f32| {
                attack(&classifier(&slopes, margin, image), &SquareSpec::default(), &context, 0).broken
            };
            assert!(broken(near).is_some(), "{norm:?} {image:?}");
            assert_eq!(broken(far), None, "{norm:?} {image:?}");
        }
    }
}

#[test]
fn a_table_of_three_columns_can_be_attacked() {
    let image = ImageShape { channels: 1, height: 1, width: 3 };
    let slopes = [1.0, -2.0, 0.0];
    for norm in NORMS {
        let context = context(norm, 0.1, image);
        let reach = |epsilon: f64| {
            -classifier(&slopes, 0.0, image).worst_margin(
                &ThreatModel { norm, epsilon, pixels: Pixels::Continuous },
                &grey(image),
                0,
                1,
            )
        };
        let run = attack(&classifier(&slopes, reach(0.05) as f32, image), &queries(200), &context, 0);
        assert!(run.broken.is_some(), "{norm:?}");
    }
}

#[test]
fn proposals_depend_on_the_key_alone_and_restarts_differ() {
    let image = ImageShape { channels: 3, height: 9, width: 9 };
    let model = classifier(&noise(1, image.pixels()), 3.0, image);
    for norm in NORMS {
        let spec = SquareSpec { queries: 50, restarts: 2, ..SquareSpec::default() };
        let context = context(norm, 0.3, image);
        assert_eq!(Square::new(&spec, &context).units(), 2);
        let first = attack(&model, &spec, &context, 0);
        assert_eq!(first, attack(&model, &spec, &context, 0), "{norm:?}");
        for other in [
            attack(&model, &spec, &context, 1),
            attack(&model, &spec, &AttackContext { seed: 1, ..context }, 0),
        ] {
            assert_ne!(first.proposals[0], other.proposals[0], "{norm:?}");
        }
    }
}

/// What a search does with margins that come from elsewhere. Returns its proposals, one more than there are margins.
fn answered(margins: &[f32]) -> Vec<Vec<f32>> {
    let image = ImageShape { channels: 3, height: 20, width: 20 };
    let context = context(Norm::Linf, 0.1, image);
    let square = Square::new(&queries(5000), &context);
    let clean = CleanImage { image: 0, pixels: grey(image).into(), label: 1, targets: [0].into() };
    let mut search = square.search(&clean, 0);
    let mut proposals = vec![vec![f32::NAN; image.pixels()]];
    search.propose(&mut proposals[0]);
    for margin in margins {
        let logits = [1.0, 1.0 + margin];
        assert_eq!(search.observe(&Answer { logits: &logits, loss: 0.0, gradient: &[] }), Step::Continue);
        let mut proposal = vec![f32::NAN; image.pixels()];
        search.propose(&mut proposal);
        proposals.push(proposal);
    }
    proposals
}

#[test]
fn only_a_smaller_margin_or_one_of_zero_or_less_is_accepted() {
    struct Case {
        margins: &'static [f32],
        accepted: bool,
    }
    let cases = [
        Case { margins: &[2.0, 1.5], accepted: true },
        Case { margins: &[2.0, 2.0], accepted: false },
        Case { margins: &[2.0, 2.5], accepted: false },
        // A tie, and what the scheduler refutes if the search is still asked.
        Case { margins: &[2.0, 0.0], accepted: true },
        Case { margins: &[2.0, -1.0], accepted: true },
        // After a refutation: no better, but it looks broken; and what does not.
        Case { margins: &[2.0, -1.0, -0.5], accepted: true },
        Case { margins: &[2.0, -1.0, -1.0], accepted: true },
        Case { margins: &[2.0, -1.0, 0.5], accepted: false },
    ];
    for Case { margins, accepted } in cases {
        // The same stream, with a last answer that is certainly refused.
        let (last, before) = margins.split_last().unwrap();
        let refused = answered(&[before, &[f32::MAX]].concat());
        let proposals = answered(margins);
        let count = margins.len();
        assert_eq!(proposals[..count], refused[..count], "{margins:?}");
        // The next proposal has the same window with the same signs; only what it is a neighbour of differs.
        assert_eq!(proposals[count] != refused[count], accepted, "{margins:?} {last}");
    }
}
