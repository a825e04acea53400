//! A session of a served model, for any number of threads.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use mimir_bundle::bundle::FeatureTensor;
use mimir_bundle::{ImageShape, OutputKind, PreparedGraph, tensor_names};
use mimir_export::ImageClassifier;
use mimir_runtime::answer::Answer;
use mimir_runtime::session::{
    Engine, EngineKind, HostNodes, LoadedGraph, LogLevel, OutputBuffer, RunLimits, SessionOptions,
    SharedOptions, SharedSession, WeightPool,
};

use super::error::ServeError;
use super::model::ServedModel;
use super::options::{Batching, ServeOptions};
use super::rows::{Padding, Rows};
use crate::engines::deciding;
use crate::model::original_for;

/// A session: any number of threads use it at once. It keeps nothing of the bundle's files alive: whoever needs no further
/// session may drop the model.
#[derive(Debug)]
pub struct Session {
    image: ImageShape,
    classes: usize,
    features_known: Vec<FeatureTensor>,
    engine: Engine,
    session: SharedSession,
    /// The same graph up to its features, where these can be asked for.
    features: Option<SharedSession>,
    rows: Rows,
    output: OutputKind,
    /// Buffers for calls that lack rows, kept for the next.
    padding: Mutex<Vec<Padding>>,
    /// The folder of the profile, which goes with the session.
    profile: Option<tempfile::TempDir>,
    /// What was recorded, once that has ended.
    ended_profile: Mutex<Option<String>>,
}

impl Session {
    /// Makes a session.
    ///
    /// # Errors
    /// [`ServeError::Engine`] when the engine or the device is not there, refuses the model, or the time is over,
    /// [`ServeError::Memory`] over the limit, [`ServeError::Argument`] for options that cannot be together.
    pub fn new(model: &ServedModel, options: &ServeOptions) -> Result<Self, ServeError> {
        let deadline = options.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let engine = engine(options)?;
        let profile = options.profile.then(profile_folder).transpose()?;
        let profile_file = profile.as_ref().map(|folder| folder.path().join("profile"));
        let shared = SharedOptions { deadline, ..shared_options(options, profile_file) };
        let is_bounded = deadline.is_some() || options.memory_limit.is_some();
        let (session, features, rows, output) = model.with_classifier(&engine, is_bounded, |classifier| {
            let rows = rows(model, classifier.manifest().batch.rows(), options)?;
            check_memory(model, classifier, rows, options)?;
            let graph = graph(&engine, classifier).map_err(|error| model.refuse(error))?;
            let session = shared_session(&engine, graph, &shared)?;
            let wanted = options.features && !model.manifest().features.is_empty();
            let features = wanted.then(|| {
                let names: Vec<&str> = feature_names(model).collect();
                let graph = classifier.features_onnx(&names).map_err(|error| model.refuse(error))?;
                let shared = SharedOptions { profile: None, ..shared.clone() };
                shared_session(&engine, graph.into(), &shared)
            });
            Ok((session, features.transpose()?, rows, classifier.manifest().output))
        })?;
        let (padding, ended_profile) = (Mutex::default(), Mutex::default());
        let session = Self {
            image: model.image(),
            classes: model.classes(),
            features_known: model.manifest().features.clone(),
            engine,
            session,
            features,
            rows,
            output,
            padding,
            profile,
            ended_profile,
        };
        session.warm_up(options.warm_up, deadline)?;
        Ok(session)
    }

    /// The shape of one image.
    pub fn image(&self) -> ImageShape {
        self.image
    }

    /// How many classes there are.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The engine that runs it.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Images of a call of the engine, at most.
    pub fn most_rows(&self) -> usize {
        self.rows.most()
    }

    /// Images of every call of the engine, where it has no other number.
    pub fn fixed_rows(&self) -> Option<usize> {
        match self.rows {
            Rows::UpTo(_) => None,
            Rows::Exactly(rows) => Some(rows),
        }
    }

