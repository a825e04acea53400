//! The two sessions of an attack worker: the original model forward-only, and a gradient graph.

use std::collections::BTreeMap;
use std::fmt;

use mimir_bundle::{ImageShape, Manifest, PreparedGraph, tensor_names};
use ndarray::{Array2, ArrayView2};

use super::loss_inputs::LossInputs;
use super::{
    Data, Engine, EngineError, HostNodes, Input, LoadedGraph, Precision, RawSession, SessionOptions,
    WeightPool,
};
use crate::logits::{DOUBT, DOUBT_IN_BFLOAT16};
use crate::model::{
    Classifier, Cotangents, Differentiable, FeatureBatch, FeatureModel, GradientBatch, LabelAndTarget, Loss,
    ModelError, ModelSource,
};

/// What a graph is for. `Display` is its name in errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Original,
    Search,
    Gradient,
    Features,
    FeatureGradient,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Original => "original model",
            Self::Search => "simplified model",
            Self::Gradient => "gradient graph",
            Self::Features => "feature graph",
            Self::FeatureGradient => "gradient graph of features",
        })
    }
}

/// How many images a session takes at once, and how cores are shared. Results do not depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionPlan {
    /// Rows of every call, `B ≥ 1`; batches that are not full are padded.
    pub batch: usize,
    /// Threads that attack side by side, each with its own sessions.
    pub workers: usize,
    /// Threads inside each session. `workers · threads` should not exceed the cores.
    pub threads: usize,
}

/// A prepared model: makes sessions over the bytes that `mimir-export` wrote.
#[derive(Debug)]
pub struct OnnxModels {
    engine: Engine,
    shape: ModelShape,
    original: LoadedGraph,
    search: Option<LoadedGraph>,
    gradients: BTreeMap<Loss, LoadedGraph>,
    features: Option<FeatureGraphs>,
    /// What the graphs hold in common.
    weights: WeightPool,
    /// Of the original model, which decides in 32-bit floats.
    options: SessionOptions,
    /// Of everything else.
    precision: Precision,
}

/// The graphs of the model cut open at a tensor.
#[derive(Debug)]
struct FeatureGraphs {
    forward: LoadedGraph,
    gradient: LoadedGraph,
    /// Values of the tensor for one image, `F`.
    values: usize,
}

/// What the sessions need of the manifest and the plan.
#[derive(Debug, Clone, Copy)]
struct ModelShape {
    image: ImageShape,
    classes: usize,
    batch: usize,
    /// Whether every call must have `batch` rows.
    takes_full_only: bool,
    /// Rows that the graph computes side by side: it is given a multiple of them.
    lanes: usize,
}

impl OnnxModels {
    /// A model that can be asked for logits; [`OnnxModels::with_gradient`] adds gradients.
    ///
    /// # Errors
    /// When the plan asks for a batch that the model cannot take, or the engine does not take its weights.
    pub fn new(
        engine: &Engine,
        manifest: &Manifest,
        original: impl Into<PreparedGraph>,
        plan: SessionPlan,
    ) -> Result<Self, ModelError> {
        let rows = manifest.batch.rows();
        if plan.batch == 0 || rows.is_some_and(|rows| rows != plan.batch) {
            let takes = rows.map_or_else(|| "any number but none".to_owned(), |rows| rows.to_string());
            let message = format!("takes {takes} images a call, cannot be run in batches of {}", plan.batch);
            return Err(ModelError { model: Role::Original.to_string(), message });
        }
        let mut weights = WeightPool::default();
        let original = LoadedGraph::new(engine, original.into(), &mut weights)
            .map_err(|error| model_error(Role::Original, &error))?;
        Ok(Self {
            engine: engine.clone(),
            shape: ModelShape {
                image: manifest.image,
                classes: manifest.classes,
                batch: plan.batch,
                takes_full_only: rows.is_some(),
                lanes: 1,
            },
            original,
            weights,
            search: None,
            gradients: BTreeMap::new(),
            features: None,
            options: SessionOptions { threads: plan.threads, ..SessionOptions::default() },
            precision: Precision::Float32,
        })
    }

