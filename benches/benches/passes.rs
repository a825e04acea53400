//! What a pass costs: microseconds an image, on one thread, by batch size.
//!
//! `cargo bench -p mimir-benches --bench passes`. For each model, the file's own graph, the fast forward graph and the
//! gradient graph take turns, and the least time of each counts: on a machine that others use too, every other time
//! measures them as well. The models are those of `../shared`, which carry no licence, and a ViT-T with random weights.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use mimir_bundle::{Loss, Normalisation, tensor_names};
use mimir_export::onnx::{Limits, ModelFile, read_model, read_model_bytes, write_model};
use mimir_export::vit::{VitConfig, vit};
use mimir_export::{ImageClassifier, InputSpec};
use mimir_runtime::session::{Data, Engine, Input, RawSession, SessionOptions};

const BATCHES: [usize; 5] = [8, 16, 32, 64, 128];

/// Time for each model and batch size, after which each graph has run at least [`FEWEST_TURNS`] times.
const BUDGET: Duration = Duration::from_secs(3);
const FEWEST_TURNS: usize = 3;

/// A model's three sessions.
struct Model {
    name: &'static str,
    sessions: BTreeMap<&'static str, RawSession>,
    pixels: [usize; 3],
}

impl Model {
    fn new(name: &'static str, file: ModelFile, std: Option<[f64; 3]>) -> Self {
        let mean = [0.4914, 0.4822, 0.4465];
        let normalisation = std.map(|std| Normalisation::new(mean, std));
        let spec = InputSpec { normalisation, ..InputSpec::default() };
        let classifier = ImageClassifier::new(file, &spec).expect("the file is a classifier");
        let image = classifier.manifest().image;
        let graphs = [
            ("file", classifier.original_onnx()),
            ("forward", classifier.forward_onnx()),
            ("gradient", classifier.gradient_onnx(Loss::CrossEntropy)),
        ];
        let sessions = graphs.map(|(name, onnx)| (name, session(&onnx.expect("every operator has a rule"))));
        Self { name, sessions: sessions.into(), pixels: [image.channels, image.height, image.width] }
    }

    /// The least time of each graph for one batch.
    fn time(&mut self, batch: usize) -> BTreeMap<&'static str, Duration> {
        let dims = [&[batch], &self.pixels[..]].concat();
        let images: Vec<f32> =
            (0..dims.iter().product()).map(|index: usize| (index as f32).sin().abs()).collect();
        let labels = vec![0_i64; batch];
        let mut least = BTreeMap::new();
        let (start, mut turns) = (Instant::now(), 0);
        while turns < FEWEST_TURNS || start.elapsed() < BUDGET {
            for (name, session) in &mut self.sessions {
                let images = Input { name: tensor_names::IMAGES, dims: &dims, data: Data::F32(&images) };
                let labels = Input { name: tensor_names::LABELS, dims: &dims[..1], data: Data::I64(&labels) };
                let inputs = if *name == "gradient" { vec![images, labels] } else { vec![images] };
                let start = Instant::now();
                black_box(session.run(&inputs).expect("the graph runs"));
                let elapsed = start.elapsed();
                least
                    .entry(*name)
                    .and_modify(|least: &mut Duration| *least = elapsed.min(*least))
                    .or_insert(elapsed);
            }
            turns += 1;
        }
        least
    }
}

fn session(onnx: &[u8]) -> RawSession {
    let engine = Engine::load(None).expect("ONNX Runtime is there: `make setup` fetches it");
    RawSession::new(&engine, onnx, SessionOptions::default()).expect("ONNX Runtime takes our own graph")
}

/// A model of `../shared`, where it is there.
fn shared(name: &'static str, std: [f64; 3]) -> Option<Model> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/models");
    let path = folder.join(name).with_extension("onnx");
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return None;
    }
    let file = read_model(&path, &Limits::default()).expect("the file is well formed");
    Some(Model::new(name, file, Some(std)))
}

fn random() -> Model {
    let graph = vit(VitConfig::TINY_CIFAR10, 0).expect("the sizes fit");
    let bytes = write_model(&graph).expect("our own graph can be written");
    let file = read_model_bytes(bytes.into(), None, &Limits::default()).expect("and read");
    Model::new("vit_tiny_4_32", file, None)
}

fn main() {
    let models = [
        shared("vit_pgd_2_3_16", [0.2023, 0.1994, 0.2010]),
        shared("resnet_2b", [0.2471, 0.2435, 0.2616]),
        Some(random()),
    ];
    for mut model in models.into_iter().flatten() {
        for batch in BATCHES {
            let least = model.time(batch);
            let micros = |name: &str| least[name].as_secs_f64() * 1e6 / batch as f64;
            let (file, forward, gradient) = (micros("file"), micros("forward"), micros("gradient"));
            println!(
                "{} at batch {batch}: file {file:.1} µs an image, forward {forward:.1}, gradient {gradient:.1} ({:.2} times)",
                model.name,
                gradient / forward
            );
        }
    }
}
