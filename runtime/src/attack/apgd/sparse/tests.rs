use mimir_bundle::attack::{ApgdSpec, RadiusSchedule};
use mimir_bundle::{Norm, Pixels, ThreatModel};

use super::super::{ApgdRun, RadiusPhase, StepRule};
use super::*;
use crate::attack::{Answer, Step};
use crate::ball::Ball;
use crate::random::{Key, Stream};

const EPSILON: f64 = 1.5;

fn start(spec: &ApgdSpec, centre: &[f32], point: &[f32]) -> ApgdRun {
    let ball =
        Ball::new(&ThreatModel { norm: Norm::L1, epsilon: EPSILON, pixels: Pixels::Continuous }).unwrap();
    ApgdRun::new(spec, RadiusPhase { ball, steps: spec.steps }, centre, Iterates::new(point.to_vec()))
}

fn rule(run: &ApgdRun) -> &Sparse {
    match &run.rule {
        StepRule::Sparse(sparse) => sparse,
        StepRule::Momentum(_) => panic!("L1 has another rule"),
    }
}

#[test]
fn the_period_is_a_share_of_the_steps_and_never_changes() {
    for (steps, want) in [(100, 4), (30, 1), (40, 1), (1, 1), (24, 1), (50, 2), (1000, 40)] {
        assert_eq!(Sparse::new(steps, 1.0, 10).period, want, "{steps} steps");
    }
    let mut sparse = Sparse::new(100, 1.0, 4);
    for step in 0..100 {
        let before = sparse.step_size;
        sparse.record(step, 1.0, &[0.0; 4], &[1.0; 4]);
        let checked = step % 4 == 3 && before > 0.1;
        assert_eq!(sparse.step_size != before, checked, "step {step}");
    }
}

#[test]
fn checks_by_hand() {
    // Period 1, ε = 3, 100 pixels; the best point changes so many of them at each check.
    let mut sparse = Sparse::new(10, 3.0, 100);
    assert_eq!((sparse.density, sparse.step_size), (0.2, 3.0));
    let checks = [
        // 90 of 100 is sparser; 86 of 90 is not, by 0.0056; 81 of 86 is.
        (90, true, 3.0),
        (86, false, 2.0),
        (81, true, 3.0),
        (81, false, 2.0),
        (90, false, 2.0 / 1.5),
        (90, false, 2.0 / 2.25),
        (90, false, 2.0 / 3.375),
        (90, false, 2.0 / 5.0625),
        // Not below ε / 10.
        (90, false, 0.3),
        (0, true, 3.0),
        // Nothing of nothing, and something of nothing, are not sparser.
        (0, false, 2.0),
        (9, false, 2.0 / 1.5),
    ];
    for (step, (changed, sparser, step_size)) in checks.into_iter().enumerate() {
        let mut best = [0.0; 100];
        best[..changed].fill(0.5);
        assert_eq!(sparse.record(step, 3.0, &[0.0; 100], &best), sparser, "check {step}");
        assert!((sparse.step_size - step_size).abs() < 1e-6, "check {step}: {}", sparse.step_size);
        assert!((sparse.density - changed as f32 / 150.0).abs() < 1e-7, "check {step}: {}", sparse.density);
    }
}

#[test]
fn a_given_start_says_how_sparse_the_first_steps_are() {
    let sparse = Sparse::from_start(10, 1.0, &[0.5; 6], &[0.5, 0.6, 0.5, 0.5, 0.4, 0.7]);
    assert_eq!((sparse.changed, sparse.density), (3, 0.5 / 1.5));
}

/// The algorithm once more, written from its description in double precision and without any regard for speed.
struct Literal {
    clean: Vec<f64>,
    x: Vec<f64>,
    x_best: Vec<f64>,
    gradient: Vec<f64>,
    gradient_best: Vec<f64>,
    loss_best: f32,
    step_size: f64,
    /// In single precision, as is the position that it leads to: both are rounded down to whole numbers.
    topk: f32,
    sparsity_old: f64,
    k: usize,
    counter: usize,
}

impl Literal {
    /// By bisection of the amount that every change loses.
    fn project(&self, v: &[f64]) -> Vec<f64> {
        let d: Vec<f64> = v.iter().zip(&self.clean).map(|(v, x)| v - x).collect();
        let kept = |amount: f64| -> Vec<f64> {
            let room =
                |pixel: usize| if d[pixel] > 0.0 { 1.0 - self.clean[pixel] } else { self.clean[pixel] };
            (0..d.len()).map(|p| (d[p].abs() - amount).max(0.0).min(room(p)) * d[p].signum()).collect()
        };
        let sum = |amount: f64| kept(amount).iter().map(|k| k.abs()).sum::<f64>();
        let (mut low, mut high) = (0.0, d.iter().fold(0.0, |most: f64, d| most.max(d.abs())));
        if sum(low) <= EPSILON {
            high = 0.0;
        }
        for _ in 0..200 {
            let middle = 0.5 * (low + high);
            if sum(middle) > EPSILON { low = middle } else { high = middle }
        }
        kept(high).iter().zip(&self.clean).map(|(k, x)| x + k).collect()
    }

