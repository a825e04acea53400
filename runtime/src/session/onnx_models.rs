//! The two sessions of an attack worker: the original model forward-only, and a gradient graph.

use std::collections::BTreeMap;

use mimir_bundle::{BatchMode, ImageShape, Manifest};
use ndarray::{Array2, ArrayView2};

use super::{Data, Engine, EngineError, Input, RawSession, SessionOptions};
use crate::model::{Classifier, Differentiable, Goal, GradientBatch, Loss, ModelError, ModelSource};

const ORIGINAL: &str = "original model";
const GRADIENT: &str = "gradient graph";

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
    facts: Facts,
    original: Vec<u8>,
    gradients: BTreeMap<Loss, Vec<u8>>,
    options: SessionOptions,
}

/// What the sessions need of the manifest and the plan.
#[derive(Debug, Clone, Copy)]
struct Facts {
    image: ImageShape,
    classes: usize,
    batch: usize,
}

impl OnnxModels {
    /// A model that can be asked for logits; [`OnnxModels::with_gradient`] adds gradients.
    ///
    /// # Errors
    /// When the plan asks for a batch that the model cannot take.
    pub fn new(
        engine: &Engine,
        manifest: &Manifest,
        original: Vec<u8>,
        plan: SessionPlan,
    ) -> Result<Self, ModelError> {
        if plan.batch == 0 || (manifest.batch == BatchMode::One && plan.batch != 1) {
            let message = format!("takes one image at a time, cannot be run in batches of {}", plan.batch);
            return Err(ModelError { model: ORIGINAL.to_owned(), message });
        }
        Ok(Self {
            engine: engine.clone(),
            facts: Facts { image: manifest.image, classes: manifest.classes, batch: plan.batch },
            original,
            gradients: BTreeMap::new(),
            options: SessionOptions { threads: plan.threads, ..SessionOptions::default() },
        })
    }

    /// Adds the gradient graph of one loss.
    #[must_use]
    pub fn with_gradient(mut self, loss: Loss, graph: Vec<u8>) -> Self {
        self.gradients.insert(loss, graph);
        self
    }

    fn session(&self, model: &str, bytes: &[u8]) -> Result<RawSession, ModelError> {
        RawSession::new(&self.engine, bytes, self.options).map_err(|error| model_error(model, &error))
    }
}

impl ModelSource for OnnxModels {
    fn classifier(&self) -> Result<Box<dyn Classifier>, ModelError> {
        let session = self.session(ORIGINAL, &self.original)?;
        let logits = Array2::zeros((self.facts.batch, self.facts.classes));
        Ok(Box::new(OnnxClassifier { session, facts: self.facts, logits }))
    }

    fn search_classifier(&self) -> Result<Box<dyn Classifier>, ModelError> {
        self.classifier()
    }

    fn differentiable(&self, loss: Loss) -> Result<Box<dyn Differentiable>, ModelError> {
        let Some(bytes) = self.gradients.get(&loss) else {
            let message = format!("there is none for the loss {loss:?}");
            return Err(ModelError { model: GRADIENT.to_owned(), message });
        };
        let Facts { image, classes, batch } = self.facts;
        Ok(Box::new(OnnxGradient {
            session: self.session(GRADIENT, bytes)?,
            facts: self.facts,
            labels: Vec::with_capacity(batch),
            answers: GradientBatch::zeros(batch, classes, image.pixels()),
        }))
    }
}

fn model_error(model: &str, error: &EngineError) -> ModelError {
    ModelError { model: model.to_owned(), message: error.to_string() }
}

impl Facts {
    fn image_dims(&self) -> [usize; 4] {
        [self.batch, self.image.channels, self.image.height, self.image.width]
    }

    /// The pixels of a full batch, as one slice.
    fn pixels<'a>(&self, model: &str, images: &'a ArrayView2<f32>) -> Result<&'a [f32], ModelError> {
        let want = [self.batch, self.image.pixels()];
        match images.as_slice() {
            Some(pixels) if images.shape() == want => Ok(pixels),
            _ => Err(ModelError {
                model: model.to_owned(),
                message: format!("was given images {:?}, takes contiguous {want:?}", images.shape()),
            }),
        }
    }
}

/// Copies outputs into the buffers that expect them, and finds out whether each came, in its size.
struct Collector<'a> {
    buffers: Vec<(&'static str, &'a mut [f32])>,
    received: usize,
}

impl<'a> Collector<'a> {
    fn new(buffers: Vec<(&'static str, &'a mut [f32])>) -> Self {
        Self { buffers, received: 0 }
    }

    fn take(&mut self, name: &str, data: &[f32]) {
        for (wanted, buffer) in &mut self.buffers {
            if *wanted == name && buffer.len() == data.len() {
                buffer.copy_from_slice(data);
                self.received += 1;
            }
        }
    }

    fn finish(self, model: &str) -> Result<(), ModelError> {
        if self.received == self.buffers.len() {
            return Ok(());
        }
        let wanted: Vec<String> =
            self.buffers.iter().map(|(name, buffer)| format!("{name} ({} values)", buffer.len())).collect();
        let message = format!("did not return the outputs {} in their sizes", wanted.join(", "));
        Err(ModelError { model: model.to_owned(), message })
    }
}

struct OnnxClassifier {
    session: RawSession,
    facts: Facts,
    logits: Array2<f32>,
}

impl Classifier for OnnxClassifier {
    fn image_shape(&self) -> ImageShape {
        self.facts.image
    }

    fn classes(&self) -> usize {
        self.facts.classes
    }

    fn batch(&self) -> usize {
        self.facts.batch
    }

    fn logits(&mut self, images: ArrayView2<f32>) -> Result<&Array2<f32>, ModelError> {
        let data = Data::F32(self.facts.pixels(ORIGINAL, &images)?);
        let inputs = [Input { name: "images", dims: &self.facts.image_dims(), data }];
        let mut collector = Collector::new(vec![("logits", flat(&mut self.logits))]);
        self.session
            .run_with(&inputs, |name, _, data| collector.take(name, data))
            .map_err(|error| model_error(ORIGINAL, &error))?;
        collector.finish(ORIGINAL)?;
        Ok(&self.logits)
    }
}

struct OnnxGradient {
    session: RawSession,
    facts: Facts,
    labels: Vec<i64>,
    answers: GradientBatch,
}

impl Differentiable for OnnxGradient {
    fn batch(&self) -> usize {
        self.facts.batch
    }

    fn loss_gradient(
        &mut self,
        images: ArrayView2<f32>,
        goals: &[Goal],
    ) -> Result<&GradientBatch, ModelError> {
        let data = Data::F32(self.facts.pixels(GRADIENT, &images)?);
        self.labels.clear();
        self.labels.extend(goals.iter().map(|goal| goal.label as i64));
        let inputs = [
            Input { name: "images", dims: &self.facts.image_dims(), data },
            Input { name: "labels", dims: &[goals.len()], data: Data::I64(&self.labels) },
        ];
        let GradientBatch { logits, loss, gradient } = &mut self.answers;
        let loss = loss.as_slice_mut().expect("one dimension in standard layout");
        let buffers = vec![("logits", flat(logits)), ("loss", loss), ("images_gradient", flat(gradient))];
        let mut collector = Collector::new(buffers);
        self.session
            .run_with(&inputs, |name, _, data| collector.take(name, data))
            .map_err(|error| model_error(GRADIENT, &error))?;
        collector.finish(GRADIENT)?;
        Ok(&self.answers)
    }
}

fn flat(array: &mut Array2<f32>) -> &mut [f32] {
    array.as_slice_mut().expect("made by zeros, in standard layout")
}
