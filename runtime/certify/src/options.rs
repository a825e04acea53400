//! What one certification and one replay need to know.

use std::path::PathBuf;

use mimir_bundle::certificate::RunSettings;
use mimir_bundle::{
    AttackSpec, ChannelOrder, ImageShape, Layout, Normalisation, PixelType, Pixels, ThreatModel,
};
use mimir_data::{DataSource, Preparation, ReadOptions, Split};
use mimir_export::InputSpec;
use mimir_runtime::attack::Preset;
use mimir_runtime::evaluate::Curve;
use mimir_runtime::report::Requirements;
use mimir_runtime::session::{Device, Precision};
use mimir_runtime::tune::Overrides;

use crate::error::{ErrorKind, OrKind, Result};
use crate::model_input::ModelInput;

/// Everything that decides a certification. [`CertifyOptions::new`] fills in what is usual.
#[derive(Debug, Clone, PartialEq)]
pub struct CertifyOptions {
    /// The ONNX file, or the bundle with it. What a bundle says of its model must be what these options say.
    pub model: ModelInput,
    /// Whether the certificate is written into the bundle too.
    pub bundle: BundleMode,
    /// The images and labels. Of a bundle's model, the bundle decides what is done to them.
    pub images: ImageSource,
    /// What the model expects in place of pixels in `[0, 1]`; `None` where it takes those.
    pub normalisation: Option<Normalisation>,
    /// Order of the colours in the model's own input.
    pub channel_order: ChannelOrder,
    /// Layout of the model's own input; `None` to read it from the graph.
    pub layout: Option<Layout>,
    /// The shape of one image; `None` for that of the images. It must be theirs, unless they are flat rows.
    pub input_shape: Option<ImageShape>,
    /// Name of the model's output with the scores of the classes; `None` where only one can have them.
    pub output: Option<String>,
    /// What the adversary may do.
    pub threat_model: ThreatModel,
    /// The attacks, in order, each at most once; without any, clean accuracy is all.
    pub attacks: Vec<AttackSpec>,
    /// The model that the attack `transfer` takes its way from; `None` where that is not among the attacks.
    pub surrogate: Option<SurrogateSource>,
    /// The tensor of the model whose values attacks on features move; `None` for the first that the bundle describes, or
    /// what the last linear layer reads. An attack may name one itself.
    pub feature: Option<String>,
    /// Whether an attack is added where the model calls for it.
    pub extra_attacks: ExtraAttacks,
    /// Key of all randomness.
    pub seed: u64,
    /// Where the report is written; `None` to write nothing.
    pub report: Option<ReportOptions>,
    /// Whether the counterexamples are returned too. Report and certificate do not depend on it.
    pub keep_counterexamples: KeepCounterexamples,
    /// What is required; `None` where nothing is.
    pub gate: Option<Gate>,
    /// Whether the attacked accuracy is reported at many radii. With a gate, only for [`GateMode::RunAll`].
    pub curve: Curve,
    /// Whether extra passes show if the attacks worked. They change no verdict.
    pub extra_passes: MakeExtraPasses,
    /// Images around which the loss is drawn, at most [`MOST_LANDSCAPES`], and then around the weights too; 0 for none.
    pub landscapes: usize,
    /// Where these options came from, for the record; they do not depend on it.
    pub settings: RunSettings,
    /// What happens where the graphs that are searched are not the function of the file.
    pub approximate_search: ApproximateSearch,
    /// What runs the model, and how.
    pub engine: EngineOptions,
}

impl CertifyOptions {
    /// The standard attacks with seed 0 on whatever engine is found, and no files written.
    pub fn new(model: impl Into<ModelInput>, images: DataSource, threat_model: ThreatModel) -> Self {
        let model = model.into();
        let InputSpec { normalisation, channel_order, layout, image, output } =
            model.input_spec().unwrap_or_default();
        Self {
            model,
            bundle: BundleMode::LeaveAlone,
            images: ImageSource::new(images),
            normalisation,
            channel_order,
            layout,
            input_shape: image,
            output,
            threat_model,
            attacks: Preset::Standard.attacks(threat_model.norm),
            surrogate: None,
            feature: None,
            extra_attacks: ExtraAttacks::WhereCalledFor,
            seed: 0,
            report: None,
            keep_counterexamples: KeepCounterexamples::No,
            gate: None,
            curve: Curve::No,
            extra_passes: MakeExtraPasses::default(),
            landscapes: 0,
            settings: RunSettings::default(),
            approximate_search: ApproximateSearch::default(),
            engine: EngineOptions::default(),
        }
    }
}

impl CertifyOptions {
    /// What the adversary may do to a model that takes such pixels: one that takes levels is attacked in levels.
    ///
    /// # Errors
    /// [`ErrorKind::Options`] when the radius is less than one level.
    pub(crate) fn threat_model_of(&self, pixel_type: PixelType) -> Result<ThreatModel> {
        threat_model_of(self.threat_model, pixel_type)
    }
}

/// A threat model in the pixels that a model takes.
///
/// # Errors
/// [`ErrorKind::Options`] when the radius is less than one level.
pub(crate) fn threat_model_of(threat_model: ThreatModel, pixel_type: PixelType) -> Result<ThreatModel> {
    let pixels = match pixel_type {
        PixelType::Float => threat_model.pixels,
        PixelType::Uint8 => Pixels::EightBit,
    };
    threat_model.with_pixels(pixels).or_kind(ErrorKind::Options)
}

/// What happens where the graphs that are searched are not the function of the file, by more than rounding explains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ApproximateSearch {
    /// The model is not attacked.
    #[default]
    Refuse,
    /// It is, with a warning, and report and certificate have the differences.
    Accept,
}

