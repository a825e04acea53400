//! What an attack itself costs: one APGD step of one CIFAR-10 image (3,072 pixels), without any model.
//!
//! To be compared with the model's share of a step, the time per image of `gradient_graph`. The loss rises at every
//! step, so that each pays for a new best point too.
//!
//! ```text
//! cargo bench -p mimir-benches --bench attack_step
//! ```

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use mimir_bundle::{Norm, ThreatModel};
use mimir_runtime::attack::apgd::Apgd;
use mimir_runtime::attack::{Answer, ApgdSpec, Attack, Step, Subject};
use mimir_runtime::ball::{Ascent, Ball};
use mimir_runtime::random::{Key, Stream};

const PIXELS: usize = 3072;

fn noise(image: usize) -> Vec<f32> {
    let mut values = vec![0.0; PIXELS];
    Stream::new(&Key { seed: 0, image, attack: "bench", target: None, restart: 0 }).fill_uniform(&mut values);
    values
}

fn attack_step(criterion: &mut Criterion) {
    let clean: Vec<f32> = noise(0).iter().map(|value| 0.5 + 0.5 * value).collect();
    let gradient = noise(1);
    for (norm, epsilon) in [(Norm::Linf, 2.0 / 255.0), (Norm::L2, 0.5)] {
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
        criterion.bench_function(&format!("{norm:?}/propose and observe"), |bencher| {
            let spec = ApgdSpec { steps: 1_000_000, ..ApgdSpec::default() };
            let apgd = Apgd::new("apgd-ce", spec, ball, 0).expect("valid parameters");
            let subject = Subject { image: 0, pixels: &clean, label: 0, clean_logits: &[] };
            let mut search = apgd.search(subject);
            let (mut proposal, mut loss) = (vec![0.0; PIXELS], 1.0);
            bencher.iter(|| {
                search.propose(&mut proposal);
                loss += 1.0;
                if search.observe(&Answer { logits: &[], loss, gradient: &gradient }) == Step::Done {
                    search = apgd.search(subject);
                    loss = 1.0;
                }
            });
            black_box(proposal);
        });
    }
}

criterion_group!(benches, attack_step);
criterion_main!(benches);
