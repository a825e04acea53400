//! rten beside ONNX Runtime: a gradient graph on both engines, in runs that alternate.
//!
//! `cargo bench -p mimir-benches --bench engines`. A ViT-T/4 at 32×32, batch 32, two threads. It prints the ratio of the
//! medians of wall time and, on Linux, of the sums of user time, which other programs on the machine change less.

use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use mimir_bundle::{Loss, tensor_names};
use mimir_export::autodiff::{Kernels, differentiate};
use mimir_export::onnx::write_model;
use mimir_export::vit::{VitConfig, vit};
use mimir_runtime::session::{Data, Engine, Input, RawSession, SessionOptions};

const BATCH: usize = 32;
const THREADS: usize = 2;
const CONFIG: VitConfig = VitConfig::TINY_CIFAR10;

/// Runs of each engine for the printed ratio.
const RUNS: usize = 11;

struct Side {
    name: &'static str,
    session: RawSession,
    wall: Vec<f64>,
    user: f64,
}

impl Side {
    fn new(engine: &Engine, model: &[u8]) -> Self {
        let options = SessionOptions { threads: THREADS, ..SessionOptions::default() };
        let session = RawSession::new(engine, model, options).expect("the engine takes our own graph");
        Self { name: engine.kind().name(), session, wall: Vec::new(), user: 0.0 }
    }

    fn run(&mut self, images: &[f32]) {
        let (dims, labels) = ([BATCH, CONFIG.channels, CONFIG.image_size, CONFIG.image_size], [0_i64; BATCH]);
        let images = Input { name: tensor_names::IMAGES, dims: &dims, data: Data::F32(images) };
        let labels = Input { name: tensor_names::LABELS, dims: &[BATCH], data: Data::I64(&labels) };
        black_box(self.session.run(&[images, labels]).expect("the gradient graph runs"));
    }

    fn timed(&mut self, images: &[f32]) {
        let (start, user) = (Instant::now(), user_seconds());
        self.run(images);
        self.wall.push(start.elapsed().as_secs_f64());
        self.user += user_seconds() - user;
    }

    fn median(&self) -> f64 {
        let mut sorted = self.wall.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }
}

/// User time of this process and its threads; 0 where the system has no `/proc`.
fn user_seconds() -> f64 {
    // The fields after the program's name in parentheses; ticks of 10 ms on every Linux.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks =
        stat.rsplit(')').next().and_then(|fields| fields.split_whitespace().nth(11)?.parse::<f64>().ok());
    ticks.unwrap_or(0.0) / 100.0
}

fn engines(criterion: &mut Criterion) {
    let forward = vit(CONFIG, 0).expect("the sizes fit");
    let gradient =
        differentiate(&forward, Loss::CrossEntropy, Kernels::Standard).expect("every operator has a rule");
    let model = write_model(&gradient).expect("our own graph can be written");
    let ort = Engine::load(None).expect("ONNX Runtime is there: `make setup` fetches it");
    let mut sides = [Side::new(&ort, &model), Side::new(&Engine::rten(), &model)];
    let pixels = BATCH * CONFIG.channels * CONFIG.image_size * CONFIG.image_size;
    let images: Vec<f32> = (0..pixels).map(|index| (index as f32).sin()).collect();
    for side in &mut sides {
        side.run(&images);
    }
    for _ in 0..RUNS {
        for side in &mut sides {
            side.timed(&images);
        }
    }
    for side in &sides {
        println!("{}: median {:.3} s of {RUNS} runs, user time {:.2} s", side.name, side.median(), side.user);
    }
    let [ort, rten] = &sides;
    println!(
        "rten over ONNX Runtime: wall {:.2}, user {:.2}",
        rten.median() / ort.median(),
        rten.user / ort.user
    );
    let mut group = criterion.benchmark_group("gradient_of_vit_tiny");
    group.sample_size(10);
    for side in &mut sides {
        let name = side.name;
        group.bench_function(name, |bencher| bencher.iter(|| side.run(&images)));
    }
    group.finish();
}

criterion_group!(benches, engines);
criterion_main!(benches);
