//! Trilu: the upper or lower triangle of the last two axes, zeros elsewhere.
//!
//! `dx` is the same triangle of `g`. Operator page: ONNX `Trilu-14`.

use super::step::Step;
use crate::error::Result;

/// `dx` is the same triangle of `g`.
pub(crate) fn trilu(step: &mut Step<'_, '_>) -> Result<()> {
    let (node, g) = (step.node(), step.cotangent()?);
    step.send(0, |builder| {
        let inputs = vec![Some(g), node.optional_input(1)];
        Ok(builder.node("Trilu", inputs, node.attributes.clone(), 1)?[0])
    })
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{Domain, backward_text, batched, check, function};
    use crate::tensor::Tensor;

    #[test]
    fn gradients_match_central_differences() {
        for upper in [0, 1] {
            for diagonal in [None, Some(-1), Some(0), Some(2)] {
                let case = format!("upper {upper}, diagonal {diagonal:?}");
                check(&case, Domain::Real, batched(&[3, 4]), |builder, x| {
                    let diagonal = diagonal.map(|k| builder.constant(Tensor::from_i64(&[], &[k])));
                    let inputs: Vec<_> = [x].into_iter().chain(diagonal).collect();
                    builder.op_with("Trilu", &inputs, [("upper", upper.into())])
                });
            }
        }
    }

    #[test]
    fn the_subgraph_is_the_same_triangle() {
        let graph =
            function(batched(&[3, 3]), |builder, x| builder.op_with("Trilu", &[x], [("upper", 0.into())]));
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @r"
            %gradient/f/Trilu/Trilu: f32[N, 3, 3] = Trilu(%g, _) {upper = 0}
            %dx/Identity: f32[N, 3, 3] = Identity(%gradient/f/Trilu/Trilu)
        ");
    }
}