    /// Lets the graphs that only search compute in that precision; the original model never does.
    #[must_use]
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Adds a faster form of the model, whose logits are equal up to rounding, for attacks without gradients.
    ///
    /// # Errors
    /// When the engine does not take its weights.
    pub fn with_search(mut self, graph: impl Into<PreparedGraph>) -> Result<Self, ModelError> {
        self.search = Some(self.loaded(Role::Search, graph.into())?);
        Ok(self)
    }

    /// Adds the gradient graph of one loss, with the inputs that [`Loss::inputs`] lists.
    ///
    /// # Errors
    /// When the engine does not take its weights.
    pub fn with_gradient(mut self, loss: Loss, graph: impl Into<PreparedGraph>) -> Result<Self, ModelError> {
        let graph = self.loaded(Role::Gradient, graph.into())?;
        self.gradients.insert(loss, graph);
        Ok(self)
    }

    /// Adds the model cut open at a tensor of `values` values an image: the graph that returns these as `features`, and the one
    /// that takes cotangents of logits and features.
    ///
    /// # Errors
    /// When the engine does not take its weights.
    pub fn with_features(
        mut self,
        forward: impl Into<PreparedGraph>,
        gradient: impl Into<PreparedGraph>,
        values: usize,
    ) -> Result<Self, ModelError> {
        let forward = self.loaded(Role::Features, forward.into())?;
        let gradient = self.loaded(Role::FeatureGradient, gradient.into())?;
        self.features = Some(FeatureGraphs { forward, gradient, values });
        Ok(self)
    }

    fn loaded(&mut self, role: Role, graph: PreparedGraph) -> Result<LoadedGraph, ModelError> {
        LoadedGraph::new(&self.engine, graph, &mut self.weights).map_err(|error| model_error(role, &error))
    }

    fn forward(&self, role: Role, graph: &LoadedGraph) -> Result<Box<dyn Classifier>, ModelError> {
        let (session, shape) = (self.session(role, graph)?, self.shape.of(graph));
        let logits = Array2::zeros((shape.batch, shape.classes));
        let rows = Rows::default();
        Ok(Box::new(OnnxClassifier { role, session, shape, rows, logits, returned: None }))
    }

    fn session(&self, role: Role, graph: &LoadedGraph) -> Result<RawSession, ModelError> {
        let options = match role {
            // What exporters write computes shapes too, and those are the processor's.
            Role::Original => SessionOptions { host_nodes: HostNodes::Allowed, ..self.options },
            Role::Search | Role::Gradient | Role::Features | Role::FeatureGradient => {
                SessionOptions { precision: self.precision, ..self.options }
            }
        };
        RawSession::over(&self.engine, graph, options).map_err(|error| model_error(role, &error))
    }
}

impl ModelSource for OnnxModels {
    fn classifier(&self) -> Result<Box<dyn Classifier>, ModelError> {
        self.forward(Role::Original, &self.original)
    }

    fn search_classifier(&self) -> Result<Box<dyn Classifier>, ModelError> {
        match &self.search {
            Some(graph) => self.forward(Role::Search, graph),
            None => self.classifier(),
        }
    }

    fn doubt(&self) -> f32 {
        match self.precision {
            Precision::Float32 => DOUBT,
            Precision::Mixed => DOUBT_IN_BFLOAT16,
        }
    }

    fn differentiable(&self, loss: Loss) -> Result<Box<dyn Differentiable>, ModelError> {
        let Some(graph) = self.gradients.get(&loss) else {
            let message = format!("there is none for the loss {loss:?}");
            return Err(ModelError { model: Role::Gradient.to_string(), message });
        };
        let shape = self.shape.of(graph);
        let ModelShape { image, classes, .. } = shape;
        Ok(Box::new(OnnxGradient {
            session: self.session(Role::Gradient, graph)?,
            shape,
            loss,
            inputs: LossInputs::new(loss, classes),
            rows: Rows::default(),
            answers: GradientBatch::zeros(shape.batch, classes, image.pixels()),
        }))
    }

