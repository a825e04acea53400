//! Input gradients of whole networks against PyTorch or Keras in float64, as a Markdown table.
//!
//! ```text
//! python scripts/reference/networks.py /tmp/networks
//! cargo run --release -p mimir-export --example network_gradients -- /tmp/networks [NETWORK …]
//! ```
//!
//! For each export: read the file, make the gradient graph of the cross-entropy, run the images through ONNX Runtime,
//! and compare logits and each image's gradient with the reference. Both forms of the graph have to pass: with our
//! kernels, as attacks run it (the table shows this form), and with standard operators. A cell is the relative error in
//! the 2-norm at the median image; the last columns are of the worst export. Smooth networks must be near to float64
//! ([`MAX_DISTANCE`], [`MIN_COSINE`]). Rounding can flip the sign of a Relu's input or the winner of a MaxPool, so that
//! non-smooth networks differ from float64 by far more than rounding, in PyTorch as well as here. For these, our
//! gradient must not be the worse one of the two on more images than chance explains ([`MAX_WORSE`]).

use std::collections::BTreeSet;
use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};

use mimir_bundle::{Loss, tensor_names};
use mimir_export::autodiff::Kernels;
use mimir_export::onnx::{Limits, SharedWeights, read_model};
use mimir_export::{ImageClassifier, InputSpec};
use mimir_runtime::session::{Data, Engine, Input, LoadedGraph, RawSession, SessionOptions, WeightPool};
use ndarray_npy::{NpzReader, ReadableElement};

/// Largest relative error in the 2-norm of a smooth network at the median image: rounding.
const MAX_DISTANCE: f64 = 1e-5;

/// Most images of [`IMAGES`] on which our gradient may be the one further from float64, or with more wrong signs. A
/// fair coin exceeds it in one of 500 trials.
const MAX_WORSE: usize = 13;

/// Images of a reference.
const IMAGES: usize = 16;

/// Images in a batch.
const BATCH: usize = 4;

/// Largest relative error of the logits in the 2-norm.
const MAX_LOGITS_DISTANCE: f64 = 1e-3;

/// Least cosine between the gradient and the reference of a smooth network.
const MIN_COSINE: f64 = 0.9999;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("usage: network_gradients FOLDER [NETWORK …]")?);
    let chosen: Vec<String> = arguments.collect();
    let wanted = |path: &PathBuf| {
        path.join("reference.npz").exists() && (chosen.is_empty() || chosen.contains(&file_name(path)))
    };
    let networks: Vec<PathBuf> = sorted(&folder)?.into_iter().filter(wanted).collect();
    let mut table = Table::new(&networks)?;
    let engine = Engine::load(None)?;
    for network in &networks {
        table.row(&engine, network)?;
    }
    table.finish()
}

/// A Markdown table with a row for each network and a column for each export, printed row by row.
struct Table {
    exports: Vec<String>,
    /// The distinct error messages; cells refer to them by number.
    notes: Vec<String>,
    /// Numbers of exports: gradient right; gradient wrong or not computed; no file.
    counts: [usize; 3],
}

impl Table {
    fn new(networks: &[PathBuf]) -> Result<Self> {
        let mut exports = BTreeSet::new();
        for network in networks {
            let files = sorted(network)?.into_iter().filter(|path| is_export(path));
            exports.extend(files.map(|path| stem(&path)));
        }
        let exports: Vec<String> = exports.into_iter().collect();
        let head = exports.join(" | ");
        println!("| network | its float32 | {head} | further off | signs equal | its float32 | cosine |");
        println!("|{}", " --- |".repeat(exports.len() + 6));
        Ok(Self { exports, notes: Vec::new(), counts: [0; 3] })
    }

