//! Seconds of one pass through a model's graphs, on demand, for `scripts/compare-graphs`:
//!
//! ```sh
//! cargo run --release -p mimir-benches --example graph_time -- model.onnx 3,224,224 8 2
//! ```
//!
//! The arguments are the file, the shape of an image, images in a batch and threads. The first line that it prints is about
//! building the gradient graph. Then each line of the standard input names a graph (`original`: the file's own, `forward`:
//! simplified, `gradient`: logits, cross-entropy and gradient) and is answered with the wall and CPU seconds of one pass.

use std::io::BufRead;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use mimir_bundle::ImageShape;
use mimir_export::autodiff::LossHead;
use mimir_export::onnx::{Limits, read_model};
use mimir_export::{ImageClassifier, InputSpec};
use mimir_runtime::session::{Data, Engine, Input, RawSession, SessionOptions};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, image, batch, threads] = &arguments[..] else {
        bail!("wanted FILE CHANNELS,HEIGHT,WIDTH BATCH THREADS");
    };
    let (batch, threads): (usize, usize) = (batch.parse().context("BATCH")?, threads.parse().context("THREADS")?);
    let image: Vec<usize> =
        image.split(',').map(|size| size.parse().context("an image is CHANNELS,HEIGHT,WIDTH")).collect::<Result<_>>()?;
    ensure!(image.len() == 3, "an image is CHANNELS,HEIGHT,WIDTH");
    let classifier = read(Path::new(file), &image)?;
    let gradient = build(&classifier, Path::new(file))?;
    let mut graphs = Graphs::new(&classifier, &gradient, &[&[batch], &image[..]].concat(), threads)?;
    for line in std::io::stdin().lock().lines() {
        println!("{}", graphs.time(line?.trim())?);
    }
    Ok(())
}

fn read(file: &Path, image: &[usize]) -> Result<ImageClassifier> {
    let image = ImageShape { channels: image[0], height: image[1], width: image[2] };
    let spec = InputSpec { image: Some(image), ..InputSpec::default() };
    Ok(ImageClassifier::new(read_model(file, &Limits::default())?, &spec)?)
}

/// The gradient graph; prints what making it took, in seconds and in multiples of the file's size.
fn build(classifier: &ImageClassifier, file: &Path) -> Result<Vec<u8>> {
    let size = std::fs::metadata(file)?.len();
    let start = Instant::now();
    let gradient = classifier.gradient_onnx(LossHead::CrossEntropy)?;
    let line = serde_json::json!({
        "build_seconds": start.elapsed().as_secs_f64(),
        "file_bytes": size,
        "peak_over_file": peak_bytes()? as f64 / size as f64,
    });
    println!("{line}");
    Ok(gradient)
}

/// The most memory that the process has held.
fn peak_bytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024)
}

struct Graphs {
    original: RawSession,
    forward: RawSession,
    gradient: RawSession,
    dims: Vec<usize>,
    images: Vec<f32>,
    labels: Vec<i64>,
}

impl Graphs {
    fn new(classifier: &ImageClassifier, gradient: &[u8], dims: &[usize], threads: usize) -> Result<Self> {
        let engine = Engine::load(None)?;
        let options = SessionOptions { threads, ..SessionOptions::default() };
        let session = |model: &[u8]| RawSession::new(&engine, model, options);
        Ok(Self {
            original: session(&classifier.original_onnx()?)?,
            forward: session(&classifier.forward_onnx()?)?,
            gradient: session(gradient)?,
            dims: dims.to_vec(),
            images: (0..dims.iter().product()).map(|index: usize| 0.5 + 0.5 * (index as f32).sin()).collect(),
            labels: vec![0; dims[0]],
        })
    }

    /// One pass through the graph of that name.
    fn time(&mut self, graph: &str) -> Result<serde_json::Value> {
        let images = Input { name: "images", dims: &self.dims, data: Data::F32(&self.images) };
        let labels = Input { name: "labels", dims: &self.dims[..1], data: Data::I64(&self.labels) };
        let both = [images, labels];
        let (session, inputs) = match graph {
            "original" => (&mut self.original, &both[..1]),
            "forward" => (&mut self.forward, &both[..1]),
            "gradient" => (&mut self.gradient, &both[..]),
            other => bail!("`{other}` is no graph; wanted original, forward or gradient"),
        };
        let (start, cpu) = (Instant::now(), cpu_seconds()?);
        std::hint::black_box(session.run(inputs)?);
        Ok(serde_json::json!({ "seconds": start.elapsed().as_secs_f64(), "cpu": cpu_seconds()? - cpu }))
    }
}

/// User and system time of the process, in hundredths of a second as the kernel counts it.
fn cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(") ").next().context("/proc/self/stat")?.split(' ').collect();
    let ticks = |place: usize| -> Result<f64> { Ok(fields.get(place).context("/proc/self/stat")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}
