//! Input gradients of whole networks against PyTorch in float64, as rows of a Markdown table.
//!
//! ```text
//! python scripts/reference/networks.py /tmp/networks
//! cargo run --release -p mimir-export --example network_gradients -- /tmp/networks [NETWORK …]
//! ```
//!
//! For each export: read the file, make the gradient graph of the cross-entropy, run the images through ONNX Runtime, and
//! compare logits and each image's gradient with the reference. Both forms of the graph have to pass: with our kernels, as
//! attacks run it, of which the row tells, and with standard operators. Networks without kinks have to be near to float64
//! ([`DISTANCE`], [`COSINE`]). Whether a last bit turns a Relu or the winner of a MaxPool over is chance, so that networks with
//! kinks differ from float64 by far more than rounding, in PyTorch and here alike: there our gradient must not be the worse one
//! of the two on more images than a coin would give ([`WORSE`]).

use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use mimir_export::autodiff::{Kernels, LossHead};
use mimir_export::onnx::{Limits, SharedWeights, read_model};
use mimir_export::{ImageClassifier, InputSpec};
use mimir_runtime::session::{Data, Engine, Input, LoadedGraph, RawSession, SessionOptions, WeightPool};
use ndarray_npy::{NpzReader, ReadableElement};

/// Relative error in the 2-norm that is rounding: the most that a network without kinks may have, at the median image.
const DISTANCE: f64 = 1e-5;

/// Most images of [`IMAGES`] on which ours may be the further one of the two from float64, or have the more signs wrong: a fair
/// coin falls on one side more often in one of 500 tries.
const WORSE: usize = 13;

/// Images of a reference that [`WORSE`] is for.
const IMAGES: usize = 16;

/// Images in a batch.
const BATCH: usize = 4;

/// Largest relative error of the logits in the 2-norm.
const LOGITS: f64 = 1e-3;

/// Least cosine between the gradient and the reference on networks without kinks.
const COSINE: f64 = 0.9999;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("usage: network_gradients FOLDER [NETWORK …]")?);
    let chosen: Vec<String> = arguments.collect();
    let engine = Engine::load(None)?;
    println!(
        "| network | export | result | relative L2 | its float32 | further off | signs equal | its float32 | cosine | graph |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut failed = 0;
    for network in sorted(&folder)?.into_iter().filter(|path| path.join("reference.npz").exists()) {
        let name = file_name(&network);
        if chosen.is_empty() || chosen.contains(&name) {
            let reference = Reference::read(&network.join("reference.npz"))?;
            for export in sorted(&network)? {
                failed += usize::from(!row(&engine, &name, &export, &reference)?);
            }
        }
    }
    if failed > 0 {
        return Err(format!("{failed} exports without the right gradient").into());
    }
    Ok(())
}

/// Prints the row of one export, if the file is one. Whether its gradient is right, or was never to be had.
fn row(engine: &Engine, network: &str, path: &Path, reference: &Reference) -> Result<bool> {
    let export = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("onnx") => {}
        Some("error") => {
            let error = std::fs::read_to_string(path)?;
            println!("| {network} | {export} | no file: {} | | | | | | | |", plain(&error));
            return Ok(true);
        }
        _ => return Ok(true),
    }
    let forms = [Kernels::Mimir, Kernels::Standard].map(|kernels| measure(engine, path, kernels, reference));
    let [ours, standard] = forms;
    match ours.and_then(|ours| Ok((ours, standard?))) {
        Ok((found, standard)) => {
            let verdict = found.verdict(reference).or(standard.verdict(reference));
            let own = &reference.own;
            println!(
                "| {network} | {export} | {} | {:.1e} | {:.1e} | {} | {:.3} % | {:.3} % | {:.6} | {:.1} s |",
                verdict.unwrap_or("ok"),
                median(&found.images, |image| image.distance),
                median(own, |image| image.distance),
                worse(&found.images, own, |image| image.distance),
                100.0 * (1.0 - mean(&found.images, |image| image.other_signs)),
                100.0 * (1.0 - mean(own, |image| image.other_signs)),
                median(&found.images, |image| image.cosine),
                found.seconds,
            );
            Ok(verdict.is_none())
        }
        Err(error) => {
            println!("| {network} | {export} | {} | | | | | | | |", plain(&error.to_string()));
            Ok(false)
        }
    }
}

/// Text that fits into a cell.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "/")
}

/// What PyTorch computed; see `scripts/reference/networks.py`.
struct Reference {
    images: Vec<f32>,
    dims: Vec<usize>,
    labels: Vec<i64>,
    logits: Vec<f64>,
    gradient: Vec<f64>,
    /// Whether the network has no kinks.
    smooth: bool,
    /// How far PyTorch's float32 is from its float64, image by image.
    own: Vec<Comparison>,
}

impl Reference {
    fn read(path: &Path) -> Result<Self> {
        let mut npz = NpzReader::new(File::open(path)?)?;
        let (images, dims) = array(&mut npz, "images")?;
        if dims[0] != IMAGES {
            return Err(
                format!("{} has {} images, wanted {IMAGES}: make it anew", path.display(), dims[0]).into()
            );
        }
        let (gradient, _) = array(&mut npz, "gradient")?;
        let (gradient32, _): (Vec<f32>, _) = array(&mut npz, "gradient32")?;
        let smooth: Vec<i64> = array(&mut npz, "smooth")?.0;
        Ok(Self {
            images,
            dims,
            labels: array(&mut npz, "labels")?.0,
            logits: array(&mut npz, "logits")?.0,
            own: compare(&gradient32, &gradient),
            gradient,
            smooth: smooth == [1],
        })
    }
}