    fn row(&mut self, engine: &Engine, network: &Path) -> Result<()> {
        let reference = Reference::read(&network.join("reference.npz"))?;
        let (mut cells, mut found) = (Vec::new(), Vec::new());
        for export in self.exports.clone() {
            let path = network.join(&export);
            cells.push(self.cell(engine, &path, &reference, &mut found)?);
        }
        let float32 = &reference.float32;
        let most =
            found.iter().map(|found| count_worse(&found.images, float32, |image| image.distance)).max();
        let mismatch = |images: &[Comparison]| mean(images, |image| image.sign_mismatch);
        let signs = found.iter().map(|found| mismatch(&found.images)).fold(0.0, f64::max);
        let cosines = found.iter().map(|found| median(&found.images, |image| image.cosine));
        println!(
            "| {} | {:.1e} | {} | {} | {:.3} % | {:.3} % | {:.6} |",
            file_name(network),
            median(float32, |image| image.distance),
            cells.join(" | "),
            most.unwrap_or_default(),
            100.0 * (1.0 - signs),
            100.0 * (1.0 - mismatch(float32)),
            cosines.fold(1.0, f64::min),
        );
        Ok(())
    }

    /// The cell of one export; the measurement is appended to `found`.
    fn cell(
        &mut self,
        engine: &Engine,
        path: &Path,
        reference: &Reference,
        found: &mut Vec<Measurement>,
    ) -> Result<String> {
        let file = path.with_extension("onnx");
        if !file.exists() {
            let error = path.with_extension("error");
            if !error.exists() {
                return Ok("–".to_owned());
            }
            self.counts[2] += 1;
            return Ok(self.note(&std::fs::read_to_string(error)?));
        }
        let measured =
            [Kernels::Mimir, Kernels::Standard].map(|kernels| measure(engine, &file, kernels, reference));
        let (ours, standard) = match measured {
            [Ok(ours), Ok(standard)] => (ours, standard),
            [Err(error), _] | [_, Err(error)] => {
                self.counts[1] += 1;
                return Ok(self.note(&error.to_string()));
            }
        };
        let failure = ours.failure(reference).or(standard.failure(reference));
        self.counts[usize::from(failure.is_some())] += 1;
        let remark =
            failure.or(ours.one_at_a_time.then_some("one image at a time")).map(|text| format!(" {text}"));
        let cell =
            format!("{:.1e}{}", median(&ours.images, |image| image.distance), remark.unwrap_or_default());
        found.push(ours);
        Ok(cell)
    }

    /// The mark of a message that is listed below the table.
    fn note(&mut self, text: &str) -> String {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let index = self.notes.iter().position(|note| *note == text).unwrap_or_else(|| {
            self.notes.push(text);
            self.notes.len() - 1
        });
        format!("[{}]", index + 1)
    }

    fn finish(self) -> Result<()> {
        println!();
        for (index, note) in self.notes.iter().enumerate() {
            println!("[{}] {note}", index + 1);
        }
        let [right, wrong, without] = self.counts;
        println!("{right} right, {wrong} wrong, {without} that could not be exported");
        match wrong {
            0 => Ok(()),
            wrong => Err(format!("{wrong} exports without the right gradient").into()),
        }
    }
}

/// Whether a file is the result of an exporter: a model, or its error message.
fn is_export(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "onnx" || extension == "error")
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The results of PyTorch; see `scripts/reference/networks.py`.
struct Reference {
    images: Vec<f32>,
    dims: Vec<usize>,
    labels: Vec<i64>,
    logits: Vec<f64>,
    gradient: Vec<f64>,
    /// Whether the network is smooth: without Relu, MaxPool and the like.
    smooth: bool,
    /// PyTorch's float32 gradient compared with its float64 gradient, image by image.
    float32: Vec<Comparison>,
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
            float32: compare(&gradient32, &gradient),
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
    sign_mismatch: f64,
    cosine: f64,
}

impl Comparison {
    fn new(found: &[f32], wanted: &[f64]) -> Self {
        let pairs = || found.iter().map(|found| f64::from(*found)).zip(wanted.iter().copied());
        let sum = |term: fn(f64, f64) -> f64| pairs().map(|(found, wanted)| term(found, wanted)).sum::<f64>();
        let norm = sum(|_, wanted| wanted * wanted).sqrt();
        let sign_mismatch = pairs().filter(|(found, wanted)| found * wanted < 0.0).count();
        Self {
            distance: sum(|found, wanted| (found - wanted).powi(2)).sqrt() / norm,
            sign_mismatch: sign_mismatch as f64 / wanted.len() as f64,
            cosine: sum(|found, wanted| found * wanted) / (norm * sum(|found, _| found * found).sqrt()),
        }
    }
}

