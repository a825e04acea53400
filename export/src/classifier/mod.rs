//! From a model file to the graphs that a runtime evaluates: the story of this crate.
//!
//! [`ImageClassifier::new`] finds out what the file takes and returns, opens a batch that is fixed at one, and puts
//! normalisation and layout in front, so that everything after it sees pixels in `[0, 1]` as `[N, C, H, W]`.
//! [`ImageClassifier::original_onnx`] is that graph in the file's own opset and operators;
//! [`ImageClassifier::forward_onnx`] lifts a copy to one opset and simplifies it, and
//! [`ImageClassifier::gradient_onnx`] differentiates that.

mod input;
mod output;
mod prefix;
mod random;
#[cfg(test)]
mod tests;

use mimir_bundle::{BatchMode, ImageShape, Layout, Manifest, Normalisation, OutputKind, PreparedGraph};

use crate::autodiff::{Kernels, LossHead, differentiate};
use crate::error::Result;
use crate::graph::{Dim, Graph};
use crate::onnx::{ModelFile, SharedWeights, write_model, write_prepared};
use crate::rebatch::open_batch;
use crate::simplify::{open_gelus, simplify, take_out_factors, tidy};
use crate::upgrade::upgrade;
use input::ImageInput;

/// Name of the output of every prepared graph.
const LOGITS: &str = "logits";

/// Further names of the gradient graphs, which a file may have given to tensors of its own.
const ADDED_BY_DIFFERENTIATION: [&str; 5] = ["labels", "targets", "cotangent", "loss", "images_gradient"];

/// What the user says about the input of a model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InputSpec {
    /// What the model was trained to see in place of pixels in `[0, 1]`.
    pub normalisation: Option<Normalisation>,
    /// Where the channels are; `None` to read it from the graph.
    pub layout: Option<Layout>,
    /// The images of the data set: a flat input does not show height and width.
    pub image: Option<ImageShape>,
}

/// A model file that was found to be an image classifier, ready to be evaluated and differentiated.
#[derive(Debug, Clone)]
pub struct ImageClassifier {
    manifest: Manifest,
    original: Graph,
    /// The file's own graph for one image, where `original` is the re-batched one.
    fixed_batch: Option<Graph>,
    random_operators: Vec<String>,
}

impl ImageClassifier {
    /// Checks that the file is an image classifier and puts normalisation and layout in front of it.
    ///
    /// # Errors
    /// [`NotAClassifier`](crate::ErrorKind::NotAClassifier) when inputs, outputs or the layout are not those of one,
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for other element types and unknown operators, and the errors of
    /// [`upgrade`]; all name the tensor or node and the way out.
    pub fn new(file: ModelFile, spec: &InputSpec) -> Result<Self> {
        let input = ImageInput::find(&file.graph, spec)?;
        if let Some(normalisation) = &spec.normalisation {
            prefix::check(normalisation, input.image)?;
        }
        let prepared = Prepared::new(&file.graph, &input, spec.normalisation.as_ref())?;
        let manifest = Manifest {
            model_digest: file.digest,
            opset: file.graph.opset,
            ir_version: file.ir_version,
            producer: file.producer,
            image: input.image,
            layout: input.layout,
            normalisation: spec.normalisation.clone(),
            classes: prepared.classes,
            batch: prepared.batch,
            output: prepared.output,
        };
        let (original, fixed_batch) = (prepared.graph, prepared.fixed_batch);
        Ok(Self { manifest, original, fixed_batch, random_operators: random::list(&file.graph) })
    }

    /// The facts of the prepared model.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The operators that make the model give another answer each time, such as `node "noise" (RandomNormalLike)`;
    /// empty for almost every model.
    ///
    /// A gradient of such a model is that of one draw, and so is a verdict: the caller must refuse the model, or attack
    /// its expectation. Nor do two runs agree, so that comparing graphs by their results says nothing.
    pub fn random_operators(&self) -> &[String] {
        &self.random_operators
    }

    /// Says what the outputs are, where running the model showed what its operators do not.
    pub fn set_output_kind(&mut self, kind: OutputKind) {
        self.manifest.output = kind;
    }

    /// The model as the file computes it: `images` to `logits`, in the file's own opset and operators.
    ///
    /// # Errors
    /// As [`write_model`].
    pub fn original_onnx(&self) -> Result<Vec<u8>> {
        write_model(&self.original)
    }

    /// Of a re-batched model, the file's own graph for one image, to compare [`original_onnx`](Self::original_onnx)
    /// with.
    pub fn fixed_batch_onnx(&self) -> Option<Result<Vec<u8>>> {
        self.fixed_batch.as_ref().map(write_model)
    }

    /// Goes back to the file's own graph for one image, because the re-batched one gave other numbers.
    pub fn keep_fixed_batch(&mut self) {
        if let Some(graph) = self.fixed_batch.take() {
            self.original = graph;
            self.manifest.batch = BatchMode::One;
        }
    }