    fn feature_model(&self) -> Result<Box<dyn FeatureModel>, ModelError> {
        let Some(graphs) = &self.features else {
            let message = "there is none: no attack on features was announced".to_owned();
            return Err(ModelError { model: Role::Features.to_string(), message });
        };
        let [forward, gradient] = [&graphs.forward, &graphs.gradient].map(|graph| self.shape.of(graph));
        let shape = if forward.lanes > gradient.lanes { forward } else { gradient };
        let ModelShape { image, classes, .. } = shape;
        Ok(Box::new(OnnxFeatures {
            forward: self.session(Role::Features, &graphs.forward)?,
            gradient: self.session(Role::FeatureGradient, &graphs.gradient)?,
            shape,
            values: graphs.values,
            rows: Rows::default(),
            cotangents: [Vec::new(), Vec::new()],
            answers: FeatureBatch::zeros(shape.batch, classes, graphs.values, image.pixels()),
        }))
    }
}

fn model_error(role: Role, error: &EngineError) -> ModelError {
    ModelError { model: role.to_string(), message: error.to_string() }
}

impl ModelShape {
    /// For calls of that graph.
    fn of(self, graph: &LoadedGraph) -> Self {
        Self { lanes: graph.lanes, ..self }
    }

    /// Rows of a call that asks about so many.
    fn rows(&self, asked: usize) -> usize {
        if self.takes_full_only { self.batch } else { asked.next_multiple_of(self.lanes) }
    }

    fn image_dims(&self, rows: usize) -> [usize; 4] {
        [rows, self.image.channels, self.image.height, self.image.width]
    }

    /// The pixels of at most a full batch, as one slice.
    fn pixels<'a>(&self, role: Role, images: &'a ArrayView2<f32>) -> Result<&'a [f32], ModelError> {
        let (rows, columns) = images.dim();
        match images.as_slice() {
            Some(pixels) if (1..=self.batch).contains(&rows) && columns == self.image.pixels() => Ok(pixels),
            _ => Err(ModelError {
                model: role.to_string(),
                message: format!(
                    "was given images {:?}, takes up to {} contiguous rows of {}",
                    images.shape(),
                    self.batch,
                    self.image.pixels()
                ),
            }),
        }
    }
}

/// The rows of a call to a graph that takes full batches only, or is as quick with full registers: those that are asked about,
/// then the last one again.
#[derive(Debug, Default)]
struct Rows {
    images: Vec<f32>,
    pairs: Vec<LabelAndTarget>,
}

impl Rows {
    /// The pixels and, of a gradient, what is asked about each row: as many rows as the graph takes.
    fn full<'a>(
        &'a mut self,
        shape: ModelShape,
        pixels: &'a [f32],
        pairs: &'a [LabelAndTarget],
    ) -> (&'a [f32], &'a [LabelAndTarget]) {
        let row = shape.image.pixels();
        let rows = shape.rows(pixels.len() / row);
        let wanted = rows * row;
        if pixels.len() == wanted {
            return (pixels, pairs);
        }
        self.images.clear();
        self.images.extend_from_slice(pixels);
        while self.images.len() < wanted {
            self.images.extend_from_slice(&pixels[pixels.len() - row..]);
        }
        self.pairs.clear();
        self.pairs.extend_from_slice(pairs);
        if let Some(last) = pairs.last() {
            self.pairs.resize(rows, *last);
        }
        (&self.images, &self.pairs)
    }
}

/// Copies outputs into the buffers that expect them, and finds out whether each came, in its size.
struct Collector<'a> {
    buffers: Vec<(&'static str, &'a mut [f32])>,
    received: usize,
    /// Room for [`tensor_names::RETURNED`], which only some graphs have, and for how many rows and classes.
    returned: &'a mut Option<Array2<f32>>,
    dims: (usize, usize),
    /// Rows of the call; those that fill up a register may find no room.
    rows: usize,
}

impl<'a> Collector<'a> {
    fn new(
        buffers: Vec<(&'static str, &'a mut [f32])>,
        returned: &'a mut Option<Array2<f32>>,
        dims: (usize, usize),
        rows: usize,
    ) -> Self {
        Self { buffers, received: 0, returned, dims, rows }
    }

    fn take(&mut self, name: &str, data: &[f32]) {
        if name == tensor_names::RETURNED {
            let returned = self.returned.get_or_insert_with(|| Array2::zeros(self.dims));
            let room = returned.as_slice_mut().unwrap_or_default();
            let count = data.len().min(room.len());
            room[..count].copy_from_slice(&data[..count]);
            return;
        }
        let kept = self.rows.min(self.dims.0);
        for (wanted, buffer) in &mut self.buffers {
            if *wanted == name && buffer.len() * self.rows == data.len() * kept {
                buffer.copy_from_slice(&data[..buffer.len()]);
                self.received += 1;
            }
        }
    }

