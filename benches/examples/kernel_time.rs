//! Microseconds of a pass through a model's graphs, with standard operators, with our kernels, and with those for products in 32-bit floats
//! and in bfloat16 where the processor has them, in turns:
//!
//! ```sh
//! cargo run --release -p mimir-benches --example kernel_time -- model.onnx 3,32,32 16 400
//! ```
//!
//! The arguments are the file (or `vit_tiny`, one with random weights), the shape of an image, images in a batch, and turns. One thread runs everything.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use mimir_bundle::{ImageShape, Loss, PreparedGraph, tensor_names};
use mimir_export::autodiff::Kernels;
use mimir_export::onnx::{Limits, ModelFile, SharedWeights, read_model, read_model_bytes, write_model};
use mimir_export::vit::{VitConfig, vit};
use mimir_export::{ImageClassifier, InputSpec};
use mimir_runtime::processor;
use mimir_runtime::session::{Data, Engine, Input, LoadedGraph, RawSession, SessionOptions, WeightPool};

const USAGE: &str = "wanted FILE CHANNELS,HEIGHT,WIDTH BATCH TURNS";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, image, batch, turns] = &arguments[..] else { bail!("{USAGE}") };
    let image: Vec<usize> =
        image.split(',').map(|size| size.parse().context(USAGE)).collect::<Result<_>>()?;
    let &[channels, height, width] = &image[..] else { bail!("{USAGE}") };
    let (batch, turns): (usize, usize) = (batch.parse().context(USAGE)?, turns.parse().context(USAGE)?);
    let spec = InputSpec { image: Some(ImageShape { channels, height, width }), ..InputSpec::default() };
    let classifier = ImageClassifier::new(model(file)?, &spec)?;
    let mut passes = Vec::new();
    let products = processor::has_wide_vectors().then_some(Kernels::Products);
    let rounded = processor::has_bfloat16_kernels().then_some(Kernels::Bfloat16);
    for kernels in [Kernels::Standard, Kernels::BatchLast].into_iter().chain(products).chain(rounded) {
        let mut shared = SharedWeights::default();
        let forward = classifier.prepared_forward(kernels, &mut shared)?;
        passes.push(Pass::new(format!("forward, {kernels:?}"), forward, 1)?);
        let gradient = classifier.prepared_gradient(Loss::CrossEntropy, kernels, &mut shared)?;
        passes.push(Pass::new(format!("gradient, {kernels:?}"), gradient, 2)?);
    }
    let dims = [batch, channels, height, width];
    let images: Vec<f32> =
        (0..dims.iter().product()).map(|index: usize| 0.5 + 0.5 * (index as f32).sin()).collect();
    let labels = vec![0; batch];
    for _ in 0..turns {
        for pass in &mut passes {
            let images = Input { name: tensor_names::IMAGES, dims: &dims, data: Data::F32(&images) };
            let labels = Input { name: tensor_names::LABELS, dims: &dims[..1], data: Data::I64(&labels) };
            pass.time(&[images, labels])?;
        }
    }
    for pass in &mut passes {
        pass.micros.sort_by(f64::total_cmp);
        let [least, middle] = [0, turns / 2].map(|place| pass.micros.get(place).copied().unwrap_or(f64::NAN));
        println!("{}: {least:.0} µs at best, {middle:.0} in the middle", pass.name);
    }
    Ok(())
}

/// A file, or a ViT-T of patches of 4 with random weights where it is called `vit_tiny`.
fn model(file: &str) -> Result<ModelFile> {
    if file != "vit_tiny" {
        return Ok(read_model(Path::new(file), &Limits::default())?);
    }
    let bytes = write_model(&vit(VitConfig::TINY_CIFAR10, 0)?)?;
    Ok(read_model_bytes(bytes.into(), None, &Limits::default())?)
}

/// One graph, and the times of its passes.
struct Pass {
    name: String,
    session: RawSession,
    /// How many of images and labels it takes.
    inputs: usize,
    micros: Vec<f64>,
}

impl Pass {
    fn new(name: String, graph: PreparedGraph, inputs: usize) -> Result<Self> {
        let engine = Engine::load(None)?;
        let loaded = LoadedGraph::new(&engine, graph, &mut WeightPool::default())?;
        let session = RawSession::over(&engine, &loaded, SessionOptions::default())?;
        Ok(Self { name, session, inputs, micros: Vec::new() })
    }

    fn time(&mut self, inputs: &[Input]) -> Result<()> {
        let start = Instant::now();
        self.session.run_with(&inputs[..self.inputs], |_, _, data| {
            std::hint::black_box(data);
        })?;
        self.micros.push(start.elapsed().as_secs_f64() * 1e6);
        Ok(())
    }
}
