use mimir_bundle::Norm;

use super::super::{ApgdRun, RadiusPhase, StepRule};
use super::*;
use crate::attack::{Answer, Step};
use crate::ball::Ball;
use crate::random::{Key, Stream};
use crate::testing::ball;

fn spec(steps: usize) -> ApgdSpec {
    ApgdSpec { steps, ..ApgdSpec::default() }
}

fn start(spec: &ApgdSpec, ball: Ball, point: &[f32]) -> ApgdRun {
    ApgdRun::new(spec, RadiusPhase { ball, steps: spec.steps }, point, Iterates::new(point.to_vec()))
}

fn rule(run: &mut ApgdRun) -> &mut Momentum {
    match &mut run.rule {
        StepRule::Momentum(momentum) => momentum,
        StepRule::Sparse(_) => panic!("L1 has another rule"),
    }
}

/// Drives one run over one pixel with those losses (of the random start, then after each step) and a gradient of 1.
/// Returns the run after each observation.
fn drive(spec: &ApgdSpec, losses: &[f32], mut look: impl FnMut(usize, &mut ApgdRun)) {
    let mut run = start(spec, ball(Norm::Linf, 0.5), &[0.5]);
    for (seen, loss) in losses.iter().enumerate() {
        run.observe(spec, &[0.5], &Answer { logits: &[], loss: *loss, gradient: &[1.0] });
        look(seen, &mut run);
    }
}

#[test]
fn checkpoints_are_those_of_the_paper() {
    let fixture = crate::attack::testing::fixture("apgd.json");
    let cases = fixture["checkpoints"].as_array().unwrap();
    assert_eq!(cases.len(), 10);
    for case in cases {
        let steps = case["steps"].as_u64().unwrap() as usize;
        let mut checkpoints = Vec::new();
        drive(&spec(steps), &vec![1.0; steps + 1], |seen, run| {
            if seen > 0 && rule(run).checkpoint.steps == 0 {
                checkpoints.push(seen);
            }
        });
        assert_eq!(serde_json::json!(checkpoints), case["after"], "{steps} steps");
    }
}

#[test]
fn a_hundred_steps_have_eight_checkpoints() {
    let mut checkpoints = Vec::new();
    drive(&spec(100), &[1.0; 101], |seen, run| {
        if seen > 0 && rule(run).checkpoint.steps == 0 {
            checkpoints.push(seen);
        }
    });
    assert_eq!(checkpoints, [22, 41, 57, 70, 80, 87, 93, 99]);
}

/// Ten steps have checkpoints after steps 2, 3, 4, … 10, each later period being 1.
#[test]
fn step_halvings_by_hand() {
    struct Case {
        name: &'static str,
        losses: [f32; 6],
        /// Step size in units of ε after each observation.
        want: [f32; 6],
    }
    let cases = [
        Case {
            name: "every step raises the loss, the first counts as a rise from zero",
            losses: [0.5, 1.0, 2.0, 3.0, 4.0, 5.0],
            want: [2.0; 6],
        },
        Case {
            // At the checkpoint after step 2: hist[0] > hist[-1] = 0 and hist[1] > hist[0]: 2 > 0.75 · 2.
            name: "the wrapped comparison is with the zero of the last row, not with the start",
            losses: [9.0, 1.0, 2.0, 3.0, 4.0, 5.0],
            // No improvement on the start cannot fire at the first checkpoint; it does at the second, and then rests
            // for one checkpoint because the step was just halved.
            want: [2.0, 2.0, 2.0, 1.0, 1.0, 0.5],
        },
        Case {
            // hist[0] = -2 > hist[-1] = 0 fails: 1 rise of 2.
            name: "a negative first loss does not count as a rise",
            losses: [-3.0, -2.0, -1.0, -0.5, -0.25, -0.125],
            want: [2.0, 2.0, 1.0, 1.0, 1.0, 1.0],
        },
        Case {
            // A ratio that rises from below zero: the first step has a rise too few, and what follows rests on that.
            name: "the ratio of a correct image starts below zero and crosses it",
            losses: [-0.5, -0.25, -0.125, 0.25, 0.5, 0.25],
            want: [2.0, 2.0, 1.0, 1.0, 1.0, 0.5],
        },
        Case {
            // hist[0] = -0.125 > hist[-1] = 0 fails, hist[1] = 0 > -0.125: 1 rise of 2.
            name: "a ratio of zero is a rise from below but not from the zero before the first step",
            losses: [-0.25, -0.125, 0.0, 0.0, 0.25, 0.5],
            want: [2.0, 2.0, 1.0, 0.5, 0.5, 0.5],
        },
        Case { name: "equal losses are no rise", losses: [1.0; 6], want: [2.0, 2.0, 1.0, 0.5, 0.25, 0.125] },
    ];
    for Case { name, losses, want } in cases {
        drive(&spec(10), &losses, |seen, run| {
            assert_eq!(rule(run).step_size, 0.5 * want[seen], "{name}: after observation {seen}");
        });
    }
}

