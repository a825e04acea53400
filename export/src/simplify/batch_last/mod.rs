//! Makes the batch the last axis of a small convolutional network, so that a vector register holds one element of
//! sixteen images.
//!
//! The engines' convolutions keep channels or columns in a register. Where a network has 3, 8 or 16 channels and rows of
//! 8 columns, much of a register is empty, strided windows are gathered element by element, and every operator is a pass
//! over memory of its own. With one image in each lane no stride, padding or number of channels leaves a lane empty, the
//! gradient of a strided convolution is computed like any other, and what follows a layer is done before its result is
//! written ([`epilogue`]). What an image gives does not depend on its neighbours.
//!
//! Every value of the network has a *turned* form `[P, N]`: the `P` elements of one image in their order, each followed
//! by itself in the other images. Flattening is then nothing at all, a Gemm is a convolution of one pixel, and elementwise
//! operators stay what they are. The rewrite is left alone where it would not pay: where a convolution is of a kind that
//! the kernel lacks, where activations do not stay in the cache, or where much would have to be turned to and fro.

mod epilogue;
mod layer;
mod turning;
mod winograd;

use mimir_bundle::kernels::BATCH_LAST_LANES;

use crate::graph::{Dim, Graph};
use layer::Layer;
use turning::Turning;

/// Bytes of what a layer reads and writes for one register of images, at most: what stays in the second cache of a core.
const MOST_BYTES_OF_A_LAYER: usize = 1 << 19;

/// Products for each element that is turned, at least: turning is a pass over memory, and must cost less than is saved.
const PRODUCTS_PER_TURNED_ELEMENT: usize = 100;

/// Fewest images of a call that fill registers.
const FEWEST_IMAGES: usize = 8;

/// Rewrites a typed graph whose inputs are batches, differentiated or not, and says whether it did. Afterwards only
/// sessions with our operators can run it.
pub(crate) fn turn(graph: &mut Graph) -> bool {
    if !is_worth_a_look(graph) {
        return false;
    }
    let mut turned = graph.clone();
    let Some(work) = Turning::of(&mut turned) else { return false };
    if work.turned_elements * PRODUCTS_PER_TURNED_ELEMENT > work.products {
        return false;
    }
    epilogue::absorb(&mut turned);
    turned.prune();
    *graph = turned;
    true
}

/// Whether all convolutions are of the kind that the kernel knows, and small, and there are some.
fn is_worth_a_look(graph: &Graph) -> bool {
    let batch = graph.inputs().first().and_then(|images| graph.shape(*images).ok()?.0.first().copied());
    let fills_registers = match batch {
        Some(Dim::Fixed(images)) => images >= FEWEST_IMAGES,
        Some(dim) => dim == Dim::N,
        None => false,
    };
    let is_convolution =
        |op_type: &str| matches!(op_type, "Conv" | "ConvTranspose" | "ConvInteger" | "DeformConv");
    let mut convolutions = graph.nodes().iter().filter(|node| is_convolution(&node.op_type)).peekable();
    let stays_in_cache = |layer: &Layer| {
        (layer.inputs() + layer.outputs()) * BATCH_LAST_LANES * size_of::<f32>() <= MOST_BYTES_OF_A_LAYER
    };
    fills_registers
        && convolutions.peek().is_some()
        && convolutions.all(|node| Layer::of(graph, node).as_ref().is_some_and(stays_in_cache))
}

#[cfg(test)]
mod tests;