    /// Writes the logits `[N, K]` of images `[N, C, H, W]`, pixels in `[0, 1]`, as the model's file computes them. Of as many
    /// images as a call takes, images are read and logits are written where they are.
    ///
    /// # Errors
    /// [`ServeError::Argument`] when a length does not fit or a pixel is not in `[0, 1]`, [`ServeError::Engine`] when the
    /// engine fails or a limit ended the run. What is in `logits` then is nothing in particular.
    pub fn logits_into(
        &self,
        pixels: &[f32],
        limits: &RunLimits<'_>,
        logits: &mut [f32],
    ) -> Result<(), ServeError> {
        let (row, classes) = (self.image.pixels(), self.classes);
        let count = self.count(pixels)?;
        let wanted = count.checked_mul(classes).filter(|wanted| *wanted == logits.len());
        if wanted.is_none() {
            let found = logits.len();
            return Err(argument(format!(
                "logits: room for {found} values, wanted {count} images x {classes} classes"
            )));
        }
        check_pixels(pixels, row)?;
        let shape = [classes];
        self.run(&Output::new(&self.session, tensor_names::LOGITS, &shape)?, pixels, limits, logits)
    }

    /// The logits `[N, K]` of images `[N, C, H, W]`.
    ///
    /// # Errors
    /// As [`Session::logits_into`].
    pub fn logits(&self, pixels: &[f32], limits: &RunLimits<'_>) -> Result<Vec<f32>, ServeError> {
        let room = self.count(pixels)?.checked_mul(self.classes);
        let room = room.ok_or_else(|| argument("more logits than can be counted".to_owned()))?;
        let mut logits = vec![0.0; room];
        self.logits_into(pixels, limits, &mut logits)?;
        Ok(logits)
    }

    /// What the model says about each image.
    ///
    /// # Errors
    /// As [`Session::logits_into`].
    pub fn classify(&self, pixels: &[f32], limits: &RunLimits<'_>) -> Result<Vec<Answer>, ServeError> {
        let logits = self.logits(pixels, limits)?;
        let rows = logits.chunks_exact(self.classes.max(1));
        Ok(rows.map(|row| Answer::new(row, self.output)).collect())
    }

    /// The profile that ONNX Runtime recorded from the making of the session to the first call of this, which ends the
    /// recording: JSON, a list of events in the format of `chrome://tracing`.
    ///
    /// # Errors
    /// [`ServeError::Argument`] where none was asked for, [`ServeError::Io`] when it cannot be read.
    pub fn profile(&self) -> Result<String, ServeError> {
        if self.profile.is_none() {
            return Err(argument("no profile was asked for when the session was made".to_owned()));
        }
        let mut ended = self.ended_profile.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(profile) = &*ended {
            return Ok(profile.clone());
        }
        let path = self.session.end_profile()?;
        let failed = |error| ServeError::Io { what: format!("profile {}", path.display()), error };
        Ok(ended.insert(mimir_files::read_text(&path, MOST_PROFILE).map_err(failed)?).clone())
    }

    fn count(&self, pixels: &[f32]) -> Result<usize, ServeError> {
        let (row, found) = (self.image.pixels(), pixels.len());
        match found.checked_rem(row) {
            Some(0) if found > 0 => Ok(found / row),
            _ => Err(argument(format!("pixels: {found} values, wanted a multiple of {row}, at least one"))),
        }
    }

    /// Writes the feature of that number in the description, `[N, …]`, of images `[N, C, H, W]`.
    ///
    /// # Errors
    /// As [`Session::logits_into`], and [`ServeError::Argument`] where there is no such feature, or the session was made
    /// without them.
    pub fn features_into(
        &self,
        feature: usize,
        pixels: &[f32],
        limits: &RunLimits<'_>,
        values: &mut [f32],
    ) -> Result<(), ServeError> {
        let known = self.features_known.get(feature);
        let known = known.ok_or_else(|| argument(format!("the model has no feature {feature}")))?;
        let session = self.features.as_ref();
        let session = session.ok_or_else(|| argument("the session was made without features".to_owned()))?;
        let output = Output::new(session, &known.name, &known.shape)?;
        let count = self.count(pixels)?;
        if count.checked_mul(output.size) != Some(values.len()) {
            let found = values.len();
            let message = format!("values: room for {found}, wanted {count} images x {}", output.size);
            return Err(argument(message));
        }
        check_pixels(pixels, self.image.pixels())?;
        self.run(&output, pixels, limits, values)
    }

