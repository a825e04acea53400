//! The graphs of a classifier, and the results of shape inference and of the scan.

use mimir_bundle::{BatchMode, OutputKind, Scan, tensor_names};

use super::input::ImageInput;
use super::input_spec::InputSpec;
use super::output::Ending;
use super::{output, preprocessing, random, search_scores, selection};
use crate::error::{ErrorKind, Result};
use crate::graph::{Dim, Graph, ValueId};
use crate::rebatch::with_dynamic_batch;
use crate::scan;
use crate::working_copy::WorkingCopy;

/// A graph that was found to be a classifier.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) graph: Graph,
    pub(super) specialised: Option<Graph>,
    pub(super) fixed_batch: Option<Graph>,
    pub(super) batch: BatchMode,
    pub(super) classes: usize,
    pub(super) output: OutputKind,
    pub(super) scan: Scan,
    /// What `graph` appends to the output of the file.
    ending: Ending,
    /// Whether the scan could not tell if images of a batch influence each other.
    mixing_is_unknown: bool,
}

impl Prepared {
    /// Prepares a file's graph, with the preprocessing that the user asked for.
    pub(super) fn new(file: &Graph, input: &ImageInput, spec: &InputSpec) -> Result<Self> {
        let batch = input.shape.0[0];
        let own = with_preprocessing(file.clone(), input, batch, spec)?;
        if batch == Dim::N {
            let images = own.inputs()[0];
            let one = with_fixed_batch(own.clone(), images)?;
            return Self::dynamic(own, one);
        }
        let rows = fixed_rows(batch);
        let dynamic = with_dynamic_batch(file, input.id, file.tensor_type(input.id)?, rows);
        let dynamic = with_preprocessing(dynamic, input, Dim::N, spec)?;
        match Self::analyse(dynamic, Dim::N, BatchMode::Rebatched) {
            Ok(rebatched) if rebatched.scan.mixes_images.is_empty() => rebatched.with_fixed_batch(own),
            // Even if its batch cannot be made dynamic, the file may be a classifier of that many images at a time.
            _ => Self::analyse(own, batch, BatchMode::of_rows(rows)),
        }
    }

    /// Prepares a file with a dynamic batch. If the images of a batch influence each other, it is evaluated one image
    /// at a time: a verdict must not depend on the other images of the batch.
    fn dynamic(own: Graph, one: Graph) -> Result<Self> {
        match Self::analyse(own, Dim::N, BatchMode::Dynamic) {
            Ok(prepared) if !prepared.scan.mixes_images.is_empty() => {
                let single = Self::analyse(one, Dim::Fixed(1), BatchMode::One)?;
                let scan = Scan { mixes_images: prepared.scan.mixes_images, ..single.scan };
                Ok(Self { scan, ..single })
            }
            Ok(prepared) if prepared.mixing_is_unknown => prepared.with_fixed_batch(one),
            Ok(prepared) => Ok(prepared),
            // Sizes that are not linear in the batch are fixed numbers once the batch is one.
            Err(error) if error.kind() == ErrorKind::Shape => {
                Self::analyse(one, Dim::Fixed(1), BatchMode::One).map_err(|_| error)
            }
            Err(error) => Err(error),
        }
    }

    /// Prepares a file whose copies are made of another graph, both for one image, or for as many as the file fixes.
    pub(super) fn specialised(
        file: &Graph,
        input: &ImageInput,
        specialised: &Graph,
        inner: &ImageInput,
        spec: &InputSpec,
    ) -> Result<Self> {
        let rows = fixed_rows(input.shape.0[0]);
        let batch = Dim::Fixed(rows);
        let copy = with_preprocessing(specialised.clone(), inner, batch, spec)?;
        let copy = Self::analyse(copy, batch, BatchMode::of_rows(rows))?;
        let file = with_fixed_batch(file.clone(), input.id)?;
        let mut original = with_preprocessing(file, input, batch, spec)?;
        // The engine keeps the type and shape of the output.
        copy.ending.append(&mut original)?;
        Ok(Self { specialised: Some(copy.graph), graph: original, ..copy })
    }

    /// Infers the types, and scans the graph.
    fn analyse(mut graph: Graph, batch: Dim, mode: BatchMode) -> Result<Self> {
        let (copy, ending) = with_ending(&mut graph, batch)?;
        let typed = &copy.graph;
        if mode == BatchMode::Rebatched {
            random::check_drawn_per_image(typed)?;
        }
        selection::check(typed, output::sole_output(typed)?, 1)?;
        let images = if batch == Dim::N { scan::batch(typed)? } else { scan::BatchAnalysis::default() };
        let mut searched = typed.clone();
        let replaced = search_scores::replace(&mut searched, batch, ending.classes)?;
        let output = output::kind(typed, replaced)?;
        let mut scan = scan::scan(&copy, &searched, &images)?;
        scan.softmax_outputs = output::softmax_nodes(typed)?;
        Ok(Self {
            graph,
            specialised: None,
            fixed_batch: None,
            batch: mode,
            classes: ending.classes,
            output,
            scan,
            ending,
            mixing_is_unknown: images.is_unknown,
        })
    }

    /// Adds a graph for one image to compare with.
    fn with_fixed_batch(self, mut one: Graph) -> Result<Self> {
        self.ending.append(&mut one)?;
        Ok(Self { fixed_batch: Some(one), ..self })
    }
}

/// Makes a graph return `[batch, K]` in float32, and its working copy.
fn with_ending(graph: &mut Graph, batch: Dim) -> Result<(WorkingCopy, Ending)> {
    let copy = WorkingCopy::new(graph)?;
    let ending = Ending::of(&copy.graph, batch, copy.output)?;
    ending.append(graph)?;
    let copy = if ending.changes_copy() { WorkingCopy::new(graph)? } else { copy };
    Ok((copy, ending))
}

/// Images of a call with a fixed batch: one, where the file leaves it open.
fn fixed_rows(batch: Dim) -> usize {
    batch.fixed().unwrap_or(1)
}

/// The graph with the first dimension of `input` fixed at one, where the file does not fix it.
pub(super) fn with_fixed_batch(mut graph: Graph, input: ValueId) -> Result<Graph> {
    let mut input_type = graph.tensor_type(input)?.clone();
    if let Some(batch) = input_type.shape.0.first_mut() {
        *batch = Dim::Fixed(fixed_rows(*batch));
    }
    graph.set_type(input, input_type);
    Ok(graph)
}

fn with_preprocessing(mut graph: Graph, input: &ImageInput, batch: Dim, spec: &InputSpec) -> Result<Graph> {
    preprocessing::prepend(&mut graph, input, batch, spec)?;
    let logits = output::sole_output(&graph)?;
    preprocessing::assign_name(&mut graph, logits, tensor_names::LOGITS)?;
    Ok(graph)
}