#[test]
fn a_halving_returns_to_the_best_point_and_its_gradient_with_the_old_momentum() {
    let spec = spec(10);
    let mut run = start(&spec, ball(Norm::Linf, 0.5), &[0.5]);
    rule(&mut run).step_size = 0.1;
    let mut observe = |loss, gradient| {
        run.observe(&spec, &[0.5], &Answer { logits: &[], loss, gradient: &[gradient] });
        (run.iterates.point()[0], run.iterates.previous()[0], rule(&mut run).step_size)
    };
    let close = |(point, previous, step_size): (f32, f32, f32), want: (f32, f32, f32)| {
        let gap = (point - want.0).abs().max((previous - want.1).abs()).max((step_size - want.2).abs());
        assert!(gap < 1e-6, "{point} {previous} {step_size}, want {want:?}");
    };
    // Start at 0.5: the first step has weight 1.
    close(observe(1.0, 1.0), (0.6, 0.5, 0.1));
    // Best so far, at 0.6 with gradient -1: 0.6 + 0.75 · (-0.1) + 0.25 · 0.1.
    close(observe(2.0, -1.0), (0.55, 0.6, 0.1));
    // Checkpoint: one rise too few, so back to 0.6 with gradient -1 and half the step. The last movement is counted
    // from the iterate before 0.55, which is 0.6: none.
    close(observe(1.5, 1.0), (0.6 - 0.75 * 0.05, 0.6, 0.05));
}

#[test]
fn the_first_of_equal_losses_stays_the_best_point() {
    drive(&spec(10), &[1.0; 11], |_, run| assert_eq!(run.iterates.best(), [0.5]));
}

/// The algorithm once more, written from its description in double precision and without any regard for speed, to be
/// compared with on losses and gradients that are random.
struct Literal {
    norm: Norm,
    epsilon: f64,
    clean: Vec<f64>,
    x: Vec<f64>,
    x_old: Vec<f64>,
    x_best: Vec<f64>,
    gradient: Vec<f64>,
    gradient_best: Vec<f64>,
    loss_best: f32,
    history: Vec<f32>,
    step_size: f64,
    k: usize,
    counter: usize,
    reduced_last: bool,
    loss_best_last: f32,
}

impl Literal {
    fn project(&self, v: &[f64]) -> Vec<f64> {
        let change: Vec<f64> = v.iter().zip(&self.clean).map(|(v, x)| v - x).collect();
        let length = change.iter().map(|d| d * d).sum::<f64>().sqrt();
        let inside = change.iter().zip(&self.clean).map(|(d, x)| match self.norm {
            Norm::Linf => x + d.clamp(-self.epsilon, self.epsilon),
            Norm::L2 => x + d / (length + 1e-12) * length.min(self.epsilon),
            Norm::L1 => unreachable!("L1 has another step"),
        });
        inside.map(|v| v.clamp(0.0, 1.0)).collect()
    }

    fn direction(&self) -> Vec<f64> {
        let length = self.gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        let sign = |g: &f64| if *g == 0.0 { 0.0 } else { g.signum() };
        match self.norm {
            Norm::Linf => self.gradient.iter().map(sign).collect(),
            Norm::L2 => self.gradient.iter().map(|g| g / (length + 1e-12)).collect(),
            Norm::L1 => unreachable!("L1 has another step"),
        }
    }

    fn step(&mut self, i: usize) {
        let a = if i == 0 { 1.0 } else { 0.75 };
        let movement: Vec<f64> = self.x.iter().zip(&self.x_old).map(|(x, old)| x - old).collect();
        self.x_old = self.x.clone();
        let moved: Vec<f64> =
            self.x.iter().zip(self.direction()).map(|(x, d)| x + self.step_size * d).collect();
        let z = self.project(&moved);
        let mixed: Vec<f64> =
            (0..z.len()).map(|p| self.x[p] + a * (z[p] - self.x[p]) + (1.0 - a) * movement[p]).collect();
        self.x = self.project(&mixed);
    }

