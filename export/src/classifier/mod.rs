//! From a model file to the graphs that a runtime evaluates: the main path of this crate.
//!
//! [`ImageClassifier::new`] determines the input and output of the file, makes a batch that is fixed dynamic,
//! and prepends normalisation and layout, so that the input of every graph is pixels in `[0, 1]` as `[N, C, H, W]`.
//! [`ImageClassifier::original_onnx`] is that graph in the file's own opset, operators and precision.
//! [`ImageClassifier::forward_onnx`] is a copy in one opset and float32, simplified, and
//! [`ImageClassifier::gradient_onnx`] differentiates it. [`ImageClassifier::scan`] reports what the operators say about
//! the reliability of the gradients.

mod bounded_scores;
mod choice;
mod class_axis;
mod cut_open;
mod directions;
mod features;
pub(crate) mod gradient;
mod input;
mod input_spec;
mod kernels;
mod known_values;
mod labels;
mod log_probabilities;
mod memory;
mod open_input;
mod order;
mod output;
mod prepared;
mod preprocessing;
mod random;
mod rearranging;
mod replaced;
mod scores;
mod search_scores;
mod selection;
#[cfg(test)]
mod tests;
mod units;
mod weight_use;

use std::collections::HashSet;

use mimir_bundle::digest::digest_model;
use mimir_bundle::{
    BatchMode, Loss, Manifest, OutputKind, PreparedGraph, Scan, ScannedNode, WeightUse, tensor_names,
};

use crate::autodiff::Kernels;
use crate::error::{Error, Result};
use crate::float64::margin_graph;
use crate::graph::{Dim, Graph, OpenInput};
use crate::normalisation;
use crate::onnx::{ModelFile, SharedWeights, write_model, write_prepared};
use crate::shape;
use crate::simplify::{simplify, simplify_for_kernels, simplify_keeping_weights};
use crate::working_copy::WorkingCopy;
pub use cut_open::FeatureGraphs;
pub use directions::DirectionsGraph;
pub use features::{FeatureCandidate, FeaturePlace};
use input::ImageInput;
pub use input_spec::InputSpec;
use prepared::Prepared;
pub use replaced::SearchScores;
use scores::ClassScores;
use search_scores::Replaced;
pub use units::UnitsGraph;

/// The file's own graph with a fixed batch (of one, where the file leaves it open) and without labels, for an engine
/// that can infer its shapes.
///
/// # Errors
/// As [`ImageClassifier::new`] for inputs, and as [`write_model`].
pub fn for_one_image(file: &ModelFile, spec: &InputSpec) -> Result<Vec<u8>> {
    let mut graph = scores::class_scores(file.graph.clone(), spec.output.as_deref())?.graph;
    let input = checked_input(&mut graph, &file.open_inputs, spec)?;
    write_model(&prepared::with_fixed_batch(graph, input.id)?)
}

fn checked_input(graph: &mut Graph, open: &[OpenInput], spec: &InputSpec) -> Result<ImageInput> {
    let input = ImageInput::find(graph, open, spec)?;
    if let Some(normalisation) = &spec.normalisation {
        normalisation::check(normalisation, input.image.channels)?;
    }
    preprocessing::check_levels(&input, spec)?;
    preprocessing::check_channels(spec.channel_order, input.image)?;
    Ok(input)
}

/// A model file that was found to be an image classifier, ready to be evaluated and differentiated.
#[derive(Debug, Clone)]
pub struct ImageClassifier {
    manifest: Manifest,
    original: Graph,
    /// For a file whose shapes only the engine can infer: the engine's optimised copy of `original`.
    specialised: Option<Graph>,
    /// The graph with a fixed batch, where `original` takes any and must be compared with it.
    fixed_batch: Option<Graph>,
    scan: Scan,
    random_operators: Vec<String>,
    /// The tensors that operators of the file make, by name: those of the nodes in front of them have names of ours.
    tensors: HashSet<String>,
}