fn array<T: ReadableElement>(npz: &mut NpzReader<File>, name: &str) -> Result<(Vec<T>, Vec<usize>)> {
    let array: ndarray::ArrayD<T> = npz.by_name(name)?;
    let dims = array.shape().to_vec();
    Ok((array.into_raw_vec_and_offset().0, dims))
}

/// The gradient of an image beside the reference.
struct Comparison {
    /// Norm of the difference over the norm of the reference.
    distance: f64,
    /// Share of elements whose sign differs.
    other_signs: f64,
    cosine: f64,
}

impl Comparison {
    fn of(found: &[f32], wanted: &[f64]) -> Self {
        let pairs = || found.iter().map(|found| f64::from(*found)).zip(wanted.iter().copied());
        let sum = |term: fn(f64, f64) -> f64| pairs().map(|(found, wanted)| term(found, wanted)).sum::<f64>();
        let norm = sum(|_, wanted| wanted * wanted).sqrt();
        let other_signs = pairs().filter(|(found, wanted)| found * wanted < 0.0).count();
        Self {
            distance: sum(|found, wanted| (found - wanted).powi(2)).sqrt() / norm,
            other_signs: other_signs as f64 / wanted.len() as f64,
            cosine: sum(|found, wanted| found * wanted) / (norm * sum(|found, _| found * found).sqrt()),
        }
    }
}

/// Image by image.
fn compare(found: &[f32], wanted: &[f64]) -> Vec<Comparison> {
    let size = wanted.len() / IMAGES;
    let pairs = found.chunks(size).zip(wanted.chunks(size));
    pairs.map(|(found, wanted)| Comparison::of(found, wanted)).collect()
}

fn median(images: &[Comparison], of: fn(&Comparison) -> f64) -> f64 {
    let mut values: Vec<f64> = images.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn mean(images: &[Comparison], of: fn(&Comparison) -> f64) -> f64 {
    images.iter().map(of).sum::<f64>() / images.len() as f64
}

/// Images on which the first is further off than the second, or is not a number.
fn worse(found: &[Comparison], own: &[Comparison], of: fn(&Comparison) -> f64) -> usize {
    found.iter().zip(own).filter(|(found, own)| of(found).is_nan() || of(found) > of(own)).count()
}

/// What an export gave.
struct Found {
    images: Vec<Comparison>,
    /// Relative error of the logits in the 2-norm.
    logits: f64,
    /// Time to make the gradient graph.
    seconds: f64,
}

impl Found {
    /// What is wrong, if anything. NaN is.
    fn verdict(&self, reference: &Reference) -> Option<&'static str> {
        let rounding = median(&self.images, |image| image.distance) <= DISTANCE;
        let direction = median(&self.images, |image| image.cosine) >= COSINE;
        let no_worse = |of| worse(&self.images, &reference.own, of) <= WORSE;
        let kinked = !reference.smooth;
        let checks = [
            (self.logits <= LOGITS, "**other logits**"),
            (rounding || kinked && no_worse(|image| image.distance), "**too far**"),
            (rounding || kinked && no_worse(|image| image.other_signs), "**other signs**"),
            (direction || kinked, "**other direction**"),
        ];
        checks.into_iter().find(|(passes, _)| !passes).map(|(_, wrong)| wrong)
    }
}

fn measure(engine: &Engine, path: &Path, kernels: Kernels, reference: &Reference) -> Result<Found> {
    let started = Instant::now();
    let classifier = ImageClassifier::new(read_model(path, &Limits::default())?, &InputSpec::default())?;
    let graph =
        classifier.prepared_gradient(LossHead::CrossEntropy, kernels, &mut SharedWeights::default())?;
    let seconds = started.elapsed().as_secs_f64();
    let options = SessionOptions { threads: 2, ..SessionOptions::default() };
    let graph = LoadedGraph::new(engine, graph, &mut WeightPool::default())?;
    let mut session = RawSession::over(engine, &graph, options)?;
    let dims = [&[BATCH], &reference.dims[1..]].concat();
    let (mut logits, mut gradient) = (Vec::new(), Vec::new());
    for (images, labels) in reference.images.chunks(dims.iter().product()).zip(reference.labels.chunks(BATCH))
    {
        let outputs = session.run(&[
            Input { name: "images", dims: &dims, data: Data::F32(images) },
            Input { name: "labels", dims: &[BATCH], data: Data::I64(labels) },
        ])?;
        let output =
            |name: &str| outputs.iter().find(|output| output.name == name).ok_or("an output is missing");
        logits.extend_from_slice(&output("logits")?.data);
        gradient.extend_from_slice(&output("images_gradient")?.data);
    }
    if logits.len() != reference.logits.len() || gradient.len() != reference.gradient.len() {
        return Err("logits or gradient have another size".into());
    }
    let logits = Comparison::of(&logits, &reference.logits).distance;
    Ok(Found { images: compare(&gradient, &reference.gradient), logits, seconds })
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