    fn run(
        &self,
        output: &Output<'_>,
        pixels: &[f32],
        limits: &RunLimits<'_>,
        room: &mut [f32],
    ) -> Result<(), ServeError> {
        let (row, size) = (self.image.pixels(), output.size);
        for part in self.rows.parts(pixels.len() / row) {
            let images = &pixels[part.start * row..part.end * row];
            let room = &mut room[part.start * size..part.end * size];
            if self.rows.lacks(part.len()) {
                self.run_padded(output, images, limits, room)?;
            } else {
                self.call(output, part.len(), images, limits, room)?;
            }
        }
        Ok(())
    }

    fn run_padded(
        &self,
        output: &Output<'_>,
        images: &[f32],
        limits: &RunLimits<'_>,
        room: &mut [f32],
    ) -> Result<(), ServeError> {
        let spare = self.padding.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut padding = spare.unwrap_or_default();
        let (row, rows) = (self.image.pixels(), self.rows.most());
        padding.fill(images, row, rows, output.size);
        let Padding { images, outputs } = &mut padding;
        let ran = self.call(output, rows, images, limits, outputs);
        room.copy_from_slice(&padding.outputs[..room.len()]);
        self.padding.lock().unwrap_or_else(PoisonError::into_inner).push(padding);
        ran
    }

    fn call(
        &self,
        output: &Output<'_>,
        rows: usize,
        images: &[f32],
        limits: &RunLimits<'_>,
        room: &mut [f32],
    ) -> Result<(), ServeError> {
        let image = self.image;
        let dims = [rows, image.channels, image.height, image.width];
        let mut output_dims = [rows; MOST_RANK];
        output_dims[1..=output.shape.len()].copy_from_slice(output.shape);
        let dims_of_output = &output_dims[..=output.shape.len()];
        let buffer = OutputBuffer { name: output.name, dims: dims_of_output, data: room };
        Ok(output.session.run(&dims, images, &mut [buffer], limits)?)
    }

    fn warm_up(&self, calls: usize, deadline: Option<Instant>) -> Result<(), ServeError> {
        if calls == 0 {
            return Ok(());
        }
        let (rows, classes) = (self.rows.most(), self.classes);
        let images = vec![0.5; rows * self.image.pixels()];
        let (shape, mut room) = ([classes], vec![0.0; rows * classes]);
        let output = Output::new(&self.session, tensor_names::LOGITS, &shape)?;
        let limits = RunLimits { deadline, cancellations: &[] };
        (0..calls).try_for_each(|_| self.call(&output, rows, &images, &limits, &mut room))
    }

    /// The file of ONNX Runtime; none where rten runs the model.
    pub fn library(&self) -> Option<&Path> {
        self.engine.library()
    }

    /// Whether limits can end a call of the engine, rather than only keep one from beginning.
    pub fn can_be_stopped(&self) -> bool {
        self.engine.kind() == EngineKind::OnnxRuntime
    }
}

/// The most dimensions of an output.
const MOST_RANK: usize = 8;

/// The most bytes of a profile.
const MOST_PROFILE: u64 = 1 << 31;

/// What a run asks for.
struct Output<'a> {
    session: &'a SharedSession,
    name: &'a str,
    /// Of one image.
    shape: &'a [usize],
    /// Values of one image.
    size: usize,
}

impl<'a> Output<'a> {
    fn new(session: &'a SharedSession, name: &'a str, shape: &'a [usize]) -> Result<Self, ServeError> {
        let size = shape.iter().try_fold(1_usize, |size, dim| size.checked_mul(*dim));
        match size.filter(|_| shape.len() < MOST_RANK) {
            Some(size) => Ok(Self { session, name, shape, size }),
            None => Err(argument(format!("output `{name}`: shape {shape:?} is larger than supported"))),
        }
    }
}

