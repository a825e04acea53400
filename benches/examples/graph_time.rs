//! Seconds of one pass through a model's graphs, on demand, for `scripts/compare-graphs`:
//!
//! ```sh
//! cargo run --release -p mimir-benches --example graph_time -- model.onnx 3,224,224 8 2 1
//! ```
//!
//! The arguments are the file, the shape of an image, images in a batch, workers and threads of each. With `--precision mixed` at
//! the end, `forward` and `gradient` multiply in bfloat16, as searches then do. The first line that it prints is about building the gradient graph. Then each line of the standard input names a graph (`original`: the
//! file's own, `forward`: simplified, `gradient`: logits, cross-entropy and gradient), every worker runs a batch through
//! it, and the answer is the seconds for one batch: wall seconds over workers.

use std::io::BufRead;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use mimir_bundle::{ImageShape, Loss, PreparedGraph, tensor_names};
use mimir_export::autodiff::Kernels;
use mimir_export::onnx::{Limits, SharedWeights, read_model};
use mimir_export::{ImageClassifier, InputSpec};
use mimir_runtime::processor;
use mimir_runtime::session::{Data, Engine, Input, LoadedGraph, RawSession, SessionOptions, WeightPool};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (arguments, kernels) = match &arguments[..] {
        [others @ .., flag, precision] if flag == "--precision" => (others, kernels(precision)?),
        all => (all, kernels("float32")?),
    };
    let [file, image, numbers @ ..] = arguments else { bail!("{USAGE}") };
    let numbers: Vec<usize> =
        numbers.iter().map(|number| number.parse().context(USAGE)).collect::<Result<_>>()?;
    let &[batch, workers, threads] = &numbers[..] else { bail!("{USAGE}") };
    let image: Vec<usize> =
        image.split(',').map(|size| size.parse().context(USAGE)).collect::<Result<_>>()?;
    ensure!(image.len() == 3, "{USAGE}");
    let graphs = graphs(Path::new(file), &image, kernels)?;
    let dims = [&[batch], &image[..]].concat();
    let mut workers = workers_over(graphs, &dims, workers, threads)?;
    for line in std::io::stdin().lock().lines() {
        println!("{}", serde_json::json!({ "seconds": time(&mut workers, line?.trim())? }));
    }
    Ok(())
}

const USAGE: &str = "wanted FILE CHANNELS,HEIGHT,WIDTH BATCH WORKERS THREADS [--precision float32|mixed]";

/// The graphs of searches in that precision.
fn kernels(precision: &str) -> Result<Kernels> {
    match precision {
        "float32" if processor::has_wide_vectors() => Ok(Kernels::Products),
        "float32" => Ok(Kernels::BatchLast),
        "mixed" if processor::has_bfloat16_kernels() => Ok(Kernels::Bfloat16),
        "mixed" => bail!("this processor lacks AVX512-BF16"),
        _ => bail!("{USAGE}"),
    }
}

/// Names of the graphs, in the order of [`graphs`].
const NAMES: [&str; 3] = ["original", "forward", "gradient"];

/// The graphs of a model; prints what making the gradient graph took, in seconds and in multiples of the file's size.
fn graphs(file: &Path, image: &[usize], kernels: Kernels) -> Result<[PreparedGraph; 3]> {
    let shape = ImageShape { channels: image[0], height: image[1], width: image[2] };
    let spec = InputSpec { image: Some(shape), ..InputSpec::default() };
    let size = std::fs::metadata(file)?.len();
    let start = Instant::now();
    let classifier = ImageClassifier::new(read_model(file, &Limits::default())?, &spec)?;
    let read = start.elapsed();
    let mut shared = SharedWeights::default();
    let original = classifier.prepared_original(&mut shared)?;
    let gradient = classifier.prepared_gradient(Loss::CrossEntropy, kernels, &mut shared)?;
    let line = serde_json::json!({
        "read_seconds": read.as_secs_f64(),
        "build_seconds": (start.elapsed() - read).as_secs_f64(),
        "file_bytes": size,
        "peak_over_file": peak_bytes()? as f64 / size as f64,
    });
    println!("{line}");
    Ok([original, classifier.prepared_forward(kernels, &mut shared)?, gradient])
}

/// The most memory that the process has held.
fn peak_bytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024)
}

/// The sessions of one worker, and a batch for them.
struct Worker {
    sessions: [RawSession; 3],
    dims: Vec<usize>,
    images: Vec<f32>,
    labels: Vec<i64>,
}

fn workers_over(
    graphs: [PreparedGraph; 3],
    dims: &[usize],
    workers: usize,
    threads: usize,
) -> Result<Vec<Worker>> {
    let engine = Engine::load(None)?;
    let mut pool = WeightPool::default();
    let mut loaded = Vec::new();
    for graph in graphs {
        loaded.push(LoadedGraph::new(&engine, graph, &mut pool)?);
    }
    let options = SessionOptions { threads, ..SessionOptions::default() };
    let session = |graph: &LoadedGraph| RawSession::over(&engine, graph, options);
    let worker = |_| {
        Ok(Worker {
            sessions: [session(&loaded[0])?, session(&loaded[1])?, session(&loaded[2])?],
            dims: dims.to_vec(),
            images: (0..dims.iter().product()).map(|index: usize| 0.5 + 0.5 * (index as f32).sin()).collect(),
            labels: vec![0; dims[0]],
        })
    };
    (0..workers).map(worker).collect()
}

/// Seconds for one batch, all workers running one at the same time.
fn time(workers: &mut [Worker], graph: &str) -> Result<f64> {
    let place = NAMES.iter().position(|name| *name == graph);
    let place = place.with_context(|| format!("`{graph}` is no graph; wanted one of {NAMES:?}"))?;
    let start = Instant::now();
    std::thread::scope(|scope| {
        let runs: Vec<_> = workers.iter_mut().map(|worker| scope.spawn(|| worker.run(place))).collect();
        runs.into_iter().try_for_each(|run| run.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?)
    })?;
    Ok(start.elapsed().as_secs_f64() / workers.len() as f64)
}

impl Worker {
    fn run(&mut self, place: usize) -> Result<()> {
        let images = Input { name: tensor_names::IMAGES, dims: &self.dims, data: Data::F32(&self.images) };
        let labels =
            Input { name: tensor_names::LABELS, dims: &self.dims[..1], data: Data::I64(&self.labels) };
        let inputs = [images, labels];
        let inputs = if NAMES[place] == "gradient" { &inputs[..] } else { &inputs[..1] };
        self.sessions[place].run_with(inputs, |_, _, data| {
            std::hint::black_box(data);
        })?;
        Ok(())
    }
}
