//! The graphs of a classifier, and what inference and the scan found out about them.

use mimir_bundle::{BatchMode, Normalisation, OutputKind, Scan};

use super::input::ImageInput;
use super::{LOGITS, output, prefix, random};
use crate::error::{ErrorKind, Result};
use crate::graph::{Dim, Graph, ValueId};
use crate::lower::working_copy;
use crate::rebatch::open_batch;
use crate::scan;
use crate::tensor::DataType;

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
    /// Whether the file returns another floating-point type, and `graph` a Cast of it.
    casts_output: bool,
    /// Whether the scan left open that images of a batch influence each other.
    unclear: bool,
}

impl Prepared {
    /// Of a file's graph, with what the user asked for in front.
    pub(super) fn new(
        file: &Graph,
        input: &ImageInput,
        normalisation: Option<&Normalisation>,
    ) -> Result<Self> {
        let batch = input.shape.0[0];
        let own = with_prefix(file.clone(), input, batch, normalisation)?;
        if batch == Dim::N {
            let images = own.inputs()[0];
            let one = with_one_image(own.clone(), images)?;
            return Self::dynamic(own, one);
        }
        let opened = open_batch(file, input.id, file.tensor_type(input.id)?);
        let opened = with_prefix(opened, input, Dim::N, normalisation)?;
        match Self::checked(opened, Dim::N, BatchMode::Rebatched) {
            Ok(rebatched) if rebatched.scan.mixes_images.is_empty() => rebatched.beside(own),
            // Whatever keeps the batch from being opened, the file as it is may still be a classifier.
            _ => Self::checked(own, batch, BatchMode::One),
        }
    }

    /// Of a file that takes any batch. One whose images influence each other in a batch is evaluated one image at a time: a
    /// verdict must not depend on the neighbours of an image.
    fn dynamic(own: Graph, one: Graph) -> Result<Self> {
        match Self::checked(own, Dim::N, BatchMode::Dynamic) {
            Ok(prepared) if !prepared.scan.mixes_images.is_empty() => {
                let single = Self::checked(one, Dim::Fixed(1), BatchMode::One)?;
                let scan = Scan { mixes_images: prepared.scan.mixes_images, ..single.scan };
                Ok(Self { scan, ..single })
            }
            Ok(prepared) if prepared.unclear => prepared.beside(one),
            Ok(prepared) => Ok(prepared),
            // Sizes that are no multiples of the batch are numbers once it is one.
            Err(error) if error.kind() == ErrorKind::Shape => {
                Self::checked(one, Dim::Fixed(1), BatchMode::One).map_err(|_| error)
            }
            Err(error) => Err(error),
        }
    }

    /// Of a file whose copies are made of another graph, both for one image.
    pub(super) fn specialised(
        file: &Graph,
        input: &ImageInput,
        specialised: &Graph,
        inner: &ImageInput,
        normalisation: Option<&Normalisation>,
    ) -> Result<Self> {
        let one = Dim::Fixed(1);
        let copy = with_prefix(specialised.clone(), inner, one, normalisation)?;
        let copy = Self::checked(copy, one, BatchMode::One)?;
        let file = with_one_image(file.clone(), input.id)?;
        let mut original = with_prefix(file, input, one, normalisation)?;
        // The engine keeps the type of the output.
        if copy.casts_output {
            with_float32_output(&mut original)?;
        }
        Ok(Self { specialised: Some(copy.graph), graph: original, ..copy })
    }

    fn checked(mut graph: Graph, batch: Dim, mode: BatchMode) -> Result<Self> {
        let copy = working_copy(&graph)?;
        let typed = &copy.graph;
        if mode == BatchMode::Rebatched {
            random::check_drawn_per_image(typed)?;
        }
        let images = if batch == Dim::N { scan::batch(typed)? } else { scan::Batch::default() };
        let (classes, kind) = (output::classes(typed, batch)?, output::kind(typed)?);
        let mut scan = scan::scan(&copy, &images)?;
        scan.softmax_outputs = output::softmax_nodes(typed)?;
        let casts_output = copy.output.is_float() && copy.output != DataType::Float32;
        if casts_output {
            with_float32_output(&mut graph)?;
        }
        let (specialised, fixed_batch, unclear) = (None, None, images.unclear);
        let (batch, output) = (mode, kind);
        Ok(Self { graph, specialised, fixed_batch, batch, classes, output, scan, casts_output, unclear })
    }

    /// With a graph for one image to compare with.
    fn beside(self, mut one: Graph) -> Result<Self> {
        if self.casts_output {
            with_float32_output(&mut one)?;
        }
        Ok(Self { fixed_batch: Some(one), ..self })
    }
}

fn with_float32_output(graph: &mut Graph) -> Result<()> {
    output::as_float32(graph)?;
    let logits = output::sole_output(graph)?;
    prefix::claim_name(graph, logits, LOGITS)
}

/// The graph with the first dimension of `input` fixed at one.
pub(super) fn with_one_image(mut graph: Graph, input: ValueId) -> Result<Graph> {
    let mut input_type = graph.tensor_type(input)?.clone();
    if let Some(batch) = input_type.shape.0.first_mut() {
        *batch = Dim::Fixed(1);
    }
    graph.set_type(input, input_type);
    Ok(graph)
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