impl ImageClassifier {
    /// Checks that the file is an image classifier, and prepends normalisation and layout.
    ///
    /// # Errors
    /// [`NotAClassifier`](crate::ErrorKind::NotAClassifier) when inputs, outputs or the layout are not those of one,
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for other element types and unknown operators, and the errors of
    /// [`upgrade`](crate::upgrade::upgrade); all name the tensor or node and the way out.
    pub fn new(mut file: ModelFile, spec: &InputSpec) -> Result<Self> {
        let tensors = made_tensors(&file.graph);
        let ClassScores { graph, name } = scores::class_scores(file.graph, spec.output.as_deref())?;
        file.graph = graph;
        let input = checked_input(&mut file.graph, &file.open_inputs, spec)?;
        let prepared = Prepared::new(&file.graph, &input, spec).map_err(|error| error.at_tensor(&name))?;
        Ok(Self { tensors, ..Self::assemble(file, name, spec, &input, prepared) })
    }

    /// As [`ImageClassifier::new`], for a file whose shapes we cannot infer: forward and gradient graphs are made of
    /// `specialised`, what an engine made of the bytes of [`for_one_image`], and take one image at a time, or as many as
    /// the file fixes.
    ///
    /// # Errors
    /// As [`ImageClassifier::new`], above all where the shapes of `specialised` cannot be inferred either.
    pub fn with_specialised(mut file: ModelFile, specialised: &ModelFile, spec: &InputSpec) -> Result<Self> {
        let tensors = made_tensors(&file.graph);
        let ClassScores { graph, name } = scores::class_scores(file.graph, spec.output.as_deref())?;
        file.graph = graph;
        let input = checked_input(&mut file.graph, &file.open_inputs, spec)?;
        let mut copy = specialised.graph.clone();
        let inner = checked_input(&mut copy, &specialised.open_inputs, spec)?;
        let prepared = Prepared::specialised(&file.graph, &input, &copy, &inner, spec)
            .map_err(|error| error.at_tensor(&name))?;
        Ok(Self { tensors, ..Self::assemble(file, name, spec, &input, prepared) })
    }

