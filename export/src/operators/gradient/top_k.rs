//! TopK: the `k` largest or smallest elements along one axis, and their positions.
//!
//! `dx` is `g` at the positions that the node itself returns, zero elsewhere: no position occurs twice. The positions
//! carry no gradient. Operator page: ONNX `TopK-11`.

use super::reduction::check_axes;
use super::step::Step;
use crate::error::Result;
use crate::tensor::Tensor;

/// Position of the indices among the outputs.
const INDICES: usize = 1;

/// `dx` is `g` at the positions of the chosen elements.
pub(crate) fn top_k(step: &mut Step<'_, '_>) -> Result<()> {
    let axis = step.node().attributes.int("axis", -1)?;
    let (x, indices, g) = (step.input(0)?, step.node().output(INDICES)?, step.cotangent()?);
    let shape = step.shape(x)?;
    check_axes(&shape, &[shape.axis(axis)?])?;
    step.send(0, |builder| {
        let dims = builder.op("Shape", &[x])?;
        let zero = [("value", Tensor::from_f32(&[1], &[0.0]).into())];
        let zeros = builder.op_with("ConstantOfShape", &[dims], zero)?;
        builder.op_with("ScatterElements", &[zeros, indices, g], [("axis", axis.into())])
    })
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{
        Domain, adjoint, backward_text, batched, check, float, function, run, session,
    };
    use crate::error::Result;
    use crate::graph::{Attributes, Builder, Graph, ValueId};

    fn chosen(builder: &mut Builder<'_>, x: ValueId, k: i64, attributes: Attributes) -> Result<ValueId> {
        let k = builder.ints(&[k]);
        Ok(builder.node("TopK", vec![Some(x), Some(k)], attributes, 2)?[0])
    }

    fn attributes(axis: i64, largest: i64, sorted: i64) -> Attributes {
        Attributes::from_pairs([
            ("axis", axis.into()),
            ("largest", largest.into()),
            ("sorted", sorted.into()),
        ])
    }

    #[test]
    fn gradients_match_central_differences() {
        for axis in [1, 2, -1, -2] {
            for [largest, sorted] in [[0, 0], [0, 1], [1, 0], [1, 1]] {
                let case = format!("axis {axis}, largest {largest}, sorted {sorted}");
                check(&case, Domain::Distinct, batched(&[3, 4]), |builder, x| {
                    chosen(builder, x, 2, attributes(axis, largest, sorted))
                });
            }
        }
    }

    #[test]
    fn the_last_axis_is_the_default() {
        check("TopK", Domain::Distinct, batched(&[3, 4]), |builder, x| {
            chosen(builder, x, 2, Attributes::default())
        });
    }

    #[test]
    fn each_value_goes_back_to_its_place() {
        let graph = function(batched(&[4]), |builder, x| chosen(builder, x, 2, Attributes::default()));
        let inputs = [float("x", &[1, 4], &[3.0, 9.0, -1.0, 5.0]), float("g", &[1, 2], &[2.0, 7.0])];
        let found = run(&mut session(&adjoint(&graph.unwrap()).unwrap()), &inputs);
        assert_eq!(found, [0.0, 2.0, 0.0, 7.0]);
    }

    #[test]
    fn the_best_images_of_a_batch_are_refused() {
        let graph: Result<Graph> = function(
            crate::graph::Shape(vec![crate::graph::Dim::N, crate::graph::Dim::Fixed(3)]),
            |builder, x| chosen(builder, x, 1, attributes(0, 1, 1)),
        );
        let error = graph.and_then(|graph| adjoint(&graph)).unwrap_err().to_string();
        assert!(error.contains("batch"), "{error}");
    }

    #[test]
    fn the_subgraph_scatters() {
        let graph = function(batched(&[4]), |builder, x| chosen(builder, x, 2, Attributes::default()));
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @r"
            %gradient/f/TopK/Shape: i64[2] = Shape(%x)
            %gradient/f/TopK/ConstantOfShape: f32[N, 4] = ConstantOfShape(%gradient/f/TopK/Shape) {value = (f32[1] = [0.0])}
            %gradient/f/TopK/ScatterElements: f32[N, 4] = ScatterElements(%gradient/f/TopK/ConstantOfShape, %f/TopK_2, %g) {axis = -1}
            %dx/Identity: f32[N, 4] = Identity(%gradient/f/TopK/ScatterElements)
        ");
    }
}