/// Whether an attack is added after those of the list. Reports show what each leaves, so that the numbers of the list
/// stay comparable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtraAttacks {
    /// Relaxed PGD, where most units of the model pass no gradient.
    WhereCalledFor,
    /// None.
    None,
}

/// Images around which the loss is drawn, at most: what a page shows.
pub const MOST_LANDSCAPES: usize = 6;

/// Whether extra passes are made after the attacks, for the rules of the diagnosis that need them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MakeExtraPasses {
    /// Some 100,000, however many images there are.
    Yes,
    /// None.
    #[default]
    No,
}

/// A second model of the same images and classes.
#[derive(Debug, Clone, PartialEq)]
pub struct SurrogateSource {
    /// The ONNX file, or the bundle with it.
    pub model: ModelInput,
    /// How images become its input; their shape is that of the attacked model.
    pub input: InputSpec,
}

/// Which images.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageSource {
    /// Where they are.
    pub source: DataSource,
    /// Which of them.
    pub read: ReadOptions,
    /// What is done to them before the model sees them.
    pub preparation: Preparation,
}

impl ImageSource {
    /// All images of the test split, as they are.
    pub fn new(source: DataSource) -> Self {
        let read = ReadOptions { split: Split::Test, first: None };
        Self { source, read, preparation: Preparation::default() }
    }
}

/// What happens to the bundle of a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BundleMode {
    /// Nothing.
    #[default]
    LeaveAlone,
    /// After a complete run the certificate is written into it. A signature of what it was before is set aside. A bundle
    /// that has another certificate of the same threat model is refused before anything runs.
    WriteCertificate,
    /// The same, but the certificate takes the place of one of the same threat model, which is kept beside the bundle.
    ReplaceCertificate,
}

/// Where the report goes, and what goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportOptions {
    /// Its folder; it is made where it is missing.
    pub folder: PathBuf,
    /// Whether counterexamples are written beside it.
    pub counterexamples: StoreCounterexamples,
    /// What happens to a journal that the folder already has.
    pub existing_journal: ExistingJournal,
}

/// What happens to a journal that is in the report folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExistingJournal {
    /// A journal in the folder is an error.
    Refuse,
    /// Resume its run.
    Resume,
}

/// Requirements, and when the run may end.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// What is required.
    pub requirements: Requirements,
    /// The least attacks: a run with fewer or weaker ones is refused before anything runs.
    pub min_preset: Option<Preset>,
    /// An earlier report that the run must not be worse than. Then every attack runs to its end.
    pub baseline: Option<BaselineOptions>,
    /// When the run ends.
    pub mode: GateMode,
}

/// An earlier report of the same images, threat model and attacks.
#[derive(Debug, Clone, PartialEq)]
pub struct BaselineOptions {
    /// The `report.json`.
    pub report: PathBuf,
    /// By how much the clean and the attacked accuracy may be lower, a fraction in `[0, 1]`.
    pub tolerance: f64,
}

/// When a run with a gate ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateMode {
    /// Stop as soon as the answer of the gate is certain.
    StopWhenDecided,
    /// Run every attack to its end.
    RunAll,
}

/// Whether counterexamples are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreCounterexamples {
    /// As `adversarial.npz`.
    Yes,
    /// Not at all.
    No,
}

/// Whether the pixels of counterexamples are returned, for the program that asks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeepCounterexamples {
    /// As [`Certified::counterexamples`](crate::Certified::counterexamples).
    Yes,
    /// Not at all.
    #[default]
    No,
}

/// How the model is executed; what is absent is measured or found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineOptions {
    /// Which engine decides.
    pub choice: EngineChoice,
    /// Where it runs.
    pub device: Device,
    /// Whether the other engine also classifies the counterexamples.
    pub cross_checking: CrossChecking,
    /// The ONNX Runtime library; `None` to look for it, as [`Engine::load`](mimir_runtime::session::Engine::load) does.
    pub library: Option<PathBuf>,
    /// Batch, workers and threads.
    pub overrides: Overrides,
    /// Precision of the search graphs.
    pub precision: Precision,
}

/// Which engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EngineChoice {
    /// ONNX Runtime where it is found, else rten.
    #[default]
    Found,
    /// ONNX Runtime and no other.
    OnnxRuntime,
    /// rten.
    Rten,
}

/// Whether the other engine is shown the counterexamples. It changes no verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CrossChecking {
    /// On the processor.
    Yes,
    /// Not at all.
    #[default]
    No,
}

/// What a replay needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayOptions {
    /// Folder with `certificate.json` and the counterexamples.
    pub report: PathBuf,
    /// The ONNX file, or the bundle, that they speak about.
    pub model: ModelInput,
    /// Where the original images are now; `None` for the place that the certificate names.
    pub images: Option<DataSource>,
    /// The position of the one image whose counterexample is checked; `None` for all, and the clean images.
    pub only: Option<usize>,
    /// What runs the model; `None` for the engine that the certificate names.
    pub engine: Option<EngineChoice>,
    /// Where it runs.
    pub device: Device,
    /// The ONNX Runtime library; `None` to look for it.
    pub library: Option<PathBuf>,
}

impl ReplayOptions {
    /// With the images where they were, on the processor, by the engine that the certificate names.
    pub fn new(report: impl Into<PathBuf>, model: impl Into<ModelInput>) -> Self {
        let (report, model) = (report.into(), model.into());
        Self { report, model, images: None, only: None, engine: None, device: Device::Cpu, library: None }
    }
}
