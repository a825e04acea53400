//! Input gradients of whole networks against PyTorch in float64, as rows of a Markdown table.
//!
//! ```text
//! python scripts/reference/networks.py /tmp/networks
//! cargo run --release -p mimir-export --example network_gradients -- /tmp/networks [NETWORK …]
//! ```
//!
//! For each export: read the file, make the gradient graph of the cross-entropy, run both images through ONNX Runtime, and
//! compare logits and gradient with the reference. An export passes when its gradient is as near to float64 as PyTorch's own
//! float32 is, up to [`SLACK`], or nearer than the floors below. Whether a last bit turns a Relu over is chance, so that
//! networks with kinks differ from float64 by far more than rounding, in PyTorch and here alike.

use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use mimir_export::autodiff::LossHead;
use mimir_export::onnx::{Limits, read_model};
use mimir_export::{ImageClassifier, InputSpec};
use mimir_runtime::session::{Data, Engine, Input, RawSession, SessionOptions};
use ndarray_npy::{NpzReader, ReadableElement};

/// Allowed error relative to that of PyTorch in float32.
const SLACK: f64 = 2.0;

/// Relative error in the 2-norm that passes whatever PyTorch's own is.
const DISTANCE: f64 = 1e-5;

/// Share of gradient elements of the other sign that passes whatever PyTorch's own is: some six elements of the 12,288 of an
/// image of 64 pixels, since the counts are so small that two runs of the same numbers differ by as many.
const OTHER_SIGNS: f64 = 5e-4;

/// Largest relative error of the logits in the 2-norm.
const LOGITS: f64 = 1e-3;

/// Least cosine between the gradient and the reference.
const COSINE: f64 = 0.9999;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("usage: network_gradients FOLDER [NETWORK …]")?);
    let chosen: Vec<String> = arguments.collect();
    let engine = Engine::load(None)?;
    println!(
        "| network | export | result | relative L2 | PyTorch float32 | signs equal | PyTorch float32 | cosine | graph |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
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
            println!("| {network} | {export} | PyTorch cannot export it: {} | | | | | | |", plain(&error));
            return Ok(true);
        }
        _ => return Ok(true),
    }
    match measure(engine, path, reference) {
        Ok(found) => {
            let own = reference.own();
            let verdict = found.verdict(&own);
            println!(
                "| {network} | {export} | {} | {:.1e} | {:.1e} | {:.3} % | {:.3} % | {:.6} | {:.1} s |",
                verdict.unwrap_or("ok"),
                found.distance,
                own.distance,
                100.0 * (1.0 - found.other_signs),
                100.0 * (1.0 - own.other_signs),
                found.cosine,
                found.seconds,
            );
            Ok(verdict.is_none())
        }
        Err(error) => {
            println!("| {network} | {export} | {} | | | | | | |", plain(&error.to_string()));
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
    gradient32: Vec<f32>,
}

impl Reference {
    fn read(path: &Path) -> Result<Self> {
        let mut npz = NpzReader::new(File::open(path)?)?;
        let (images, dims) = array(&mut npz, "images")?;
        Ok(Self {
            images,
            dims,
            labels: array(&mut npz, "labels")?.0,
            logits: array(&mut npz, "logits")?.0,
            gradient: array(&mut npz, "gradient")?.0,
            gradient32: array(&mut npz, "gradient32")?.0,
        })
    }

    /// How far PyTorch's float32 is from its float64.
    fn own(&self) -> Comparison {
        Comparison::of(&self.gradient32, &self.gradient)
    }
}

fn array<T: ReadableElement>(npz: &mut NpzReader<File>, name: &str) -> Result<(Vec<T>, Vec<usize>)> {
    let array: ndarray::ArrayD<T> = npz.by_name(name)?;
    let dims = array.shape().to_vec();
    Ok((array.into_raw_vec_and_offset().0, dims))
}

/// A gradient beside the reference.
struct Comparison {
    /// Norm of the difference over the norm of the reference.
    distance: f64,
    /// Share of elements whose sign differs.
    other_signs: f64,
    cosine: f64,
    /// Of the logits, as `distance`.
    logits: f64,
    /// Time to make the gradient graph.
    seconds: f64,
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
            logits: 0.0,
            seconds: 0.0,
        }
    }

    /// What is wrong, if anything. NaN is.
    fn verdict(&self, own: &Self) -> Option<&'static str> {
        let within = |found: f64, own: f64, floor: f64| found <= (SLACK * own).max(floor);
        let checks = [
            (self.logits <= LOGITS, "**other logits**"),
            (within(self.distance, own.distance, DISTANCE), "**too far**"),
            (within(self.other_signs, own.other_signs, OTHER_SIGNS), "**other signs**"),
            (self.cosine >= COSINE.min(own.cosine), "**other direction**"),
        ];
        checks.into_iter().find(|(passes, _)| !passes).map(|(_, wrong)| wrong)
    }
}

fn measure(engine: &Engine, path: &Path, reference: &Reference) -> Result<Comparison> {
    let started = Instant::now();
    let classifier = ImageClassifier::new(read_model(path, &Limits::default())?, &InputSpec::default())?;
    let graph = classifier.gradient_onnx(LossHead::CrossEntropy)?;
    let seconds = started.elapsed().as_secs_f64();
    let options = SessionOptions { threads: 2, ..SessionOptions::default() };
    let outputs = RawSession::new(engine, &graph, options)?.run(&[
        Input { name: "images", dims: &reference.dims, data: Data::F32(&reference.images) },
        Input { name: "labels", dims: &[reference.labels.len()], data: Data::I64(&reference.labels) },
    ])?;
    let output = |name: &str| outputs.iter().find(|output| output.name == name).ok_or("an output is missing");
    let (logits, gradient) = (&output("logits")?.data, &output("images_gradient")?.data);
    if logits.len() != reference.logits.len() || gradient.len() != reference.gradient.len() {
        return Err("logits or gradient have another size".into());
    }
    let logits = Comparison::of(logits, &reference.logits).distance;
    Ok(Comparison { logits, seconds, ..Comparison::of(gradient, &reference.gradient) })
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
