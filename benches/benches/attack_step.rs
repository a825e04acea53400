//! What an attack itself costs: a step of APGD and of others on one CIFAR-10 image (3,072 pixels), without any model.
//!
//! To be compared with the model's share of a step, the time per image of `gradient_graph`. The loss rises at every
//! step, so that each pays for a new best point too.
//!
//! ```text
//! cargo bench -p mimir-benches --bench attack_step
//! ```

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use mimir_bundle::attack::{Argument, AttackSpec};
use mimir_bundle::{ImageShape, Norm, Pixels, ThreatModel};
use mimir_runtime::attack::{Answer, AttackContext, CleanImage, DistanceGoal, Query, Step, attack};
use mimir_runtime::ball::{Ball, GradientStep, MomentumStep, Scratch};
use mimir_runtime::random::{Key, Stream};

const SHAPE: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };

fn noise(image: usize) -> Vec<f32> {
    let mut values = vec![0.0; SHAPE.pixels()];
    Stream::new(&Key { seed: 0, image, attack: "bench", target: None, restart: 0 }).fill_uniform(&mut values);
    values
}

fn attack_step(criterion: &mut Criterion) {
    let clean: Vec<f32> = noise(0).iter().map(|value| 0.5 + 0.5 * value).collect();
    for (norm, epsilon) in [(Norm::Linf, 2.0 / 255.0), (Norm::L2, 0.5), (Norm::L1, 12.0)] {
        let ball =
            Ball::new(&ThreatModel { norm, epsilon, pixels: Pixels::Continuous }).expect("a valid radius");
        momentum_step(criterion, norm, ball, &clean);
        gradient_step(criterion, norm, ball, &clean);
        start(criterion, norm, ball, &clean);
        apgd(criterion, norm, ball, &clean);
        other(criterion, norm, ball, &clean);
    }
}

fn momentum_step(criterion: &mut Criterion, norm: Norm, ball: Ball, clean: &[f32]) {
    let gradient = noise(1);
    criterion.bench_function(&format!("{norm:?}/momentum step"), |bencher| {
        let [mut point, mut previous, mut next] = [clean.to_vec(), clean.to_vec(), clean.to_vec()];
        bencher.iter(|| {
            let step = MomentumStep {
                centre: clean,
                point: &point,
                previous: &previous,
                gradient: &gradient,
                step_size: ball.epsilon(),
                momentum: 0.75,
            };
            ball.momentum_step(step, &mut next);
            std::mem::swap(&mut previous, &mut next);
            std::mem::swap(&mut point, &mut previous);
        });
        black_box(point);
    });
}

fn gradient_step(criterion: &mut Criterion, norm: Norm, ball: Ball, clean: &[f32]) {
    let gradient = noise(1);
    criterion.bench_function(&format!("{norm:?}/gradient step"), |bencher| {
        let (mut point, mut next) = (clean.to_vec(), clean.to_vec());
        let mut scratch = Scratch::default();
        bencher.iter(|| {
            let step_size = ball.epsilon();
            let step =
                GradientStep { centre: clean, point: &point, gradient: &gradient, step_size, density: 0.2 };
            ball.gradient_step(step, &mut scratch, &mut next);
            std::mem::swap(&mut point, &mut next);
        });
        black_box(point);
    });
}

fn start(criterion: &mut Criterion, norm: Norm, ball: Ball, clean: &[f32]) {
    let mut point = vec![0.0; clean.len()];
    criterion.bench_function(&format!("{norm:?}/random start"), |bencher| {
        let key = Key { seed: 0, image: 2, attack: "bench", target: None, restart: 0 };
        bencher.iter(|| ball.random_start(clean, &mut Stream::new(&key), black_box(&mut point)));
    });
}

fn apgd(criterion: &mut Criterion, norm: Norm, ball: Ball, clean: &[f32]) {
    let gradient = noise(1);
    criterion.bench_function(&format!("{norm:?}/propose and observe"), |bencher| {
        let mut spec = AttackSpec::named("apgd-ce").expect("a known attack");
        if let AttackSpec::ApgdCe(apgd) = &mut spec {
            apgd.steps = 1_000_000;
        }
        let context =
            AttackContext { ball, seed: 0, image: SHAPE, classes: 10, distances: DistanceGoal::WithinBall };
        let apgd = attack(&spec, &context).expect("valid parameters");
        let clean_image = CleanImage { image: 0, pixels: clean.into(), label: 0, targets: [].into() };
        let mut search = apgd.search(&clean_image, 0);
        let (mut proposal, mut loss) = (vec![0.0; SHAPE.pixels()], 1.0);
        bencher.iter(|| {
            search.propose(&mut proposal);
            loss += 1.0;
            if search.observe(&Answer { logits: &[], loss, gradient: &gradient }) == Step::Done {
                search = apgd.search(&clean_image, 0);
                loss = 1.0;
            }
        });
        black_box(proposal);
    });
}

/// Those with a step of their own, under answers that never break the image.
fn other(criterion: &mut Criterion, norm: Norm, ball: Ball, clean: &[f32]) {
    let gradient = noise(1);
    let context =
        AttackContext { ball, seed: 0, image: SHAPE, classes: 10, distances: DistanceGoal::WithinBall };
    for name in ["fmn", "ddn", "cw", "hopskipjump", "pgd"] {
        let mut spec = AttackSpec::named(name).expect("a known attack");
        if spec.check_norm(norm).is_err() {
            continue;
        }
        for parameter in ["steps", "queries"] {
            spec.set(parameter, Argument::Count(1_000_000));
        }
        spec.set("momentum_decay", Argument::Number(1.0));
        let attack = attack(&spec, &context).expect("valid parameters");
        let clean_image = CleanImage { image: 0, pixels: clean.into(), label: 0, targets: [].into() };
        let (mut proposal, mut asked, mut loss) = (vec![0.0; SHAPE.pixels()], 0_usize, -1.0);
        criterion.bench_function(&format!("{norm:?}/{name}"), |bencher| {
            let mut search = attack.search(&clean_image, 0);
            bencher.iter(|| {
                search.propose(&mut proposal);
                asked += 1;
                loss *= 0.999_999;
                // HopSkipJump needs points on both sides.
                let other = if name == "hopskipjump" && asked.is_multiple_of(2) { 2.0 } else { 0.0 };
                let logits = &[1.0, other];
                let answer = match search.query() == Query::Forward {
                    true => Answer { logits, loss: 0.0, gradient: &[] },
                    false => Answer { logits, loss, gradient: &gradient },
                };
                if search.observe(&answer) == Step::Done {
                    search = attack.search(&clean_image, 0);
                }
            });
        });
    }
    black_box(gradient);
}

criterion_group!(benches, attack_step);
criterion_main!(benches);