    /// The model as fast as we can make it: `images` to `logits`, lifted to one opset and simplified, so that it differs
    /// from [`original_onnx`](Self::original_onnx) in the last bits. Where the model returns probabilities, its `logits`
    /// are their logarithms.
    ///
    /// # Errors
    /// As [`upgrade`], [`simplify`] and [`write_model`].
    pub fn forward_onnx(&self) -> Result<Vec<u8>> {
        write_model(&self.simplified()?)
    }

    /// The graph of logits, loss and input gradient that `head` asks for. Its `logits` are those of
    /// [`forward_onnx`](Self::forward_onnx), up to rounding.
    ///
    /// # Errors
    /// As [`upgrade`], [`simplify`] and [`differentiate`]: above all an operator without a gradient rule.
    pub fn gradient_onnx(&self, head: LossHead) -> Result<Vec<u8>> {
        write_model(&self.gradient(head, Kernels::Standard)?)
    }

    /// [`original_onnx`](Self::original_onnx) with its weights beside it, shared with other graphs of the model.
    ///
    /// # Errors
    /// As [`original_onnx`](Self::original_onnx).
    pub fn prepared_original(&self, shared: &mut SharedWeights) -> Result<PreparedGraph> {
        write_prepared(&self.original, shared)
    }

    /// [`forward_onnx`](Self::forward_onnx) with its weights beside it, shared with other graphs of the model.
    ///
    /// # Errors
    /// As [`forward_onnx`](Self::forward_onnx).
    pub fn prepared_forward(&self, shared: &mut SharedWeights) -> Result<PreparedGraph> {
        write_prepared(&self.simplified()?, shared)
    }

    /// [`gradient_onnx`](Self::gradient_onnx) with its weights beside it, shared with other graphs of the model, and with
    /// the operators that the engine has kernels for.
    ///
    /// # Errors
    /// As [`gradient_onnx`](Self::gradient_onnx).
    pub fn prepared_gradient(
        &self,
        head: LossHead,
        kernels: Kernels,
        shared: &mut SharedWeights,
    ) -> Result<PreparedGraph> {
        write_prepared(&self.gradient(head, kernels)?, shared)
    }

    fn gradient(&self, head: LossHead, kernels: Kernels) -> Result<Graph> {
        let mut graph = self.simplified()?;
        for name in ADDED_BY_DIFFERENTIATION {
            prefix::free_name(&mut graph, name)?;
        }
        if kernels == Kernels::Standard {
            open_gelus(&mut graph)?;
        }
        let mut gradient = differentiate(&graph, head, kernels)?;
        drop(graph);
        take_out_factors(&mut gradient);
        let names: Vec<String> =
            gradient.outputs().iter().map(|id| gradient.value(*id).name.clone()).collect();
        tidy(&mut gradient);
        for (output, name) in gradient.outputs().to_vec().into_iter().zip(names) {
            prefix::claim_name(&mut gradient, output, &name)?;
        }
        Ok(gradient)
    }

    /// A lifted and simplified copy that returns logits, or the logarithms of probabilities, under that name.
    fn simplified(&self) -> Result<Graph> {
        let mut graph = upgrade(&self.original)?;
        simplify(&mut graph)?;
        if self.manifest.output == OutputKind::Probabilities {
            output::take_logarithm(&mut graph)?;
        }
        // Simplification may have taken away the very node that bore the name.
        let logits = output::sole_output(&graph)?;
        prefix::claim_name(&mut graph, logits, LOGITS)?;
        Ok(graph)
    }
}

/// The graphs of a classifier, and what inference found out about them.
struct Prepared {
    graph: Graph,
    fixed_batch: Option<Graph>,
    batch: BatchMode,
    classes: usize,
    output: OutputKind,
}

impl Prepared {
    fn new(file: &Graph, input: &ImageInput, normalisation: Option<&Normalisation>) -> Result<Self> {
        let batch = input.shape.0[0];
        let own = with_prefix(file.clone(), input, batch, normalisation)?;
        if batch == Dim::N {
            return Self::checked(own, batch, BatchMode::Dynamic);
        }
        let opened = open_batch(file, input.id, file.tensor_type(input.id)?);
        let opened = with_prefix(opened, input, Dim::N, normalisation)?;
        match Self::checked(opened, Dim::N, BatchMode::Rebatched) {
            Ok(rebatched) => Ok(Self { fixed_batch: Some(own), ..rebatched }),
            // Whatever keeps the batch from being opened, the file as it is may still be a classifier.
            Err(_) => Self::checked(own, batch, BatchMode::One),
        }
    }

    fn checked(graph: Graph, batch: Dim, mode: BatchMode) -> Result<Self> {
        let typed = upgrade(&graph)?;
        if mode == BatchMode::Rebatched {
            random::check_drawn_per_image(&typed)?;
        }
        let (classes, output) = (output::classes(&typed, batch)?, output::kind(&typed)?);
        Ok(Self { graph, fixed_batch: None, batch: mode, classes, output })
    }
}

fn with_prefix(
    mut graph: Graph,
    input: &ImageInput,
    batch: Dim,
    normalisation: Option<&Normalisation>,
) -> Result<Graph> {
    prefix::prepend(&mut graph, input, batch, normalisation)?;
    let logits = output::sole_output(&graph)?;
    prefix::claim_name(&mut graph, logits, LOGITS)?;
    Ok(graph)
}
