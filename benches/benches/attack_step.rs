//! What an attack itself costs: one step of one CIFAR-10 image (3,072 pixels), without any model.
//!
//! To be compared with the model's share of a step, the time per image of `gradient_graph`. For APGD the loss rises at every
//! step, so that each pays for a new best point too. For Square the figure is the mean over its 5,000 queries.
//!
//! ```text
//! cargo bench -p mimir-benches --bench attack_step
//! ```

use std::hint::black_box;

use criterion::{Bencher, Criterion, criterion_group, criterion_main};
use mimir_bundle::attack::{ApgdSpec, SquareSpec};
use mimir_bundle::{AttackSpec, ImageShape, Norm, ThreatModel};
use mimir_runtime::attack::{Answer, Attack, Distances, Setting, Step, Subject, attack};
use mimir_runtime::ball::{Ascent, Ball};
use mimir_runtime::random::{Key, Stream};

const IMAGE: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };

fn noise(image: usize) -> Vec<f32> {
    let mut values = vec![0.0; IMAGE.pixels()];
    Stream::new(&Key { seed: 0, image, attack: "bench", target: None, restart: 0 }).fill_uniform(&mut values);
    values
}

fn attack_step(criterion: &mut Criterion) {
    let clean: Vec<f32> = noise(0).iter().map(|value| 0.5 + 0.5 * value).collect();
    let gradient = noise(1);
    for (norm, epsilon) in [(Norm::Linf, 2.0 / 255.0), (Norm::L2, 0.5), (Norm::L1, 12.0)] {
        let ball = Ball::new(&ThreatModel { norm, epsilon }).expect("a valid radius");
        criterion.bench_function(&format!("{norm:?}/advance"), |bencher| {
            let (mut point, mut previous) = (clean.clone(), clean.clone());
            bencher.iter(|| {
                let ascent = Ascent {
                    centre: &clean,
                    point: &point,
                    gradient: &gradient,
                    step_size: ball.epsilon(),
                    momentum: 0.75,
                };
                ball.advance(ascent, &mut previous);
                std::mem::swap(&mut point, &mut previous);
            });
            black_box(point);
        });
        let setting = Setting { ball, seed: 0, image: IMAGE, classes: 2, distances: Distances::WithinBall };
        let apgd = ApgdSpec { steps: 1_000_000, ..ApgdSpec::default() };
        for spec in [AttackSpec::ApgdCe(apgd), AttackSpec::Square(SquareSpec::default())] {
            let attack = attack(&spec, &setting).expect("valid parameters");
            let name = format!("{norm:?}/{}, propose and observe", spec.name());
            criterion.bench_function(&name, |bencher| step(bencher, &*attack, &clean, &gradient));
        }
    }
}

/// Times one proposal and its answer. The loss always rises; the margin never falls.
fn step(bencher: &mut Bencher, attack: &dyn Attack, clean: &[f32], gradient: &[f32]) {
    let subject = Subject { image: 0, pixels: clean.into(), label: 0, targets: [1].into() };
    let mut search = attack.search(&subject, 0);
    let (mut proposal, mut loss) = (vec![0.0; clean.len()], 1.0);
    bencher.iter(|| {
        search.propose(&mut proposal);
        loss += 1.0;
        if search.observe(&Answer { logits: &[1.0, 0.0], loss, gradient }) == Step::Done {
            search = attack.search(&subject, 0);
            loss = 1.0;
        }
    });
    black_box(proposal);
}

criterion_group!(benches, attack_step);
criterion_main!(benches);