fn engine(options: &ServeOptions) -> Result<Engine, ServeError> {
    let (engine, reason) = deciding(&options.engine_options())?;
    if let (Some(reason), Some(log)) = (reason, &options.log) {
        log.say(LogLevel::Warning, &format!("rten runs the model: {reason}"));
    }
    Ok(engine)
}

fn shared_options(options: &ServeOptions, profile: Option<PathBuf>) -> SharedOptions {
    let session = SessionOptions {
        threads: options.threads.get(),
        spinning: options.spinning,
        // Exporters write arithmetic on shapes, which is the processor's.
        host_nodes: HostNodes::Allowed,
        ..SessionOptions::default()
    };
    SharedOptions { session, profile, log: options.log.clone(), deadline: None }
}

fn shared_session(
    engine: &Engine,
    graph: PreparedGraph,
    options: &SharedOptions,
) -> Result<SharedSession, ServeError> {
    let graph = LoadedGraph::new(engine, graph, &mut WeightPool::default())?;
    Ok(SharedSession::new(engine, &graph, tensor_names::IMAGES, options)?)
}

/// The original graph. One file with its weights: ONNX Runtime then keeps each weight once, in the order that its kernels read
/// it in. Weights that lie beside their graph stay besides, and a file of more than 2 GiB is none.
fn graph(engine: &Engine, classifier: &ImageClassifier) -> mimir_export::Result<PreparedGraph> {
    classifier.original_onnx().map(PreparedGraph::from).or_else(|_| original_for(engine, classifier))
}

fn feature_names(model: &ServedModel) -> impl Iterator<Item = &str> {
    model.manifest().features.iter().map(|feature| feature.name.as_str())
}

fn check_memory(
    model: &ServedModel,
    classifier: &ImageClassifier,
    rows: Rows,
    options: &ServeOptions,
) -> Result<(), ServeError> {
    let Some(limit) = options.memory_limit else { return Ok(()) };
    let needed = classifier.memory(rows.most()).map_err(|error| model.refuse(error))?;
    match needed <= limit {
        true => Ok(()),
        false => Err(ServeError::Memory { rows: rows.most(), needed, limit }),
    }
}

/// Rows of a call of the engine: what the file takes, what the evaluation had, or what the caller may have.
fn rows(model: &ServedModel, fixed: Option<usize>, options: &ServeOptions) -> Result<Rows, ServeError> {
    if let Some(rows) = fixed {
        return Ok(Rows::Exactly(rows));
    }
    match (options.batching, model.evaluation()) {
        (Batching::Dynamic, _) => Ok(Rows::UpTo(options.max_batch.get())),
        (Batching::Certified, Some(certificate)) => Ok(Rows::Exactly(certificate.execution.batch.max(1))),
        (Batching::Certified, None) => Err(argument(format!(
            "{} has no certificate, and so no batch that it was evaluated with",
            model.place()
        ))),
    }
}

/// Every pixel is a number in `[0, 1]`.
fn check_pixels(pixels: &[f32], row: usize) -> Result<(), ServeError> {
    // Without an early end, the comparison of a block is one of vectors.
    let are_in_range =
        |block: &[f32]| block.iter().fold(true, |all, pixel| all & (0.0..=1.0).contains(pixel));
    if pixels.chunks(1024).all(are_in_range) {
        return Ok(());
    }
    let place = pixels.iter().position(|pixel| !(0.0..=1.0).contains(pixel)).unwrap_or_default();
    let (image, value) = (place / row.max(1), pixels[place]);
    Err(argument(format!("pixels: value {place} (image {image}) is {value}, wanted numbers in [0, 1]")))
}

fn argument(message: String) -> ServeError {
    ServeError::Argument(message)
}

fn profile_folder() -> Result<tempfile::TempDir, ServeError> {
    tempfile::Builder::new()
        .prefix("mimir-profile-")
        .tempdir()
        .map_err(|error| ServeError::Io { what: "folder of the profile".to_owned(), error })
}
