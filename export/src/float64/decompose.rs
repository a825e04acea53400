//! Operators without float64 kernels, in operators that have one.
//!
//! ONNX Runtime 1.32 on the processor has kernels in float64 for products, sums, comparisons, Exp, Tanh, Sigmoid, Softmax,
//! reductions, BatchNormalization, LayerNormalization, Pad, Gather and MaxPool, and none for what is written out here.

use super::number::number;
use super::{erf, windows};
use crate::error::Result;
use crate::graph::{Builder, Graph, Node, ValueId};

/// Writes a node's result in other operators; `None` where it stays.
type Decomposition = fn(&mut Builder<'_>, &Node) -> Result<Option<ValueId>>;

/// The decomposition of each operator that has one.
const DECOMPOSITIONS: [(&str, Decomposition); 9] = [
    ("AveragePool", windows::average_pool),
    ("Conv", windows::conv),
    ("Elu", elu),
    ("Erf", |builder, node| erf::erf(builder, node.input(0)?).map(Some)),
    ("Gelu", gelu),
    ("GlobalAveragePool", windows::global_average_pool),
    ("HardSigmoid", hard_sigmoid),
    ("HardSwish", hard_swish),
    ("LeakyRelu", leaky_relu),
];

/// Replaces such nodes; the graph is typed before and after.
pub(super) fn decompose(graph: &mut Graph) -> Result<()> {
    let waiting = graph.nodes().to_vec();
    graph.set_nodes(Vec::new());
    for mut node in waiting {
        // What was replaced is read under its new name.
        let known = DECOMPOSITIONS.iter().find(|(operator, _)| *operator == node.op_type);
        let written = match known {
            Some((_, decomposition)) => {
                let mut builder = Builder::new(graph, node.name.clone());
                decomposition(&mut builder, &node)?
            }
            None => None,
        };
        match written {
            None => {
                graph.push_node(node);
            }
            Some(result) => {
                node.op_type = "Identity".to_owned();
                node.inputs = vec![Some(result)];
                node.attributes.0.clear();
                graph.push_node(node);
            }
        }
    }
    Ok(())
}

/// `x·Φ(x)`, or its approximation by tanh.
fn gelu(builder: &mut Builder<'_>, node: &Node) -> Result<Option<ValueId>> {
    let x = node.input(0)?;
    let half = number(builder, 0.5);
    let one = number(builder, 1.0);
    let inner = if node.attributes.text("approximate", "none")? == "tanh" {
        let (factor, root) =
            (number(builder, 0.044_715), number(builder, (2.0 / std::f64::consts::PI).sqrt()));
        let square = builder.op("Mul", &[x, x])?;
        let cube = builder.op("Mul", &[square, x])?;
        let scaled = builder.op("Mul", &[cube, factor])?;
        let sum = builder.op("Add", &[x, scaled])?;
        let argument = builder.op("Mul", &[sum, root])?;
        builder.op("Tanh", &[argument])?
    } else {
        let root = number(builder, std::f64::consts::FRAC_1_SQRT_2);
        let argument = builder.op("Mul", &[x, root])?;
        erf::erf(builder, argument)?
    };
    let weight = builder.op("Add", &[inner, one])?;
    let product = builder.op("Mul", &[x, weight])?;
    builder.op("Mul", &[product, half]).map(Some)
}

/// `max(x, 0) + α·min(x, 0)`
fn leaky_relu(builder: &mut Builder<'_>, node: &Node) -> Result<Option<ValueId>> {
    let alpha = number(builder, node.attributes.float("alpha", 0.01)?.into());
    let [above, below] = halves(builder, node.input(0)?)?;
    let below = builder.op("Mul", &[below, alpha])?;
    builder.op("Add", &[above, below]).map(Some)
}

/// `max(x, 0) + α·(exp(min(x, 0)) − 1)`
fn elu(builder: &mut Builder<'_>, node: &Node) -> Result<Option<ValueId>> {
    let alpha = number(builder, node.attributes.float("alpha", 1.0)?.into());
    let one = number(builder, 1.0);
    let [above, below] = halves(builder, node.input(0)?)?;
    let power = builder.op("Exp", &[below])?;
    let below = builder.op("Sub", &[power, one])?;
    let below = builder.op("Mul", &[below, alpha])?;
    builder.op("Add", &[above, below]).map(Some)
}

fn halves(builder: &mut Builder<'_>, x: ValueId) -> Result<[ValueId; 2]> {
    let zero = number(builder, 0.0);
    Ok([builder.op("Max", &[x, zero])?, builder.op("Min", &[x, zero])?])
}

fn hard_sigmoid(builder: &mut Builder<'_>, node: &Node) -> Result<Option<ValueId>> {
    let (alpha, beta) = (node.attributes.float("alpha", 0.2)?, node.attributes.float("beta", 0.5)?);
    clipped_line(builder, node.input(0)?, alpha.into(), beta.into()).map(Some)
}

/// `x·max(0, min(1, x/6 + 1/2))`
fn hard_swish(builder: &mut Builder<'_>, node: &Node) -> Result<Option<ValueId>> {
    let x = node.input(0)?;
    let gate = clipped_line(builder, x, 1.0 / 6.0, 0.5)?;
    builder.op("Mul", &[x, gate]).map(Some)
}

/// `max(0, min(1, α·x + β))`
fn clipped_line(builder: &mut Builder<'_>, x: ValueId, alpha: f64, beta: f64) -> Result<ValueId> {
    let [alpha, beta, zero, one] = [alpha, beta, 0.0, 1.0].map(|value| number(builder, value));
    let scaled = builder.op("Mul", &[x, alpha])?;
    let line = builder.op("Add", &[scaled, beta])?;
    let line = builder.op("Max", &[line, zero])?;
    builder.op("Min", &[line, one])
}
