//! Forward against forward and gradient, on a ViT-T and, where it is there, on a small trained ViT.
//!
//! `cargo bench -p mimir-benches --bench gradient_graph`. Batch 32, two threads. Before criterion's own statistics it
//! prints the ratio of medians over runs that alternate between the two graphs: on a machine that others use too,
//! neighbouring runs meet the same load, and only their ratio means something.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use mimir_bundle::{Loss, tensor_names};
use mimir_export::autodiff::{Kernels, differentiate};
use mimir_export::graph::Graph;
use mimir_export::onnx::{Limits, read_model, write_model};
use mimir_export::simplify::simplify;
use mimir_export::upgrade::upgrade;
use mimir_export::vit::{VitConfig, vit};
use mimir_runtime::session::{Data, Engine, Input, RawSession, SessionOptions};

const BATCH: usize = 32;
const THREADS: usize = 2;

/// Pairs of runs for the printed ratio.
const PAIRS: usize = 15;

/// A model's two sessions and the shape of its input.
struct Pair {
    name: &'static str,
    forward: RawSession,
    gradient: RawSession,
    dims: Vec<usize>,
    input: String,
}

impl Pair {
    fn new(name: &'static str, forward: &Graph) -> Self {
        let gradient =
            differentiate(forward, Loss::CrossEntropy, Kernels::Standard).expect("every operator has a rule");
        let images = forward.inputs()[0];
        let shape = forward.shape(images).expect("the input has a type");
        Self {
            name,
            dims: shape.0.iter().map(|dim| dim.at_batch(BATCH)).collect(),
            input: forward.value(images).name.clone(),
            forward: session(forward),
            gradient: session(&gradient),
        }
    }

    fn images(&self) -> Vec<f32> {
        (0..self.dims.iter().product()).map(|index: usize| (index as f32).sin()).collect()
    }

    fn run_forward(&mut self, images: &[f32]) {
        let input = Input { name: &self.input, dims: &self.dims, data: Data::F32(images) };
        black_box(self.forward.run(&[input]).expect("the forward graph runs"));
    }

    fn run_gradient(&mut self, images: &[f32]) {
        let labels = [0_i64; BATCH];
        let images = Input { name: tensor_names::IMAGES, dims: &self.dims, data: Data::F32(images) };
        let labels = Input { name: tensor_names::LABELS, dims: &[BATCH], data: Data::I64(&labels) };
        black_box(self.gradient.run(&[images, labels]).expect("the gradient graph runs"));
    }

    /// Prints medians and their ratio over alternating runs.
    fn print_ratio(&mut self) {
        let images = self.images();
        let (mut forward, mut gradient) = (Vec::new(), Vec::new());
        for _ in 0..=PAIRS {
            forward.push(timed(|| self.run_forward(&images)));
            gradient.push(timed(|| self.run_gradient(&images)));
        }
        // The first pair warms up.
        let (forward, gradient) = (median(&forward[1..]), median(&gradient[1..]));
        println!(
            "{}: forward {forward:.1?}, forward and gradient {gradient:.1?}, ratio {:.2} (medians of {PAIRS})",
            self.name,
            gradient.as_secs_f64() / forward.as_secs_f64()
        );
    }
}

fn session(graph: &Graph) -> RawSession {
    let engine = Engine::load(None).expect("ONNX Runtime is there: `make setup` fetches it");
    let model = write_model(graph).expect("our own graph can be written");
    let options = SessionOptions { threads: THREADS, ..SessionOptions::default() };
    RawSession::new(&engine, &model, options).expect("ONNX Runtime takes our own graph")
}

fn timed(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

/// The trained ViT of `../shared`, which carries no licence and so is not a part of the project.
fn trained_vit() -> Option<Pair> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/models/vit_pgd_2_3_16.onnx");
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return None;
    }
    let file = read_model(&path, &Limits::default()).expect("the file is well formed");
    let mut graph = upgrade(&file.graph).expect("its operators are known");
    simplify(&mut graph).expect("its shapes are known");
    Some(Pair::new("vit_pgd_2_3_16", &graph))
}

fn gradient_graph(criterion: &mut Criterion) {
    let random = vit(VitConfig::TINY_CIFAR10, 0).expect("the sizes fit");
    let pairs = [Some(Pair::new("vit_tiny_4_32", &random)), trained_vit()];
    for mut pair in pairs.into_iter().flatten() {
        pair.print_ratio();
        let images = pair.images();
        let mut group = criterion.benchmark_group(pair.name);
        group.sample_size(10);
        group.bench_function("forward", |bencher| bencher.iter(|| pair.run_forward(&images)));
        group.bench_function("forward_and_gradient", |bencher| bencher.iter(|| pair.run_gradient(&images)));
        group.finish();
    }
}

criterion_group!(benches, gradient_graph);
criterion_main!(benches);
