//! Attention of our own, which engines with a kernel for it run in place of its products and Softmax.
//!
//! `y = p·v` with `p = softmax(s)` and `s = q·kᵀ`, for each head: `dv = pᵀ·g`, `ds = (h − Σ h·p)·p` with `h = g·vᵀ`,
//! `dq = ds·k` and `dk = dsᵀ·q`. Vaswani et al. 2017, section 3.2.

use super::step::Step;
use crate::error::Result;
use crate::graph::own_operators::ATTENTION_GRADIENT;
use crate::graph::{Graph, NodeId, ValueId};
use crate::operators::types::attention::probabilities;

/// Output of the operator after the first.
const PROBABILITIES: usize = 1;

/// Lets an Attention hand out its probabilities.
pub(crate) fn add_probabilities(graph: &mut Graph, id: NodeId) {
    let node = graph.node(id);
    if node.optional_output(PROBABILITIES).is_some() {
        return;
    }
    let Ok(tensor_type) = probabilities(graph, node) else { return };
    let value = graph.add_fresh_value(&format!("{}/probabilities", node.name), Some(tensor_type));
    let outputs = &mut graph.node_mut(id).outputs;
    outputs.truncate(PROBABILITIES);
    outputs.push(Some(value));
}

/// One node for all inputs: the products share what they read.
pub(crate) fn attention(step: &mut Step<'_, '_>) -> Result<()> {
    let (node, g) = (step.node(), step.cotangent()?);
    let read: Vec<ValueId> = (0..node.inputs.len()).map(|index| step.input(index)).collect::<Result<_>>()?;
    let inputs = [g, node.output(PROBABILITIES)?].into_iter().chain(read.iter().copied()).map(Some);
    let attributes = node.attributes.clone();
    let gradients = step.builder().node(ATTENTION_GRADIENT, inputs.collect(), attributes, read.len())?;
    for (index, gradient) in gradients.into_iter().enumerate() {
        step.send(index, |_| Ok(gradient))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use mimir_bundle::kernels::{HEADS, TOKENS};

    use crate::autodiff::testing::{Domain, batched, check_graph, function, kernel_text};
    use crate::graph::own_operators::ATTENTION;
    use crate::graph::{Attributes, Builder, Dim, Graph, Shape, ValueId};

    /// `x` as rows of that width.
    fn rows(builder: &mut Builder<'_>, x: ValueId, width: usize) -> crate::Result<ValueId> {
        let target = builder.ints(&[-1, width as i64]);
        builder.op("Reshape", &[x, target])
    }

    /// Attention over `x` `[N, T, 3·H·d]`.
    fn packed(heads: usize, tokens: usize, width: usize) -> Graph {
        let columns = 3 * heads * width;
        let graph = function(batched(&[tokens, columns]), |builder, x| {
            let x = rows(builder, x, columns)?;
            let tokens = vec![tokens as i64; 2];
            builder.op_with(ATTENTION, &[x], [(HEADS, (heads as i64).into()), (TOKENS, tokens.into())])
        });
        graph.unwrap()
    }

    /// Attention of the first token of each image over all: `x` is `[N, T, 3·H·d]`.
    fn of_one_token(heads: usize, tokens: usize, width: usize) -> Graph {
        let columns = heads * width;
        let graph = function(batched(&[tokens, 3 * columns]), |builder, x| {
            let sizes = builder.ints(&[columns as i64, 2 * columns as i64]);
            let axis = Attributes::from_pairs([("axis", 2.into())]);
            let parts = builder.node("Split", vec![Some(x), Some(sizes)], axis, 2)?;
            let [zero, one] = [0, 1].map(|place| builder.ints(&[place]));
            let first = builder.op("Slice", &[parts[0], zero, one, one])?;
            let (q, kv) = (rows(builder, first, columns)?, rows(builder, parts[1], 2 * columns)?);
            let tokens = vec![1, tokens as i64];
            builder.op_with(ATTENTION, &[q, kv], [(HEADS, (heads as i64).into()), (TOKENS, tokens.into())])
        });
        graph.unwrap()
    }

    #[test]
    fn gradients_match_central_differences() {
        for (heads, tokens, width) in [(3, 5, 4), (1, 17, 3), (2, 2, 20)] {
            let case = format!("{heads} heads of {width}, {tokens} tokens");
            check_graph(&case, Domain::Unit, &packed(heads, tokens, width));
            check_graph(&format!("{case}, one query"), Domain::Unit, &of_one_token(heads, tokens, width));
        }
    }

    #[test]
    fn inputs_that_do_not_fit_are_refused() {
        for (rows, columns, heads, tokens) in [
            (5, 12, 5, [5, 5]),
            (6, 12, 2, [5, 5]),
            (5, 12, 2, [5, 4]),
            (5, 12, 0, [5, 5]),
            (5, 12, 2, [0, 0]),
        ] {
            let shape = Shape(vec![Dim::Batch(rows), Dim::Fixed(columns)]);
            let graph = function(shape, |builder, x| {
                let tokens = tokens.map(i64::from).to_vec();
                builder.op_with(ATTENTION, &[x], [(HEADS, i64::from(heads).into()), (TOKENS, tokens.into())])
            });
            assert!(graph.is_err(), "{rows} rows of {columns}, {heads} heads, {tokens:?}");
        }
    }

    #[test]
    fn the_kernel_takes_the_probabilities() {
        insta::assert_snapshot!(kernel_text(&packed(1, 2, 3)), @r"
            const %gradient/f/Reshape/constant: i64[3] = [-1, 2, 9]
            %gradient/f/ai.mimir::Attention/ai.mimir::AttentionGradient: f32[2N, 9] = ai.mimir::AttentionGradient(%g, %f/ai.mimir::Attention/probabilities, %f/Reshape) {heads = 1, tokens = [2, 2]}
            %gradient/f/Reshape/Reshape: f32[N, 2, 9] = Reshape(%gradient/f/ai.mimir::Attention/ai.mimir::AttentionGradient, %gradient/f/Reshape/constant)
            %dx/Identity: f32[N, 2, 9] = Identity(%gradient/f/Reshape/Reshape)
        ");
    }
}