    fn step(&mut self) {
        let pixels = self.x.len();
        let mut ascending: Vec<f64> = self.gradient.iter().map(|g| g.abs()).collect();
        ascending.sort_by(f64::total_cmp);
        let position = ((1.0 - self.topk) * pixels as f32).clamp(0.0, pixels as f32 - 1.0) as usize;
        let sign = |g: &f64| if g.abs() >= ascending[position] && *g != 0.0 { g.signum() } else { 0.0 };
        let signs: Vec<f64> = self.gradient.iter().map(sign).collect();
        let count = signs.iter().map(|s| s.abs()).sum::<f64>() + 1e-10;
        let v: Vec<f64> = self.x.iter().zip(&signs).map(|(x, s)| x + self.step_size * s / count).collect();
        self.x = self.project(&v);
    }

    fn record(&mut self, loss: f32, gradient: &[f64]) {
        self.gradient = gradient.to_vec();
        if loss > self.loss_best {
            self.x_best = self.x.clone();
            self.gradient_best = self.gradient.clone();
            self.loss_best = loss;
        }
        self.counter += 1;
        if self.counter == self.k {
            let sparsity = self.x_best.iter().zip(&self.clean).filter(|(b, x)| b != x).count() as f64;
            let sparser = sparsity / self.sparsity_old < 0.95;
            self.topk = sparsity as f32 / self.x.len() as f32 / 1.5;
            self.step_size = if sparser { EPSILON } else { self.step_size / 1.5 };
            self.step_size = self.step_size.clamp(EPSILON / 10.0, EPSILON);
            self.sparsity_old = sparsity;
            if sparser {
                self.x = self.x_best.clone();
                self.gradient = self.gradient_best.clone();
            }
            self.counter = 0;
        }
    }
}

#[test]
fn agrees_with_a_literal_transcription_on_random_losses() {
    const PIXELS: usize = 37;
    let mut sparser = 0;
    for case in 0..200 {
        let (steps, given) = ([7, 30, 50, 100][case % 4], case % 3 == 0);
        let key = Key { seed: case as u64, image: 0, attack: "sparse", target: None, restart: 0 };
        let mut noise = Stream::new(&key);
        let mut draw = |count: usize| {
            let mut values = vec![0.0_f32; count];
            noise.fill_uniform(&mut values);
            values
        };
        // Some pixels at the edges of the box.
        let clean: Vec<f32> = draw(PIXELS).iter().map(|value| (0.5 + 0.6 * value).clamp(0.0, 1.0)).collect();
        let point: Vec<f32> =
            clean.iter().zip(draw(PIXELS)).map(|(x, d)| if d > 0.5 { 0.5 } else { *x }).collect();
        let drift = draw(1)[0] * 0.2;
        let losses: Vec<f32> =
            draw(steps + 1).iter().enumerate().map(|(step, noise)| step as f32 * drift + noise).collect();
        // A third of the slopes is zero.
        let gradients: Vec<Vec<f32>> = (0..=steps)
            .map(|_| draw(PIXELS).iter().map(|g| if g.abs() < 0.33 { 0.0 } else { *g }).collect())
            .collect();
        sparser += compare(steps, given, &clean, &point, &losses, &gradients);
    }
    assert!(sparser > 50, "runs became sparser only {sparser} times");
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

/// How often the run became sparser.
fn compare(
    steps: usize,
    given: bool,
    clean: &[f32],
    point: &[f32],
    losses: &[f32],
    gradients: &[Vec<f32>],
) -> usize {
    let radius_schedule = if given { RadiusSchedule::Shrinking } else { RadiusSchedule::Fixed };
    let spec = ApgdSpec { steps, radius_schedule, ..ApgdSpec::default() };
    let mut run = start(&spec, clean, point);
    let pixels = clean.len() as f64;
    let changed = clean.iter().zip(point).filter(|(x, p)| x != p).count() as f64;
    let mut literal = Literal {
        clean: wide(clean),
        x: wide(point),
        x_best: wide(point),
        gradient: wide(&gradients[0]),
        gradient_best: wide(&gradients[0]),
        loss_best: losses[0],
        step_size: EPSILON,
        topk: if given { changed as f32 / pixels as f32 / 1.5 } else { 0.2 },
        sparsity_old: if given { changed } else { pixels },
        k: ((0.04 * steps as f64) as usize).max(1),
        counter: 0,
    };
    let mut sparser = 0;
    for (seen, (loss, gradient)) in losses.iter().zip(gradients).enumerate() {
        let step = run.observe(&spec, clean, &Answer { logits: &[], loss: *loss, gradient });
        if seen > 0 {
            let before = literal.step_size;
            literal.record(*loss, &wide(gradient));
            sparser += usize::from(literal.step_size > before);
        }
        let gap = (f64::from(rule(&run).step_size) - literal.step_size).abs();
        assert!(gap < 1e-6, "{steps} steps, after {seen}: {gap}");
        assert_eq!(step == Step::Done, seen == steps);
        if seen < steps {
            literal.step();
            for (fast, slow) in run.iterates.point().iter().zip(&literal.x) {
                assert!((f64::from(*fast) - slow).abs() < 1e-5, "{steps} steps, after {seen}: {fast} {slow}");
            }
            // Which pixels are changed at all is a question of the last bit, so both go on from the same point.
            literal.x = wide(run.iterates.point());
        }
    }
    sparser
}