    fn finish(self, role: Role) -> Result<(), ModelError> {
        if self.received == self.buffers.len() {
            return Ok(());
        }
        let wanted: Vec<String> =
            self.buffers.iter().map(|(name, buffer)| format!("{name} ({} values)", buffer.len())).collect();
        let message = format!("did not return the outputs {} in their sizes", wanted.join(", "));
        Err(ModelError { model: role.to_string(), message })
    }
}

struct OnnxClassifier {
    role: Role,
    session: RawSession,
    shape: ModelShape,
    rows: Rows,
    logits: Array2<f32>,
    /// Of a graph that has that output.
    returned: Option<Array2<f32>>,
}

impl Classifier for OnnxClassifier {
    fn image_shape(&self) -> ImageShape {
        self.shape.image
    }

    fn classes(&self) -> usize {
        self.shape.classes
    }

    fn batch(&self) -> usize {
        self.shape.batch
    }

    fn logits(&mut self, images: ArrayView2<f32>) -> Result<&Array2<f32>, ModelError> {
        let Self { role, session, shape, rows, logits, returned } = self;
        let (pixels, _) = rows.full(*shape, shape.pixels(*role, &images)?, &[]);
        let (rows, data) = (pixels.len() / shape.image.pixels(), Data::F32(pixels));
        let inputs = [Input { name: tensor_names::IMAGES, dims: &shape.image_dims(rows), data }];
        let dims = logits.dim();
        let mut collector =
            Collector::new(vec![(tensor_names::LOGITS, head(logits, rows))], returned, dims, rows);
        session
            .run_with(&inputs, |name, _, data| collector.take(name, data))
            .map_err(|error| model_error(*role, &error))?;
        collector.finish(*role)?;
        Ok(&self.logits)
    }

    fn logits_and_returned(
        &mut self,
        images: ArrayView2<f32>,
    ) -> Result<(&Array2<f32>, Option<&Array2<f32>>), ModelError> {
        self.logits(images)?;
        Ok((&self.logits, self.returned.as_ref()))
    }
}

struct OnnxGradient {
    session: RawSession,
    shape: ModelShape,
    loss: Loss,
    inputs: LossInputs,
    rows: Rows,
    answers: GradientBatch,
}

impl Differentiable for OnnxGradient {
    fn batch(&self) -> usize {
        self.shape.batch
    }

    fn set_radii(&mut self, radii: &[f32]) {
        self.inputs.set_radii(radii);
    }

    fn loss_gradient(
        &mut self,
        images: ArrayView2<f32>,
        pairs: &[LabelAndTarget],
    ) -> Result<&GradientBatch, ModelError> {
        let pairs = &pairs[..images.nrows()];
        self.run(&images, pairs)?;
        if !self.loss.is_computed_by_its_graph() {
            let Self { inputs, answers, .. } = self;
            let rows = answers.loss.iter_mut().zip(answers.logits.rows()).zip(pairs);
            for ((loss, logits), pair) in rows {
                *loss = inputs.at_logits(logits.as_slice().expect("rows are contiguous"), pair);
            }
        }
        Ok(&self.answers)
    }
}

impl OnnxGradient {
    fn run(&mut self, images: &ArrayView2<f32>, pairs: &[LabelAndTarget]) -> Result<(), ModelError> {
        let Self { session, shape, loss, inputs, rows, answers } = self;
        let (pixels, pairs) = rows.full(*shape, shape.pixels(Role::Gradient, images)?, pairs);
        let (rows, dims) = (pairs.len(), shape.image_dims(pairs.len()));
        let data = Data::F32(pixels);
        let images = Input { name: tensor_names::IMAGES, dims: &dims, data };
        let inputs: Vec<Input> = std::iter::once(images).chain(inputs.fill(pairs)).collect();
        let GradientBatch { logits, loss: values, gradient, returned } = answers;
        let all_logits = logits.dim();
        let kept = rows.min(shape.batch);
        let values = &mut values.as_slice_mut().expect("one dimension in standard layout")[..kept];
        let mut buffers = vec![
            (tensor_names::LOGITS, head(logits, rows)),
            (tensor_names::IMAGES_GRADIENT, head(gradient, rows)),
        ];
        if loss.is_computed_by_its_graph() {
            buffers.push((tensor_names::LOSS, values));
        }
        let mut collector = Collector::new(buffers, returned, all_logits, rows);
        session
            .run_with(&inputs, |name, _, data| collector.take(name, data))
            .map_err(|error| model_error(Role::Gradient, &error))?;
        collector.finish(Role::Gradient)
    }
}