    fn record(&mut self, i: usize, steps: usize, loss: f32, gradient: &[f64]) {
        self.gradient = gradient.to_vec();
        self.history[i] = loss;
        if loss > self.loss_best {
            self.x_best = self.x.clone();
            self.gradient_best = self.gradient.clone();
            self.loss_best = loss;
        }
        self.counter += 1;
        if self.counter == self.k {
            let at = |index: i64| self.history[index.rem_euclid(steps as i64) as usize];
            let rises = (0..self.k as i64).filter(|c| at(i as i64 - c) > at(i as i64 - c - 1)).count();
            let oscillates = rises as f64 <= 0.75 * self.k as f64;
            let no_improvement = !self.reduced_last && self.loss_best_last >= self.loss_best;
            self.reduced_last = oscillates || no_improvement;
            self.loss_best_last = self.loss_best;
            if self.reduced_last {
                self.step_size /= 2.0;
                self.x = self.x_best.clone();
                self.gradient = self.gradient_best.clone();
            }
            let decrement = ((0.03 * steps as f64) as usize).max(1);
            let shortest = ((0.06 * steps as f64) as usize).max(1);
            self.k = (self.k as i64 - decrement as i64).max(shortest as i64) as usize;
            self.counter = 0;
        }
    }
}

#[test]
fn agrees_with_a_literal_transcription_on_random_losses() {
    const PIXELS: usize = 11;
    for case in 0..200 {
        let steps = [7, 10, 33, 50, 100][case % 5];
        let norm = [Norm::Linf, Norm::L2][case % 2];
        let mut noise =
            Stream::new(&Key { seed: case as u64, image: 0, attack: "test", target: None, restart: 0 });
        let mut draw = |count: usize| {
            let mut values = vec![0.0_f32; count];
            noise.fill_uniform(&mut values);
            values
        };
        let clean: Vec<f32> = draw(PIXELS).iter().map(|value| 0.5 + 0.5 * value).collect();
        // Losses that drift upwards, stall or fall, of either sign.
        let drift = draw(1)[0] * 0.2;
        let losses: Vec<f32> =
            draw(steps + 1).iter().enumerate().map(|(step, noise)| step as f32 * drift + noise).collect();
        let gradients: Vec<Vec<f32>> = (0..=steps).map(|_| draw(PIXELS)).collect();
        compare(norm, steps, &clean, &losses, &gradients);
    }
}

fn compare(norm: Norm, steps: usize, clean: &[f32], losses: &[f32], gradients: &[Vec<f32>]) {
    let wide = |values: &[f32]| values.iter().map(|value| f64::from(*value)).collect::<Vec<f64>>();
    let spec = spec(steps);
    let mut run = start(&spec, ball(norm, 0.25), clean);
    let mut literal = Literal {
        norm,
        epsilon: 0.25,
        clean: wide(clean),
        x: wide(clean),
        x_old: wide(clean),
        x_best: wide(clean),
        gradient: wide(&gradients[0]),
        gradient_best: wide(&gradients[0]),
        loss_best: losses[0],
        history: vec![0.0; steps],
        step_size: 0.5,
        k: ((0.22 * steps as f64) as usize).max(1),
        counter: 0,
        reduced_last: true,
        loss_best_last: losses[0],
    };
    for (seen, (loss, gradient)) in losses.iter().zip(gradients).enumerate() {
        let answer = Answer { logits: &[], loss: *loss, gradient };
        let step = run.observe(&spec, clean, &answer);
        if seen > 0 {
            literal.record(seen - 1, steps, *loss, &wide(gradient));
        }
        assert_eq!(
            f64::from(rule(&mut run).step_size),
            literal.step_size,
            "{norm:?}, {steps} steps, after {seen}"
        );
        assert_eq!(step == Step::Done, seen == steps);
        if seen < steps {
            literal.step(seen);
            for (fast, slow) in run.iterates.point().iter().zip(&literal.x) {
                assert!((f64::from(*fast) - slow).abs() < 1e-5, "{norm:?}, {steps} steps, after {seen}");
            }
        }
    }
}
