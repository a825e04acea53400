//! What is known of each operator: [`table`] has one row for each, and a test holds that nothing else decides by name.
//!
//! The columns in the order of the data: [`types`] of outputs, [`constants`] that are known before the graph runs, what
//! happens to the [`batch`], the [`gradient`], and [`bounds`] over a box of inputs. Each folder holds the functions of one column, a file a family;
//! [`row`] says what a column may state. [`signature`] holds what the page of each operator allows. The recipe for a new row is `docs/adding-an-operator.md`.

pub(crate) mod batch;
pub(crate) mod bounds;
pub(crate) mod constants;
pub(crate) mod dropout;
pub(crate) mod finite;
pub(crate) mod gradient;
pub(crate) mod row;
pub(crate) mod signature;
pub(crate) mod table;
pub(crate) mod types;

use row::{Batch, Gradient, Random};

use crate::graph::{Graph, Node};

/// Whether a node may give another answer each time.
pub(crate) fn is_random(graph: &Graph, node: &Node) -> bool {
    match table::find(&node.op_type).map(|row| row.random) {
        Some(Random::Always) => true,
        Some(Random::If(condition)) => condition(graph, node),
        Some(Random::Never) | None => false,
    }
}

/// Whether a node depends on the shapes of its inputs only, not on pixels.
pub(crate) fn reads_sizes_only(node: &Node) -> bool {
    table::find(&node.op_type).is_some_and(|row| matches!(row.batch, Batch::SizesOnly))
}

/// Whether the results of an operator are Boolean or integers, whatever its inputs are.
pub(crate) fn has_integer_results(op_type: &str) -> bool {
    matches!(gradient_of(op_type), Some(Gradient::Undifferentiated(table::BOOLEANS | table::INTEGERS)))
}

/// Whether the rule of an operator is a stand-in for a derivative that is zero almost everywhere.
pub(crate) fn passes_straight_through(op_type: &str) -> bool {
    matches!(gradient_of(op_type), Some(Gradient::StraightThrough(..)))
}

/// The gradient of an operator, where it is known.
pub(crate) fn gradient_of(op_type: &str) -> Option<Gradient> {
    table::find(op_type).map(|row| row.gradient)
}