struct OnnxFeatures {
    forward: RawSession,
    gradient: RawSession,
    shape: ModelShape,
    /// Of the tensor for one image, `F`.
    values: usize,
    rows: Rows,
    /// Of logits `[R, K]` and features `[R, F]`, as many rows as the graph takes.
    cotangents: [Vec<f32>; 2],
    answers: FeatureBatch,
}

impl FeatureModel for OnnxFeatures {
    fn batch(&self) -> usize {
        self.shape.batch
    }

    fn logits_and_features(&mut self, images: ArrayView2<f32>) -> Result<&FeatureBatch, ModelError> {
        let Self { forward, shape, rows, answers, .. } = self;
        let (pixels, _) = rows.full(*shape, shape.pixels(Role::Features, &images)?, &[]);
        let (rows, data) = (pixels.len() / shape.image.pixels(), Data::F32(pixels));
        let inputs = [Input { name: tensor_names::IMAGES, dims: &shape.image_dims(rows), data }];
        let FeatureBatch { logits, features, returned, .. } = answers;
        let dims = logits.dim();
        let buffers =
            vec![(tensor_names::LOGITS, head(logits, rows)), (tensor_names::FEATURES, head(features, rows))];
        let mut collector = Collector::new(buffers, returned, dims, rows);
        forward
            .run_with(&inputs, |name, _, data| collector.take(name, data))
            .map_err(|error| model_error(Role::Features, &error))?;
        collector.finish(Role::Features)?;
        Ok(&self.answers)
    }

    fn gradient(
        &mut self,
        images: ArrayView2<f32>,
        cotangents: Cotangents<'_>,
    ) -> Result<&FeatureBatch, ModelError> {
        let Self { gradient, shape, values, rows, cotangents: room, answers, .. } = self;
        let (pixels, _) = rows.full(*shape, shape.pixels(Role::FeatureGradient, &images)?, &[]);
        let rows = pixels.len() / shape.image.pixels();
        let columns = [shape.classes, *values];
        for ((room, given), columns) in
            room.iter_mut().zip([cotangents.logits, cotangents.features]).zip(columns)
        {
            room.clear();
            room.extend_from_slice(given);
            room.resize(rows * columns, 0.0);
        }
        let (of_logits, of_features) = ([rows, columns[0]], [rows, columns[1]]);
        let inputs = [
            Input { name: tensor_names::IMAGES, dims: &shape.image_dims(rows), data: Data::F32(pixels) },
            Input { name: tensor_names::COTANGENT, dims: &of_logits, data: Data::F32(&room[0]) },
            Input { name: tensor_names::FEATURES_COTANGENT, dims: &of_features, data: Data::F32(&room[1]) },
        ];
        let FeatureBatch { logits, gradient: slopes, returned, .. } = answers;
        let dims = logits.dim();
        let buffers = vec![
            (tensor_names::LOGITS, head(logits, rows)),
            (tensor_names::IMAGES_GRADIENT, head(slopes, rows)),
        ];
        let mut collector = Collector::new(buffers, returned, dims, rows);
        gradient
            .run_with(&inputs, |name, _, data| collector.take(name, data))
            .map_err(|error| model_error(Role::FeatureGradient, &error))?;
        collector.finish(Role::FeatureGradient)?;
        Ok(&self.answers)
    }
}

/// The first rows of an array, as many as it has.
fn head(array: &mut Array2<f32>, rows: usize) -> &mut [f32] {
    let (room, columns) = array.dim();
    &mut array.as_slice_mut().expect("made by zeros, in standard layout")[..rows.min(room) * columns]
}
