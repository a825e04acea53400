//! A classifier that is cut open at a tensor: graphs that return its values, and that take a cotangent there.

use std::collections::HashSet;

use mimir_bundle::{OutputKind, PreparedGraph, tensor_names};

use super::features::{self, FeatureCandidate, FeaturePlace};
use super::replaced::Replaced;
use super::{ImageClassifier, gradient, output, preprocessing, search_scores};
use crate::autodiff::{Kernels, carrying_values, needed_values};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Dim, Graph, ValueId};
use crate::onnx::{SharedWeights, write_model, write_prepared};
use crate::shape;
use crate::simplify::simplify;
use crate::tensor::DataType;
use crate::working_copy::WorkingCopy;

/// The two graphs of a classifier that is cut open at a tensor of `F` values an image.
#[derive(Debug, Clone)]
pub struct FeatureGraphs {
    /// `images` to `logits`, `returned` where the forward graph has it, and `features` `[N, F]`.
    pub forward: PreparedGraph,
    /// `images`, `cotangent` `[N, K]` and `features_cotangent` `[N, F]` to `logits` and `images_gradient`.
    pub gradient: PreparedGraph,
    /// `F`.
    pub values: usize,
}

impl ImageClassifier {
    /// The tensors of the file that attacks on features can move, in the order of the graph. Tensors that only
    /// rearrange others are left out, and so are the scores, also before operators that only rearrange them.
    ///
    /// # Errors
    /// As [`ImageClassifier::new`].
    pub fn feature_candidates(&self) -> Result<Vec<FeatureCandidate>> {
        let copy = WorkingCopy::new(self.specialised.as_ref().unwrap_or(&self.original))?.graph;
        let mut found = features::candidates(&copy, |name| self.tensors.contains(name), self.batch_dim())?;
        let has_their_size = |candidate: &&FeatureCandidate| candidate.values() == self.manifest.classes;
        let values = found.iter().filter(has_their_size).filter_map(|candidate| copy.find(&candidate.name));
        let values: Vec<ValueId> = values.collect();
        if !values.is_empty() {
            let names: Vec<String> = values.iter().map(|id| copy.value(*id).name.clone()).collect();
            let cut = self.cut_open_at(copy, &values)?;
            let scores = names.iter().zip(&cut.features).filter(|(_, rows)| cut.scores.contains(rows));
            let scores: HashSet<&String> = scores.map(|(name, _)| name).collect();
            found.retain(|candidate| !scores.contains(&candidate.name));
        }
        Ok(found)
    }

    /// Whether an operator of the file, between the images and the scores, makes a tensor of that name, or it is that of the
    /// scores.
    pub fn has_tensor(&self, name: &str) -> bool {
        let file = self.specialised.as_ref().unwrap_or(&self.original);
        name == self.manifest.output_name || self.find_tensor(file, name).is_some()
    }

    fn find_tensor(&self, graph: &Graph, name: &str) -> Option<ValueId> {
        let found = graph.find(name).filter(|id| graph.producers().contains_key(id));
        found.filter(|_| self.tensors.contains(name))
    }

    /// The tensor that features are where nobody names one: what the last linear layer reads, or else the last one.
    ///
    /// # Errors
    /// As [`Self::feature_candidates`], and when there is none.
    pub fn default_feature(&self) -> Result<FeatureCandidate> {
        let mut candidates = self.feature_candidates()?;
        let penultimate =
            candidates.iter().position(|candidate| candidate.place == FeaturePlace::Penultimate);
        let last = candidates.len().checked_sub(1);
        let chosen = penultimate.or(last).ok_or_else(|| {
            Error::unsupported("has no tensor between the images and the scores that could be features")
        })?;
        Ok(candidates.swap_remove(chosen))
    }

    /// The graphs of the classifier cut open at a tensor of the file, with their weights beside them, shared with other
    /// graphs of the model, and with the operators that the engine has kernels for.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) when there is no such tensor, or it is not made of the images by
    /// floating-point numbers of which it is known whose they are; [`NoGradient`](ErrorKind::NoGradient) when no gradient
    /// of it reaches the images; else as [`Self::gradient_onnx`].
    pub fn feature_graphs(
        &self,
        tensor: &str,
        kernels: Kernels,
        shared: &mut SharedWeights,
    ) -> Result<FeatureGraphs> {
        let cut = self.cut_open(tensor)?;
        let gradient = gradient::feature_gradient_graph(cut.graph.clone(), kernels)?;
        shape::check(&gradient)?;
        let mut forward = cut.graph;
        super::kernels::use_kernels(&mut forward, kernels)?;
        shape::check(&forward)?;
        Ok(FeatureGraphs {
            forward: write_prepared(&forward, shared)?,
            gradient: write_prepared(&gradient, shared)?,
            values: cut.values,
        })
    }

    /// [`Self::feature_graphs`], each by itself, in operators of ONNX.
    ///
    /// # Errors
    /// As [`Self::feature_graphs`].
    pub fn feature_graphs_onnx(&self, tensor: &str) -> Result<FeatureGraphs> {
        let cut = self.cut_open(tensor)?;
        let gradient = gradient::feature_gradient_graph(cut.graph.clone(), Kernels::Standard)?;
        shape::check(&gradient)?;
        Ok(FeatureGraphs {
            forward: write_model(&cut.graph)?.into(),
            gradient: write_model(&gradient)?.into(),
            values: cut.values,
        })
    }

