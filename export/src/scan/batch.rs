//! Whether the images of a batch stay independent of each other.
//!
//! A dataflow analysis follows each value that depends on pixels, with the batch axis in it. An axis of size `k·N`
//! holds `outer · N · inner` elements in row-major order: `[N·heads, T, d]` has `inner = heads`, and with a Transpose
//! before the Reshape it has `outer = heads`. Operators that work along other axes keep images independent; one that
//! reduces, normalises or multiplies along the batch mixes them. For operators that the table does not know the result
//! is unknown.

use std::collections::{HashMap, HashSet};

use mimir_bundle::ScannedNode;

use super::scanned_node::scanned_node;
use crate::error::Result;
use crate::facts::{Known, LARGEST_FOLLOWED, NodeView};
use crate::graph::{Graph, ValueId};
use crate::operators::batch::effect::{BatchAxis, BatchView, Effect, batch_axis};
use crate::operators::row::Batch;
use crate::operators::{reads_sizes_only, table};

/// The result of the analysis.
#[derive(Debug, Default)]
pub(crate) struct BatchAnalysis {
    /// Nodes through which images of a batch influence each other.
    pub(crate) mixing: Vec<ScannedNode>,
    /// Whether the effect of some node is not known.
    pub(crate) is_unknown: bool,
    /// Where the batch is in each value that depends on the images, as far as they stay independent.
    pub(crate) axes: HashMap<ValueId, BatchAxis>,
}

/// Follows the images through a typed graph whose first input is `[N, …]`.
pub(super) fn trace(graph: &Graph) -> Result<BatchAnalysis> {
    let mut analysis = BatchAnalysis::default();
    let Some(images) = graph.inputs().first() else { return Ok(analysis) };
    let mut batch_axes = HashMap::from([(*images, BatchAxis { axis: 0, inner: 1 })]);
    // Values that depend on mixed or unknown values are not analysed again.
    let mut excluded: HashSet<ValueId> = HashSet::new();
    let known = Known::new(LARGEST_FOLLOWED);
    for node in graph.nodes().iter().filter(|node| !reads_sizes_only(node)) {
        let depends = |id: &ValueId| batch_axes.contains_key(id) || excluded.contains(id);
        if !node.inputs.iter().flatten().any(depends) {
            continue;
        }
        let outputs = || node.outputs.iter().flatten().copied();
        if node.inputs.iter().flatten().any(|id| excluded.contains(id)) {
            excluded.extend(outputs());
            continue;
        }
        let view = NodeView { graph, node, known: &known };
        match effect(&BatchView { view, batch_axes: &batch_axes }) {
            Some(Effect::Independent(batch)) => {
                for output in outputs() {
                    batch_axes.insert(output, batch);
                }
            }
            Some(Effect::Mixed) => {
                analysis.mixing.push(scanned_node(node));
                excluded.extend(outputs());
            }
            None => {
                analysis.is_unknown = true;
                excluded.extend(outputs());
            }
        }
    }
    analysis.axes = batch_axes;
    Ok(analysis)
}

/// The effect of a node; `None` where it is not known.
fn effect(node: &BatchView<'_>) -> Option<Effect> {
    let graph = node.view.graph;
    for output in node.view.node.outputs.iter().flatten() {
        // A value that depends on the images but has no batch axis belongs to several of them.
        let has_batch_axis = graph.shape(*output).ok().and_then(batch_axis).is_some();
        if !has_batch_axis {
            return Some(Effect::Mixed);
        }
    }
    match table::find(&node.view.node.op_type)?.batch {
        Batch::Followed(rule) => rule(node),
        Batch::SizesOnly | Batch::NotFollowed(_) => None,
    }
}