/// Image by image.
fn compare(found: &[f32], wanted: &[f64]) -> Vec<Comparison> {
    let size = wanted.len() / IMAGES;
    let pairs = found.chunks(size).zip(wanted.chunks(size));
    pairs.map(|(found, wanted)| Comparison::new(found, wanted)).collect()
}

fn median(images: &[Comparison], of: fn(&Comparison) -> f64) -> f64 {
    let mut values: Vec<f64> = images.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn mean(images: &[Comparison], of: fn(&Comparison) -> f64) -> f64 {
    images.iter().map(of).sum::<f64>() / images.len() as f64
}

/// The number of images on which the first is worse than the second, or NaN.
fn count_worse(found: &[Comparison], other: &[Comparison], of: fn(&Comparison) -> f64) -> usize {
    found.iter().zip(other).filter(|(found, other)| of(found).is_nan() || of(found) > of(other)).count()
}

/// The measurement of one export.
struct Measurement {
    images: Vec<Comparison>,
    /// Relative error of the logits in the 2-norm.
    logits: f64,
    /// Whether the file must be run one image at a time.
    one_at_a_time: bool,
}

impl Measurement {
    /// What is wrong with it, if anything; NaN counts as wrong.
    fn failure(&self, reference: &Reference) -> Option<&'static str> {
        let rounding = median(&self.images, |image| image.distance) <= MAX_DISTANCE;
        let direction = median(&self.images, |image| image.cosine) >= MIN_COSINE;
        let no_worse = |of| count_worse(&self.images, &reference.float32, of) <= MAX_WORSE;
        let is_kinked = !reference.smooth;
        let checks = [
            (self.logits <= MAX_LOGITS_DISTANCE, "**other logits**"),
            (rounding || is_kinked && no_worse(|image| image.distance), "**too far**"),
            (rounding || is_kinked && no_worse(|image| image.sign_mismatch), "**other signs**"),
            (direction || is_kinked, "**other direction**"),
        ];
        checks.into_iter().find(|(passes, _)| !passes).map(|(_, wrong)| wrong)
    }
}

fn measure(engine: &Engine, path: &Path, kernels: Kernels, reference: &Reference) -> Result<Measurement> {
    let classifier = ImageClassifier::new(read_model(path, &Limits::default())?, &InputSpec::default())?;
    let graph = classifier.prepared_gradient(Loss::CrossEntropy, kernels, &mut SharedWeights::default())?;
    let options = SessionOptions { threads: 2, ..SessionOptions::default() };
    let graph = LoadedGraph::new(engine, graph, &mut WeightPool::default())?;
    let mut session = RawSession::over(engine, &graph, options)?;
    let batch = classifier.manifest().batch.rows().unwrap_or(BATCH);
    let dims = [&[batch], &reference.dims[1..]].concat();
    let (mut logits, mut gradient) = (Vec::new(), Vec::new());
    for (images, labels) in reference.images.chunks(dims.iter().product()).zip(reference.labels.chunks(batch))
    {
        let outputs = session.run(&[
            Input { name: tensor_names::IMAGES, dims: &dims, data: Data::F32(images) },
            Input { name: tensor_names::LABELS, dims: &[batch], data: Data::I64(labels) },
        ])?;
        let output =
            |name: &str| outputs.iter().find(|output| output.name == name).ok_or("an output is missing");
        logits.extend_from_slice(&output(tensor_names::LOGITS)?.data);
        gradient.extend_from_slice(&output(tensor_names::IMAGES_GRADIENT)?.data);
    }
    if logits.len() != reference.logits.len() || gradient.len() != reference.gradient.len() {
        return Err("logits or gradient have another size".into());
    }
    let logits = Comparison::new(&logits, &reference.logits).distance;
    let images = compare(&gradient, &reference.gradient);
    Ok(Measurement { images, logits, one_at_a_time: batch == 1 })
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