    fn batch_dim(&self) -> Dim {
        self.manifest.batch.rows().map_or(Dim::N, Dim::Fixed)
    }

    /// The forward graph with the values of a tensor as one more output, all outputs with their names.
    fn cut_open(&self, tensor: &str) -> Result<OpenGraph> {
        let graph = self.with_tensor(tensor)?;
        let [_, value] = graph.outputs()[..] else {
            return Err(Error::unsupported("is the output with the scores").at_tensor(tensor));
        };
        expect_features(&graph, value).map_err(|error| error.at_tensor(tensor))?;
        let CutOpen { mut graph, scores, features } = self.cut_open_at(graph, &[value])?;
        let [features] = features[..] else {
            return Err(Error::unsupported("is no output any more").at_tensor(tensor));
        };
        // One value would have two names.
        if scores.contains(&features) {
            return Err(Error::unsupported("holds the scores themselves: name a tensor before them")
                .at_tensor(tensor));
        }
        for (output, name) in scores.iter().zip(tensor_names::OF_SEARCH_GRAPHS) {
            preprocessing::assign_name(&mut graph, *output, name)?;
        }
        preprocessing::assign_name(&mut graph, features, tensor_names::FEATURES)?;
        let values = graph.shape(features)?.0.last().and_then(|dim| dim.fixed()).unwrap_or(0);
        Ok(OpenGraph { graph, values })
    }

    /// The forward graph made of a working copy, with values of it as further outputs, an image a row. They are outputs before
    /// anything is rewritten, so that every rewrite keeps them.
    fn cut_open_at(&self, mut graph: Graph, values: &[ValueId]) -> Result<CutOpen> {
        let whole = graph.clone();
        graph.set_outputs(whole.outputs().iter().take(1).copied().collect());
        let replaced = search_scores::replace(&mut graph, self.batch_dim(), self.manifest.classes)?;
        restore(&mut graph, &whole, values)?;
        for rows in features::as_rows(&mut graph, values, self.batch_dim())? {
            graph.add_output(rows);
        }
        simplify(&mut graph)?;
        if replaced == Replaced::No && self.manifest.output == OutputKind::Probabilities {
            output::take_logarithm(&mut graph)?;
        }
        let mut scores = graph.outputs().to_vec();
        let features = scores.split_off(scores.len().saturating_sub(values.len()));
        Ok(CutOpen { graph, scores, features })
    }

    /// The working copy with a tensor of the file as its second output.
    fn with_tensor(&self, tensor: &str) -> Result<Graph> {
        // Whatever it is called in the graph.
        if tensor == self.manifest.output_name {
            return Err(Error::unsupported("is the output with the scores").at_tensor(tensor));
        }
        let mut file = self.specialised.as_ref().unwrap_or(&self.original).clone();
        let Some(found) = self.find_tensor(&file, tensor) else {
            let message = "no operator between the images and the scores makes a tensor of that name";
            return Err(Error::unsupported(message).at_tensor(tensor));
        };
        if file.outputs().contains(&found) {
            return Err(Error::unsupported("is the output with the scores").at_tensor(tensor));
        }
        file.add_output(found);
        Ok(WorkingCopy::new(&file)?.graph)
    }
}

/// A forward graph with values of tensors as its last outputs, and which those are.
struct CutOpen {
    graph: Graph,
    scores: Vec<ValueId>,
    features: Vec<ValueId>,
}

/// A forward graph with the values of a tensor as its last output, `[N, F]`.
struct OpenGraph {
    graph: Graph,
    values: usize,
}

/// Gives a graph back what makes values, from what it was: the scores that searches use may stand before them.
fn restore(graph: &mut Graph, whole: &Graph, values: &[ValueId]) -> Result<()> {
    let (needed, known) = (needed_values(whole, values), graph.producers());
    let is_missing = |id: &ValueId| needed.contains(id) && !known.contains_key(id);
    let missing = whole.nodes().iter().filter(|node| node.outputs.iter().flatten().any(is_missing));
    for node in missing.cloned().collect::<Vec<_>>() {
        graph.push_node(node);
    }
    for (id, tensor) in whole.constants().filter(|(id, _)| needed.contains(id)) {
        if graph.constant(id).is_none() {
            graph.set_constant(id, tensor.clone());
        }
    }
    graph.sort()
}

/// That a value of a working copy is made of the images, in numbers that have a derivative.
fn expect_features(graph: &Graph, value: ValueId) -> Result<()> {
    let dtype = graph.tensor_type(value)?.dtype;
    if dtype != DataType::Float32 {
        return Err(Error::unsupported(format!("holds {dtype}, wanted floating-point numbers")));
    }
    let Some(images) = graph.inputs().first() else { return Ok(()) };
    match carrying_values(graph, *images)?.contains(&value) {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::NoGradient,
            "does not depend on the images, or only through operators whose gradient is zero",
        )),
    }
}