    fn assemble(
        file: ModelFile,
        output_name: String,
        spec: &InputSpec,
        input: &ImageInput,
        prepared: Prepared,
    ) -> Self {
        let manifest = Manifest {
            model_digest: digest_model(&file.files),
            files: file.files,
            opset: file.graph.opset,
            ir_version: file.ir_version,
            producer: file.producer,
            image: input.image,
            layout: input.layout,
            pixel_type: input.pixel_type(),
            channel_order: spec.channel_order,
            normalisation: spec.normalisation.clone(),
            classes: prepared.classes,
            batch: prepared.batch,
            output_name,
            output: prepared.output,
        };
        let Prepared { graph, specialised, fixed_batch, scan, .. } = prepared;
        let random_operators = scan.random.iter().map(ScannedNode::to_string).collect();
        let tensors = HashSet::new();
        Self { manifest, original: graph, specialised, fixed_batch, scan, random_operators, tensors }
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

    /// What the model's operators show without running it: cut and approximated gradients, randomness, images that mix.
    pub fn scan(&self) -> &Scan {
        &self.scan
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

    /// The graph with a fixed batch, to compare [`original_onnx`](Self::original_onnx) with, where that takes any: of a
    /// re-batched model as the file has it, and for one image of a model with operators that the scan could not judge.
    pub fn fixed_batch_onnx(&self) -> Option<Result<Vec<u8>>> {
        self.fixed_batch.as_ref().map(write_model)
    }

    /// Whether there is a graph with a fixed batch to compare with: [`fixed_batch_onnx`](Self::fixed_batch_onnx).
    pub fn has_fixed_batch(&self) -> bool {
        self.fixed_batch.is_some()
    }

    /// How the graph with a fixed batch takes images, where there is one.
    pub fn fixed_batch_mode(&self) -> Option<BatchMode> {
        self.fixed_batch.as_ref().map(|graph| {
            let images = graph.inputs().first().and_then(|images| graph.shape(*images).ok());
            let rows = images.and_then(|shape| shape.0.first()?.fixed());
            BatchMode::of_rows(rows.unwrap_or(1))
        })
    }

    /// Goes back to the graph with a fixed batch, because the one for any gave other numbers.
    pub fn keep_fixed_batch(&mut self) {
        if let Some(mode) = self.fixed_batch_mode()
            && let Some(graph) = self.fixed_batch.take()
        {
            self.original = graph;
            self.manifest.batch = mode;
        }
    }

    /// The fastest form of the model: `images` to `logits`, upgraded to one opset and simplified, so that it differs
    /// from [`original_onnx`](Self::original_onnx) in the last bits. Where the model returns probabilities, its
    /// `logits` are their logarithms; where it returns scores that saturate, scores before them in which the classes
    /// have the same order ([`OutputKind`]), and `returned` what the file returns, where that may have equal scores.
    ///
    /// # Errors
    /// As [`ImageClassifier::new`], [`simplify`] and [`write_model`].
    pub fn forward_onnx(&self) -> Result<Vec<u8>> {
        write_model(&self.simplified()?)
    }

    /// The graph of logits, loss and input gradient for `loss`. Its `logits` are those of
    /// [`forward_onnx`](Self::forward_onnx), up to rounding.
    ///
    /// # Errors
    /// As [`ImageClassifier::new`], [`simplify`] and [`differentiate`](crate::autodiff::differentiate): above all an
    /// operator without a gradient rule.
    pub fn gradient_onnx(&self, loss: Loss) -> Result<Vec<u8>> {
        write_model(&self.gradient(loss, Kernels::Standard)?)
    }

    /// [`gradient_onnx`](Self::gradient_onnx) as a graph of the file's own weights, nothing folded into them: both can share one
    /// file of weights. It takes a tenth longer to run (a ViT-T, one thread of ONNX Runtime).
    ///
    /// # Errors
    /// As [`gradient_onnx`](Self::gradient_onnx).
    pub fn gradient_graph_keeping_weights(&self, loss: Loss) -> Result<Graph> {
        let forward = self.search_graph(simplify_keeping_weights)?;
        let graph = gradient::gradient_graph_keeping_weights(forward, loss)?;
        shape::check(&graph)?;
        Ok(graph)
    }

    /// The model in float64: from `images`, `f32 [N, C, H, W]`, and `labels`, `i64 [N]`, to `margin`, `f32 [N]`, the score of
    /// the label that the file returns less the highest of the others. Made of the file's own numbers, nothing folded.
    ///
    /// # Errors
    /// When an operator takes no float64. An engine may have no kernel for one and refuse the graph.
    pub fn margin_onnx(&self) -> Result<Vec<u8>> {
        let copy = WorkingCopy::new(self.specialised.as_ref().unwrap_or(&self.original))?;
        write_model(&margin_graph(copy.graph)?)
    }

    /// The graph that counts, for each image, the units that pass no gradient; `None` where none can be found by interval
    /// arithmetic, as behind layer normalisation or attention.
    ///
    /// # Errors
    /// As [`forward_onnx`](Self::forward_onnx).
    pub fn units_graph(&self) -> Result<Option<UnitsGraph>> {
        units::units_graph(self.simplified()?)
    }

    /// The graph of [`forward_onnx`](Self::forward_onnx) with its weights moved along two random directions; `None` where no
    /// operator has weights.
    ///
    /// # Errors
    /// As [`forward_onnx`](Self::forward_onnx).
    pub fn directions_graph(&self, seed: u64) -> Result<Option<DirectionsGraph>> {
        directions::directions_graph(self.simplified()?, seed)
    }

    /// [`original_onnx`](Self::original_onnx) with its weights beside it, shared with other graphs of the model.
    ///
    /// # Errors
    /// As [`original_onnx`](Self::original_onnx).
    pub fn prepared_original(&self, shared: &mut SharedWeights) -> Result<PreparedGraph> {
        write_prepared(&self.original, shared)
    }

    /// [`forward_onnx`](Self::forward_onnx) with its weights beside it, shared with other graphs of the model, and with
    /// the operators that the engine has kernels for.
    ///
    /// # Errors
    /// As [`forward_onnx`](Self::forward_onnx).
    pub fn prepared_forward(&self, kernels: Kernels, shared: &mut SharedWeights) -> Result<PreparedGraph> {
        let mut graph = self.simplified_for(kernels)?;
        kernels::use_kernels(&mut graph, kernels)?;
        shape::check(&graph)?;
        write_prepared(&graph, shared)
    }

    /// [`gradient_onnx`](Self::gradient_onnx) with its weights beside it, shared with other graphs of the model, and
    /// with the operators that the engine has kernels for.
    ///
    /// # Errors
    /// As [`gradient_onnx`](Self::gradient_onnx).
    pub fn prepared_gradient(
        &self,
        loss: Loss,
        kernels: Kernels,
        shared: &mut SharedWeights,
    ) -> Result<PreparedGraph> {
        write_prepared(&self.gradient(loss, kernels)?, shared)
    }

    fn gradient(&self, loss: Loss, kernels: Kernels) -> Result<Graph> {
        let graph = gradient::gradient_graph(self.simplified_for(kernels)?, loss, kernels)?;
        shape::check(&graph)?;
        Ok(graph)
    }

    /// The graph of [`original_onnx`](Self::original_onnx) with values of the file as outputs in place of the logits, in
    /// that order. Their first dimension is the batch.
    ///
    /// # Errors
    /// When the logits do not depend on a value of that name, and as [`write_model`].
    pub fn features_onnx(&self, names: &[&str]) -> Result<Vec<u8>> {
        let mut graph = self.original.clone();
        let find = |name: &&str| {
            graph.find(name).ok_or_else(|| {
                Error::unsupported("the scores of the classes do not depend on it").at_tensor(*name)
            })
        };
        let outputs = names.iter().map(find).collect::<Result<Vec<_>>>()?;
        graph.set_outputs(outputs);
        graph.prune();
        write_model(&graph)
    }

    /// Bytes that the model needs at the same time for a batch of `rows`, from the shapes of a copy in one opset: weights,
    /// and what is computed and still read. An engine may need more.
    ///
    /// # Errors
    /// When the shape of a value is not known.
    pub fn memory(&self, rows: usize) -> Result<u64> {
        let copy = WorkingCopy::new(self.specialised.as_ref().unwrap_or(&self.original))?;
        memory::peak_bytes(&copy.graph, rows)
    }

    /// How often an image meets the weights of the file; nothing where a copy in one opset cannot be made.
    pub fn weight_use(&self) -> WeightUse {
        // The graph as the file has it has no shapes inside, without which convolutions would be left out.
        let copy = WorkingCopy::new(self.specialised.as_ref().unwrap_or(&self.original));
        copy.map_or_else(|_| WeightUse::default(), |copy| weight_use::weight_use(&copy.graph))
    }

    /// What the `logits` of [`forward_onnx`](Self::forward_onnx) and of gradient graphs are to what the file returns.
    ///
    /// # Errors
    /// As [`forward_onnx`](Self::forward_onnx).
    pub fn search_scores(&self) -> Result<SearchScores> {
        let mut graph = WorkingCopy::new(self.specialised.as_ref().unwrap_or(&self.original))?.graph;
        let batch = self.manifest.batch.rows().map_or(Dim::N, Dim::Fixed);
        Ok(match search_scores::replace(&mut graph, batch, self.manifest.classes)? {
            Replaced::No if self.manifest.output != OutputKind::Probabilities => SearchScores::Returned,
            Replaced::No | Replaced::Logarithms => SearchScores::Logarithms,
            Replaced::Scores | Replaced::ScoresWithTies => SearchScores::SameOrder,
        })
    }

    fn simplified(&self) -> Result<Graph> {
        self.simplified_for(Kernels::Standard)
    }

    fn simplified_for(&self, kernels: Kernels) -> Result<Graph> {
        self.search_graph(match kernels {
            Kernels::Standard => simplify,
            Kernels::Mimir | Kernels::BatchLast | Kernels::Products | Kernels::Bfloat16 => {
                simplify_for_kernels
            }
        })
    }

    /// An upgraded and simplified copy that returns the scores that searches use as `logits`.
    fn search_graph(&self, simplify: impl FnOnce(&mut Graph) -> Result<()>) -> Result<Graph> {
        let mut graph = WorkingCopy::new(self.specialised.as_ref().unwrap_or(&self.original))?.graph;
        let batch = self.manifest.batch.rows().map_or(Dim::N, Dim::Fixed);
        let replaced = search_scores::replace(&mut graph, batch, self.manifest.classes)?;
        simplify(&mut graph)?;
        if replaced == Replaced::No && self.manifest.output == OutputKind::Probabilities {
            output::take_logarithm(&mut graph)?;
        }
        // Simplification may have removed the nodes whose outputs had the names.
        for (output, name) in graph.outputs().to_vec().into_iter().zip(tensor_names::OF_SEARCH_GRAPHS) {
            preprocessing::assign_name(&mut graph, output, name)?;
        }
        Ok(graph)
    }
}

fn made_tensors(graph: &Graph) -> HashSet<String> {
    let outputs = graph.nodes().iter().flat_map(|node| node.outputs.iter().flatten());
    outputs.map(|id| graph.value(*id).name.clone()).collect()
}
